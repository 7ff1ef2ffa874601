// A data set that lies on the GPU: the batches of one on the CPU, made there.
#include <varve/varve.h>

#include "tests/cuda/gpu.h"

using namespace varve;
using namespace varve::test;

TEST_CASE("a loader of a data set on the GPU gives the batches of one on the CPU, from any position") {
  if (!gpu()) return;
  const Tensor images = cast(rand({23, 2, 3}) * 255, DType::u8), labels = arange(23);
  for (const bool shuffle : {false, true}) {
    const data::LoaderOptions options{
        .batch_size = 5, .shuffle = shuffle, .seed = 3, .transform = [](const Tensor& x) {
          return cast(x, DType::f32) / 255.0;
        }};
    data::Loader here(images, labels, options), there(images.to(kCuda), labels.to(kCuda), options);
    data::Loader resumed(images.to(kCuda), labels.to(kCuda), options);
    for (int i = 0; i < 17; ++i) {
      CAPTURE(i);
      resumed.load_state_dict(there.state_dict());
      const auto expected = here.next(), found = there.next(), again = resumed.next();
      REQUIRE(found.has_value() == expected.has_value());
      if (!expected) continue;
      CHECK(found->inputs.device() == kCuda);
      CHECK(identical(found->inputs, expected->inputs));
      CHECK(identical(found->targets, expected->targets));
      CHECK(identical(again->inputs, expected->inputs));
      found->inputs.fill(7);  // its own memory
    }
  }
  CHECK_THROWS_AS(data::Loader(images.to(kCuda), labels), DeviceError);
}
