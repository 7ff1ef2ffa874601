// More elements than 32 bits count, on the GPU: bytes, so that they fit.
#include <varve/varve.h>
#include "tests/cuda/gpu.h"
#include "tests/message.h"

using namespace varve;
using namespace varve::test;

TEST_CASE("ops on more than 2^31 elements, on the GPU") {
  if (!gpu()) return;
  const OnDevice on(kCuda);
  const int64_t count = (int64_t{1} << 31) + 1003;
  try {
    const Tensor x = ones({count}, DType::u8);
    CHECK(sum(x).item<int64_t>() == count);
    const Tensor y = x + x;  // element by element
    CHECK(sum(y).item<int64_t>() == 2 * count);
    const Tensor last = slice(y, 0, count - 2, count);
    last.fill(9);
    CHECK(max(y).item() == 9);
    CHECK(sum(y).item<int64_t>() == 2 * count + 14);
    CHECK(gather(y, 0, tensor<int64_t>({0, count - 1, -2, -3})).to(kCpu)[1].item() == 9);
    const Tensor matrix = reshape(slice(y, 0, 0, count - 1003), {1 << 16, 1 << 15});
    CHECK(sum(clone(transpose(matrix))).item<int64_t>() == int64_t{1} << 32);  // strided
    CHECK(sum(sum(matrix, {0})).item<int64_t>() == int64_t{1} << 32);
    const Tensor mask = y == 9.0;
    CHECK(sum(mask).item<int64_t>() == 2);
  } catch (const MemoryError& e) {
    const std::string why = e.what();
    MESSAGE("skipped: " << why);
  }
}
