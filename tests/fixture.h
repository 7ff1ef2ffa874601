// Fixture: named tensors from tests/fixtures, as scripts/fixtures.py writes them, and how far two tensors are
// apart.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include <varve/core/named_tensors.h>
#include <varve/core/ops/copy.h>
#include <varve/core/ops/make.h>

namespace varve::test {

class Fixture {
 public:
  // The file of that name without its ending; Error when it is absent.
  explicit Fixture(const std::string& file) {
    std::ifstream in(std::string(VARVE_TEST_DATA) + "/" + file + ".txt");
    if (!in) throw Error("fixture: cannot open '" + file + "'");
    std::string head, values;
    while (std::getline(in, head) && std::getline(in, values)) add(head, values);
  }
  const Tensor& operator[](const std::string& name) const {
    const Tensor* found = tensors_.find(name);
    if (!found) throw Error("fixture: no tensor '" + name + "'");
    return *found;
  }

 private:
  void add(const std::string& head, const std::string& values) {
    std::istringstream words(head);
    std::string name, dtype;
    words >> name >> dtype;
    Shape shape;
    for (int64_t size = 0; words >> size;) shape.push_back(size);
    std::vector<double> numbers;  // exact: the fixtures' integers are small
    const char* at = values.c_str();
    for (char* end = nullptr;; at = end) {
      const double value = std::strtod(at, &end);
      if (end == at) break;
      numbers.push_back(value);
    }
    tensors_.add(name, cast(from_span(std::span<const double>(numbers), shape), dtype_named(dtype)));
  }
  NamedTensors tensors_;
};

// The largest difference over the largest value of `expected`; infinite if the shapes or dtypes differ or a
// NaN is met.
inline double distance(const Tensor& found, const Tensor& expected) {
  if (found.spec() != expected.spec()) return HUGE_VAL;
  const Tensor a = contiguous(cast(found.detach(), DType::f64)),
               b = contiguous(cast(expected.detach(), DType::f64));
  double difference = 0, largest = 0;
  for (size_t i = 0; i < a.data<double>().size(); ++i) {
    const double d = std::abs(a.data<double>()[i] - b.data<double>()[i]);
    if (!(d <= HUGE_VAL)) return HUGE_VAL;
    difference = std::max(difference, d);
    largest = std::max(largest, std::abs(b.data<double>()[i]));
  }
  return difference == 0 ? 0 : difference / largest;
}

// How far results may be from PyTorch's.
inline double tolerance(DType dtype) { return dtype == DType::f32 ? 1e-5 : 1e-10; }

using varve::identical;

}  // namespace varve::test
