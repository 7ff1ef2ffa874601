// Tensors on the GPU: made there, moved, read, printed, and errors that say what to do.
#include <sstream>

#include <varve/varve.h>
#include "tests/core/parity.h"
#include "tests/cuda/gpu.h"
#include "tests/message.h"

using namespace varve;
using namespace varve::test;

TEST_CASE("what is made and moved lies on the GPU, and comes back as it was") {
  if (!gpu()) return;
  Draws draws(1);
  for (size_t d = 0; d < kDTypes; ++d) {
    const Tensor x = draws.numbers({3, 5, 4}, static_cast<DType>(d));
    CAPTURE(name_of(x.dtype()));
    for (const Layout layout : kLayouts) {
      const Tensor laid = laid_out(x, layout), there = laid.to(kCuda);
      CHECK(there.device() == kCuda);
      CHECK(identical(there, laid));
      CHECK(identical(there.to(kCpu), laid));
      CHECK(to_string(there) == to_string(laid));
      CHECK(slice(there, 1, 2, 3)[2][0][3].item() == slice(laid, 1, 2, 3)[2][0][3].item());
    }
  }
  CHECK(to_string(zeros({0, 3}).to(kCuda)) == to_string(zeros({0, 3})));
  const OnDevice on(kCuda);
  CHECK(zeros({2}).device() == kCuda);
  CHECK(tensor<float>({1, 2}).device() == kCuda);
  CHECK(arange(5).to(kCpu).device() == kCpu);
  manual_seed(4);
  const Tensor here = randn({40});
  CHECK(here.device() == kCuda);
  manual_seed(4);
  CHECK(difference(here.to(kCpu).view(), randn({40}, DType::f32, default_generator(kCpu)).view()) == "");
}

TEST_CASE("large tensors pass through the pinned buffers whole") {
  if (!gpu()) return;
  const Tensor x = arange(3'000'001);  // 24 MB, and no multiple of a buffer
  CHECK(identical(x.to(kCuda).to(kCpu), x));
  CHECK(identical((x.to(kCuda) + 1).to(kCpu), x + 1));
}

TEST_CASE("devices do not mix, the host does not read a GPU's memory, and indices are checked") {
  if (!gpu()) return;
  const Tensor x = tensor<float>({1, 2, 3}).to(kCuda), y = tensor<float>({1, 2, 3});
  CHECK(contains(message_of<DeviceError>([&] { x + y; }), "inputs on cuda:0 and cpu"));
  CHECK(contains(message_of<DeviceError>([&] { x.data<float>(); }), ".to(kCpu)"));
  CHECK(contains(message_of<ShapeError>([&] {
                   gather(x, 0, tensor<int64_t>({0, 1, -4, 9}).to(kCuda));
                 }),
                 "index -4 for an axis of size 3; required is -3 to 2"));
  CHECK(contains(
      message_of<ShapeError>([&] { scatter_add(x, 0, tensor<int64_t>({3}).to(kCuda), slice(x, 0, 0, 1)); }),
      "scatter_add: index 3 for an axis of size 3"));
  CHECK(contains(message_of<ShapeError>([&] {
                   nn::cross_entropy(zeros({2, 3}).to(kCuda), tensor<int64_t>({1, 7}).to(kCuda));
                 }),
                 "target 7 found"));
  CHECK((x + 1).to(kCpu)[2].item() == 4);  // and it goes on
}

TEST_CASE("memory is used again, and a request for too much is an error after which the program goes on") {
  Backend* on = gpu();
  if (!on) return;
  void* const first = on->allocate(1'000'000);
  on->release(first, 1'000'000);
  void* const second = on->allocate(999'000);
  CHECK(second == first);
  void* const other = on->allocate(1'000'000);
  CHECK(other != second);
  CHECK(reinterpret_cast<uintptr_t>(other) % 64 == 0);
  on->release(second, 999'000);
  on->release(other, 1'000'000);
  const std::string said = message_of([&] { on->allocate(size_t{1} << 48); });
  CAPTURE(said);
  CHECK(contains(said, "out of memory: 281474976710656 bytes"));
  CHECK(contains(said, "bytes are free"));
  CHECK(contains(message_of([] {
                   const OnDevice there(kCuda);
                   zeros({int64_t{1} << 44});
                 }),
                 "out of memory"));
  CHECK((ones({3}).to(kCuda) + 1).to(kCpu)[1].item() == 2);
}
