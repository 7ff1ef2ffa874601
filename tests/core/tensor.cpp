// Tensors as handles: made, read, indexed, borrowed, written in place, and refused.
#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <cstring>
#include <numeric>

#include <varve/core/ops/copy.h>
#include <varve/core/ops/index.h>
#include <varve/core/ops/make.h>
#include <varve/core/ops/matmul.h>
#include <varve/core/ops/pointwise.h>
#include <varve/core/ops/reduce.h>
#include <varve/core/ops/rows.h>
#include <varve/core/ops/views.h>
#include <varve/core/record.h>

#include "tests/message.h"

using namespace varve;

namespace {
template <class T>
std::vector<T> values(const Tensor& t) {
  const Tensor plain = contiguous(t);
  return {plain.data<T>().begin(), plain.data<T>().end()};
}
}  // namespace

TEST_CASE("tensors are made of a value, of values, and of ranges") {
  CHECK(values<float>(zeros({2, 2})) == std::vector<float>(4, 0));
  CHECK(values<int32_t>(full({3}, -7, DType::i32)) == std::vector<int32_t>(3, -7));
  CHECK(values<bool>(ones({2}, DType::boolean)) == std::vector<bool>{true, true});
  CHECK(values<int64_t>(arange(4)) == std::vector<int64_t>{0, 1, 2, 3});
  CHECK(values<int64_t>(arange(2, 9, 3)) == std::vector<int64_t>{2, 5, 8});
  CHECK(values<int64_t>(arange(5, 0, -2)) == std::vector<int64_t>{5, 3, 1});
  CHECK(values<double>(arange(0, 1, 0.25, DType::f64)) == std::vector<double>{0, 0.25, 0.5, 0.75});
  CHECK_THROWS_WITH_AS(zeros({int64_t{1} << 50}), doctest::Contains("out of memory"), MemoryError);
  CHECK(arange(3, 3).numel() == 0);
  CHECK(arange(3, 1).numel() == 0);
  CHECK_THROWS_AS(arange(0, 1, 0), ShapeError);
  CHECK(values<uint8_t>(arange(253, 256, 1, DType::u8)) == std::vector<uint8_t>{253, 254, 255});
  CHECK_THROWS_AS(arange(0, 257, 1, DType::u8), Error);
  CHECK_THROWS_AS(arange(-2, 2, 1, DType::u8), Error);
  CHECK_THROWS_AS(arange(0, HUGE_VAL), ShapeError);
  CHECK(values<double>(linspace(0, 1, 5, DType::f64)) == std::vector<double>{0, 0.25, 0.5, 0.75, 1});
  CHECK(linspace(0, 1, 0).numel() == 0);
  CHECK(values<float>(linspace(3, 9, 1)) == std::vector<float>{3});
  CHECK(values<float>(eye(2, 3)) == std::vector<float>{1, 0, 0, 0, 1, 0});
  CHECK(values<float>(tensor<float>({1, 2, 3, 4}, {2, 2})[1]) == std::vector<float>{3, 4});
  CHECK_THROWS_AS(tensor<float>({1, 2, 3}, {2, 2}), ShapeError);
}

TEST_CASE("linspace ends exactly where it is told to") {
  for (int64_t count : {2, 3, 7, 50, 99, 1000}) {
    const Tensor x = linspace(-1, 1.7, count, DType::f64);
    CHECK(x[0].item() == -1);
    CHECK(x[-1].item() == 1.7);
  }
}

TEST_CASE("item reads the only element, converted") {
  CHECK(full({1, 1}, 2.5).item() == 2.5);
  CHECK(full({}, 2.5).item<int64_t>() == 2);
  CHECK(tensor<int64_t>({int64_t{1} << 60}).item<int64_t>() == int64_t{1} << 60);
  CHECK(full({}, 1, DType::boolean).item<bool>());
  CHECK(contains(message_of<ShapeError>([] { return ones({2}).item(); }), "item: shape [2] has 2 elements"));
  CHECK_THROWS_AS(ones({0}).item(), ShapeError);
}

TEST_CASE("data is the elements in order, for the right type and layout only") {
  const Tensor x = cast(reshape(arange(6), {2, 3}), DType::f32);
  CHECK(x.data<float>()[5] == 5);
  CHECK(contains(message_of<DTypeError>([&] { x.data<double>(); }), "f64"));
  CHECK(contains(message_of<ShapeError>([&, t = transpose(x)] { t.data<float>(); }), "not contiguous"));
  const Tensor copied = contiguous(transpose(x));
  CHECK(copied.data<float>()[1] == 3);
  x.mutable_data<float>()[0] = 10;
  CHECK(x[0][0].item() == 10);
}

