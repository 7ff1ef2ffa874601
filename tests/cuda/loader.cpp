// A data set that lies on the GPU: the batches of one on the CPU, made there.
#include <varve/varve.h>

#include "tests/cuda/gpu.h"
#include "tests/message.h"

using namespace varve;
using namespace varve::test;

TEST_CASE("a loader of a data set on the GPU gives the batches of one on the CPU, from any position") {
  if (!gpu()) return;
  const Tensor images = cast(rand({23, 2, 3}) * 255, DType::u8), labels = arange(23);
  for (const int kind : {0, 1, 2, 3}) {
    const bool shuffle = kind & 1;
    data::LoaderOptions options{
        .batch_size = 5, .shuffle = shuffle, .seed = 3, .transform = [](const Tensor& x) {
          return cast(x, DType::f32) / 255.0;
        }};
    if (kind & 2) options.transform = nullptr;
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
      found->inputs.fill(7), found->targets.fill(7);  // its own memory
      again->inputs.fill(7), again->targets.fill(7);
    }
  }
  CHECK_THROWS_AS(data::Loader(images.to(kCuda), labels), DeviceError);
}

TEST_CASE(
    "what a transform that is made ahead finds out of range, who takes the batches hears of, on the GPU") {
  if (!gpu()) return;
  const Tensor table = rand({10, 4}).to(kCuda),
               codes = tensor<uint8_t>({0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0});
  auto look_up = compile([&](const Tensor& rows) { return index_select(table, 0, rows); });
  data::Loader loader(codes, arange(12), {.batch_size = 2, .transform = [&](const Tensor& x) {
                                            return look_up(cast(x, DType::i64).to(kCuda));
                                          }});
  std::string said;
  while (const auto batch = loader.next()) {
    if (const std::string one = message_of<ShapeError>([&] { sum(table).item(); }); contains(one, "gather"))
      said = one;
  }
  CHECK(contains(said, "index 10 for an axis of size 10"));
}
