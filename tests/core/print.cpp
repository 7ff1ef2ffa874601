// Tensors as text, as NumPy has them.
#include <doctest/doctest.h>

#include <cmath>
#include <sstream>

#include <varve/core/graph.h>
#include <varve/core/ops/make.h>
#include <varve/core/ops/pointwise.h>
#include <varve/core/ops/views.h>
#include <varve/core/tensor.h>

using namespace varve;

TEST_CASE("small tensors print in full, columns aligned") {
  CHECK(to_string(tensor<float>({1, 2.5f, -3})) == "[ 1.0,  2.5, -3.0] f32[3]");
  CHECK(to_string(tensor<float>({1, 2, 3})) == "[1., 2., 3.] f32[3]");
  CHECK(to_string(tensor<int64_t>({1, -20, 3}, {3})) == "[  1, -20,   3] i64[3]");
  CHECK(to_string(tensor<int32_t>({1, 2, 3, 4}, {2, 2})) == "[[1, 2],\n [3, 4]] i32[2, 2]");
  CHECK(to_string(tensor<bool>({true, false})) == "[ True, False] bool[2]");
  CHECK(to_string(full({}, 2.5)) == "2.5 f32[]");
  CHECK(to_string(zeros({0, 3})) == "[] f32[0, 3]");
  CHECK(to_string(Tensor()) == "undefined");
}

TEST_CASE("blocks of a cube stand apart by an empty line") {
  CHECK(to_string(reshape(arange(8), {2, 2, 2})) ==
        "[[[0, 1],\n  [2, 3]],\n\n [[4, 5],\n  [6, 7]]] i64[2, 2, 2]");
}

TEST_CASE("floats show as many digits as they need, four at most") {
  CHECK(to_string(tensor<double>({0.1234567, 1})) == "[0.1235, 1.0000] f64[2]");
  CHECK(to_string(tensor<double>({0.25})) == "[0.25] f64[1]");
  CHECK(to_string(tensor<double>({-NAN, HUGE_VAL, -HUGE_VAL, 1})) == "[ nan,  inf, -inf,   1.] f64[4]");
  CHECK(to_string(tensor<double>({1e-10, 1})).find("1.0000e-10") != std::string::npos);
  CHECK(to_string(tensor<double>({1e12})).find("1.0000e+12") != std::string::npos);
}

TEST_CASE("floats turn to powers of ten where they are large, small, or far apart") {
  const auto scientific = [](std::initializer_list<double> values) {
    return to_string(tensor<double>(values)).find("e") != std::string::npos;
  };
  CHECK_FALSE(scientific({99999999}));
  CHECK(scientific({1e8}));
  CHECK(scientific({-1e8}));
  CHECK_FALSE(scientific({1e-4}));
  CHECK(scientific({0.99e-4}));
  CHECK_FALSE(scientific({3, 3e6}));
  CHECK(scientific({3, 3.1e6}));
  CHECK_FALSE(scientific({0, HUGE_VAL, -99999999}));
}

TEST_CASE("a long axis is cut to its first and last three") {
  CHECK(to_string(arange(1001)) == "[   0,    1,    2, ...,  998,  999, 1000] i64[1001]");
  CHECK(to_string(arange(1000)).find("...") == std::string::npos);
  const std::string wide = to_string(reshape(arange(40 * 40), {40, 40}));
  CHECK(std::count(wide.begin(), wide.end(), '\n') == 6);
  CHECK(wide.find("[   0,    1,    2, ...,   37,   38,   39]") != std::string::npos);
  CHECK(wide.find(",\n ...,\n") != std::string::npos);
  CHECK(wide.find("1597, 1598, 1599]]") != std::string::npos);
}

TEST_CASE("strided and broadcast tensors print their elements in index order") {
  const Tensor x = reshape(arange(6), {2, 3});
  CHECK(to_string(transpose(x)) == "[[0, 3],\n [1, 4],\n [2, 5]] i64[3, 2]");
  CHECK(to_string(flip(x, 1)[0]) == "[2, 1, 0] i64[3]");
  CHECK(to_string(expand(full({}, 7, DType::u8), {2})) == "[7, 7] u8[2]");
}

TEST_CASE("the largest integers print exactly") {
  CHECK(to_string(tensor<uint64_t>({18446744073709551615u})) == "[18446744073709551615] u64[1]");
  CHECK(to_string(tensor<int64_t>({INT64_MIN})) == "[-9223372036854775808] i64[1]");
}

TEST_CASE("a stream gets the same text, and printing needs no gradient") {
  Tensor x = tensor<float>({1, 2});
  x.set_requires_grad();
  std::ostringstream out;
  out << x * 2.0;
  CHECK(out.str() == "[2., 4.] f32[2]");
}

TEST_CASE("printing while tracing is an error") {
  CHECK_THROWS_AS(trace(
                      [](const Tensors& in) {
                        (void)to_string(in[0]);
                        return in;
                      },
                      {ones({2})}),
                  Error);
}