TEST_CASE("indexing is a view of the same memory, from either end") {
  const Tensor x = reshape(arange(6), {3, 2});
  CHECK(x[-1][1].item() == 5);
  x[1].fill(9);
  CHECK(values<int64_t>(x) == std::vector<int64_t>{0, 1, 9, 9, 4, 5});
  CHECK_THROWS_AS(x[3], ShapeError);
  CHECK_THROWS_AS(x[-4], ShapeError);
  CHECK_THROWS_AS(x[0][0][0], ShapeError);
}

TEST_CASE("an undefined tensor says so") {
  const Tensor none;
  CHECK_FALSE(none.defined());
  CHECK_THROWS_AS(none.shape(), Error);
  CHECK_THROWS_AS(none + ones({1}), Error);
  CHECK(contains(message_of<Error>([&] { ones({1}) + none; }), "input 1 is undefined"));
}

TEST_CASE("borrowed memory is shared both ways, and its owner is kept") {
  std::vector<float> memory{1, 2, 3, 4};
  const Tensor x = borrow(std::span(memory), {2, 2});
  memory[3] = 40;
  CHECK(x[1][1].item() == 40);
  x[0].fill(7);
  CHECK(memory == std::vector<float>{7, 7, 3, 40});

  auto owner = std::make_shared<std::vector<double>>(3, 1.5);
  const std::weak_ptr<const void> alive = owner;
  Tensor y = borrow(std::span(*owner), {3}, owner);
  owner.reset();
  const Tensor part = y[2];
  y = Tensor();
  CHECK_FALSE(alive.expired());
  CHECK(part.item() == 1.5);
  CHECK_THROWS_AS(borrow(std::span(memory), {5}), ShapeError);
}

TEST_CASE("memory is the caller's to its last byte, aligned for any element, to 64 bytes from 512 up") {
  for (size_t bytes = 0; bytes < 1200; ++bytes) {
    void* const data = cpu_backend().allocate(bytes);
    const auto at = reinterpret_cast<uintptr_t>(data);
    CHECK(at % (bytes < 512 ? alignof(std::max_align_t) : 64) == 0);
    std::memset(data, 1, bytes);
    cpu_backend().release(data, bytes);
  }
}

TEST_CASE("assign broadcasts and converts, and refuses what does not fit") {
  const Tensor x = zeros({2, 3}, DType::f64);
  x.assign(tensor<int32_t>({1, 2, 3}));
  CHECK(values<double>(x) == std::vector<double>{1, 2, 3, 1, 2, 3});
  transpose(x)[0].fill(0.5);
  CHECK(values<double>(x) == std::vector<double>{0.5, 2, 3, 0.5, 2, 3});
  CHECK_THROWS_AS(x.assign(ones({2})), ShapeError);
  CHECK_THROWS_AS(x.assign(ones({1, 2, 3})), ShapeError);
  CHECK(contains(message_of<Error>([] { expand(ones({1}), {3}).fill(2); }), "clone"));
}

TEST_CASE("assigning a tensor another view of itself reads before it writes") {
  const Tensor x = arange(1000);
  x.assign(flip(x, 0));
  CHECK(values<int64_t>(x) == values<int64_t>(flip(arange(1000), 0)));
  const Tensor y = reshape(arange(900), {30, 30});
  y.assign(transpose(y));
  CHECK(values<int64_t>(y) == values<int64_t>(transpose(reshape(arange(900), {30, 30}))));
}

TEST_CASE("every write counts as a version, shared by all views") {
  const Tensor x = zeros({4});
  const auto version = [&] { return x.value().storage->version(); };
  CHECK(version() == 0);
  x.fill(1);
  CHECK(version() == 1);
  x[2].assign(ones({}));
  CHECK(version() == 2);
  x.mutable_data<float>();
  CHECK(version() == 3);
  (void)x.data<float>();
  CHECK(version() == 3);
  CHECK(clone(x).value().storage->version() == 0);
}

TEST_CASE("labels are named in errors") {
  const Tensor w = ones({3, 4});
  w.set_label("ln1.weight");
  CHECK(contains(message_of<ShapeError>([&] { w + ones({5}); }), "ln1.weight"));
  CHECK(contains(message_of<DTypeError>([&] { w + ones({4}, DType::f64); }), "ln1.weight"));
  Tensor p = w;
  p.set_requires_grad();
  CHECK(contains(message_of<Error>([&] { p.fill(0); }), "ln1.weight"));
}

TEST_CASE("a number on one side takes the tensor's dtype, and must fit it") {
  CHECK((arange(3) * 2.0).dtype() == DType::i64);
  CHECK(values<int64_t>(3.0 - arange(3)) == std::vector<int64_t>{3, 2, 1});
  CHECK((ones({1}, DType::f16) * 0.5).dtype() == DType::f16);
  CHECK_THROWS_AS(arange(3) * 0.5, DTypeError);
  CHECK_THROWS_AS(arange(3) / 2.0, DTypeError);
  CHECK_THROWS_AS(ones({1}) + ones({1}, DType::f64), DTypeError);
  CHECK_THROWS_AS(where(ones({1}), ones({1}), ones({1})), DTypeError);
}

TEST_CASE("means, variances and logarithms of sums are accurate where sums would not be") {
  CHECK(mean(ones({100000}, DType::f16)).item() == 1);  // their sum is beyond f16
  CHECK(std::isnan(mean(zeros({0})).item()));
  CHECK(var(tensor<double>({1, 2, 3, 4})).item() == doctest::Approx(5.0 / 3));
  CHECK(var(tensor<double>({1, 2, 3, 4}), {}, false, 0).item() == doctest::Approx(1.25));
  CHECK(logsumexp(tensor<double>({1000, 1000})).item() == doctest::Approx(1000 + std::log(2.0)));
  CHECK(logsumexp(tensor<double>({-HUGE_VAL, -HUGE_VAL})).item() == -HUGE_VAL);
  CHECK(logsumexp(zeros({2, 3}, DType::f64), {1})[1].item() == doctest::Approx(std::log(3.0)));
}

TEST_CASE("softmax and sort have an order for NaN and infinities") {
  const Tensor x = tensor<double>({2, NAN, -HUGE_VAL, 1, HUGE_VAL, NAN});
  CHECK(values<int64_t>(sort(x).indices) == std::vector<int64_t>{2, 3, 0, 4, 1, 5});
  CHECK(values<int64_t>(sort(x, 0, true).indices) == std::vector<int64_t>{4, 0, 3, 2, 1, 5});
  CHECK(argmax(x).item() == 1);
  CHECK(argmin(x).item() == 1);
  CHECK(std::isnan(max(x).item()));
  CHECK(values<double>(softmax(tensor<double>({-HUGE_VAL, 0, 0}))) == std::vector<double>{0, 0.5, 0.5});
  CHECK(values<float>(softmax(tensor<float>({-HUGE_VALF, 0, 0}))) == std::vector<float>{0, 0.5, 0.5});
  CHECK(values<float>(softmax(tensor<float>({1000, 1000}))) == std::vector<float>{0.5, 0.5});
  CHECK(values<int64_t>(topk(tensor<float>({1, 5, 3}), 2).indices) == std::vector<int64_t>{1, 2});
}

TEST_CASE("indices out of range are errors, and nothing is written") {
  const Tensor x = ones({3, 2});
  CHECK_THROWS_AS(gather(x, 0, tensor<int64_t>({3}, {1, 1})), ShapeError);
  CHECK_THROWS_AS(gather(x, 0, tensor<int64_t>({-4}, {1, 1})), ShapeError);
  CHECK_THROWS_AS(embedding(x, tensor<int64_t>({0, 7})), ShapeError);
  CHECK_THROWS_AS(gather(x, 0, tensor<int32_t>({1}, {1, 1})), DTypeError);
  CHECK(values<float>(index_select(x * 2.0, 0, tensor<int64_t>({-1}))) == std::vector<float>{2, 2});
  CHECK(values<float>(one_hot(tensor<int64_t>({2, 0}), 3)) == std::vector<float>{0, 0, 1, 1, 0, 0});
  CHECK_THROWS_AS(one_hot(tensor<int64_t>({2, 3}), 3), ShapeError);
  CHECK(values<float>(tril(ones({2, 3}))) == std::vector<float>{1, 0, 0, 1, 1, 0});
  CHECK(values<float>(triu(ones({2, 3}), 1)) == std::vector<float>{0, 1, 1, 0, 0, 1});
}

TEST_CASE("a vector is a row on the left, a column on the right, whatever the transpose flags") {
  const Tensor v = tensor<float>({1, 2}), m = tensor<float>({1, 2, 3, 4}, {2, 2}), batch = stack({m, m});
  for (bool flag : {false, true}) {
    CHECK(matmul(v, v, flag, flag).item() == 5);
    CHECK(values<float>(matmul(v, m, flag, false)) == std::vector<float>{7, 10});
    CHECK(values<float>(matmul(v, m, flag, true)) == std::vector<float>{5, 11});
    CHECK(values<float>(matmul(m, v, false, flag)) == std::vector<float>{5, 11});
    CHECK(values<float>(matmul(m, v, true, flag)) == std::vector<float>{7, 10});
    CHECK(values<float>(matmul(batch, v, false, flag)) == std::vector<float>{5, 11, 5, 11});
    CHECK(values<float>(matmul(v, batch, flag, false)) == std::vector<float>{7, 10, 7, 10});
  }
  CHECK_THROWS_AS(matmul(v, tensor<float>({1, 2, 3})), ShapeError);
}

TEST_CASE("numbers that a dtype cannot hold are refused") {
  const Tensor bytes = tensor<uint8_t>({0, 255});
  for (const double wrong : {-1.0, 256.0, 300.0, 0.5, HUGE_VAL, double(NAN)}) {
    CHECK_THROWS_AS(bytes + wrong, DTypeError);
    CHECK_THROWS_AS(static_cast<void>(bytes == wrong), DTypeError);
    CHECK_THROWS_AS(full({2}, wrong, DType::u8), DTypeError);
  }
  CHECK_NOTHROW(static_cast<void>(bytes == 255.0));
  CHECK(message_of<DTypeError>([] { full({2}, 1e40); }) ==
        "full: 1e+40 does not fit f32; use a wider or floating dtype");
  CHECK_THROWS_AS(full({}, 1e6, DType::f16), DTypeError);
  CHECK_THROWS_AS(full({}, 2, DType::boolean), DTypeError);
  CHECK_THROWS_AS(full({}, 0x1p63, DType::i64), DTypeError);
  CHECK(full({}, -0x1p63, DType::i64).item<int64_t>() == std::numeric_limits<int64_t>::min());
  CHECK(full({}, HUGE_VAL, DType::f16).item() == HUGE_VAL);
  CHECK(full({}, 0x1p64 - 2048, DType::u64).item<uint64_t>() == 0 - uint64_t{2048});
}

TEST_CASE("integers are spaced exactly, or not at all") {
  CHECK(sum(cast(not_equal(linspace(0, 49, 50, DType::i64), arange(50)), DType::i64)).item<int64_t>() == 0);
  CHECK(values<int64_t>(linspace(10, 4, 3, DType::i64)) == std::vector<int64_t>{10, 7, 4});
  CHECK_THROWS_AS(arange(0, 1, 0.1), DTypeError);
  CHECK(arange(0, 1, 0.25, DType::f32)[3].item() == 0.75);
}

TEST_CASE("narrow floats are summed in wide ones") {
  const Tensor x = cast(arange(500), DType::f16);
  CHECK(var(x).item() == doctest::Approx(20875).epsilon(0.001));
  Tensor equal_ones = ones({70000}, DType::f16);
  equal_ones.set_requires_grad();
  max(equal_ones).backward(full({}, 60000, DType::f16));
  CHECK(equal_ones.grad()[0].item() == doctest::Approx(60000.0 / 70000).epsilon(0.001));
  CHECK(logsumexp(zeros({0})).item() == -HUGE_VAL);
}

TEST_CASE("shapes are checked when they are indexed") {
  const Shape shape{2, 3};
  CHECK_THROWS_AS(shape[-1], ShapeError);
  CHECK_THROWS_AS(shape[2], ShapeError);
  CHECK_THROWS_AS(Shape{}.back(), ShapeError);
  CHECK_THROWS_WITH_AS(softmax(ones({})), doctest::Contains("of a scalar"), ShapeError);
}

TEST_CASE("devices have names, and tensors are made on the current one") {
  CHECK(device_named("cpu") == kCpu);
  CHECK(device_named("cuda") == kCuda);
  CHECK(device_named("cuda:3") == Device{DeviceKind::cuda, 3});
  for (const char* wrong : {"", "gpu", "cuda:", "cuda:x", "cuda:-1", "cuda:1 "})
    CHECK(contains(message_of<DeviceError>([&] { device_named(wrong); }), "required is cpu, cuda or cuda:N"));
  CHECK(current_device() == kCpu);
  {
    const OnDevice on({DeviceKind::cuda, 1000});  // which no machine has
    CHECK(current_device().index == 1000);
    CHECK_THROWS_AS(zeros({2}), DeviceError);
    const OnDevice inner(kCpu);
    CHECK(zeros({2}).device() == kCpu);
  }
  CHECK(current_device() == kCpu);
  const Tensor x = transpose(tensor<float>({1, 2, 3, 4}, {2, 2}));
  CHECK(x.to(kCpu).strides() == x.strides());  // itself
  CHECK_THROWS_AS(x.to({DeviceKind::cuda, 1000}), DeviceError);
}
