// Tensors as text, as NumPy prints them.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <ostream>
#include <vector>

#include <varve/core/ops/copy.h>
#include <varve/core/record.h>
#include <varve/core/tensor.h>

namespace varve {
namespace {

constexpr int64_t kMostElements = 1000, kEdge = 3;

// The indices of an axis that are shown; -1 stands for those that are not.
std::vector<int64_t> shown(int64_t size, bool cut) {
  std::vector<int64_t> out;
  for (int64_t i = 0; i < size; ++i) {
    if (cut && size > 2 * kEdge && i == kEdge) {
      out.push_back(-1);
      i = size - kEdge;
    }
    out.push_back(i);
  }
  return out;
}

class Printer {
 public:
  explicit Printer(const Tensor& tensor)
      : values_(no_grad([&] { return contiguous(cast(tensor.detach(), wide(tensor.dtype()))).to(kCpu); })),
        dtype_(tensor.dtype()),
        cut_(tensor.numel() > kMostElements) {
    if (is_floating(dtype_)) choose_format(0, 0);
  }

  std::string text() {
    measure(0, 0);
    return rows(0, 0);
  }

 private:
  static DType wide(DType dtype) {
    return is_floating(dtype) ? DType::f64 : dtype == DType::u64 ? dtype : DType::i64;
  }

  std::string element(int64_t at) const {
    if (dtype_ == DType::boolean) return values_.data<int64_t>()[at] ? "True" : "False";
    if (dtype_ == DType::u64) return fmt::format("{}", values_.data<uint64_t>()[at]);
    if (!is_floating(dtype_)) return fmt::format("{}", values_.data<int64_t>()[at]);
    const double v = values_.data<double>()[at];
    if (std::isnan(v)) return "nan";  // its sign means nothing
    if (std::isinf(v)) return fmt::format("{}", v);
    if (scientific_) return fmt::format("{:.4e}", v);
    std::string s = fmt::format("{:.{}f}", v, digits_);
    return digits_ == 0 ? s + '.' : s;
  }

  template <class F>
  void each_shown(int axis, int64_t base, F&& f) const {
    const Shape& shape = values_.shape();
    if (axis == shape.rank()) return f(base);
    for (int64_t i : shown(shape[axis], cut_))
      if (i >= 0) each_shown(axis + 1, base * shape[axis] + i, f);
  }

  // As many digits as the values need, four at most; powers of ten where they differ too much.
  void choose_format(int axis, int64_t base) {
    double largest = 0, smallest = HUGE_VAL;
    each_shown(axis, base, [&](int64_t at) {
      const double v = std::abs(values_.data<double>()[at]);
      if (!std::isfinite(v) || v == 0) return;
      largest = std::max(largest, v);
      smallest = std::min(smallest, v);
    });
    scientific_ = largest >= 1e8 || (largest > 0 && (smallest < 1e-4 || largest / smallest > 1e3 * 1e3));
    digits_ = 0;
    each_shown(axis, base, [&](int64_t at) {
      const double v = values_.data<double>()[at];
      if (!std::isfinite(v)) return;
      const std::string s = fmt::format("{:.4f}", v);
      digits_ = std::max(digits_, static_cast<int>(s.find_last_not_of('0') - s.find('.')));
    });
  }

  void measure(int axis, int64_t base) {
    each_shown(axis, base, [&](int64_t at) { width_ = std::max(width_, element(at).size()); });
  }

  std::string rows(int axis, int64_t base) const {
    const Shape& shape = values_.shape();
    if (axis == shape.rank()) return fmt::format("{:>{}}", element(base), width_);
    const bool last = axis == shape.rank() - 1;
    const std::string between = last ? ", "
                                     : "," + std::string(static_cast<size_t>(shape.rank() - axis - 1), '\n') +
                                           std::string(static_cast<size_t>(axis) + 1, ' ');
    std::string out = "[";
    for (int64_t i : shown(shape[axis], cut_)) {
      if (out.size() > 1) out += between;
      out += i < 0 ? "..." : rows(axis + 1, base * shape[axis] + i);
    }
    return out + "]";
  }

  Tensor values_;
  DType dtype_;
  bool cut_, scientific_ = false;
  int digits_ = 4;
  size_t width_ = 0;
};

}  // namespace

std::string to_string(const Tensor& tensor) {
  if (!tensor.defined()) return "undefined";
  return fmt::format("{} {}", Printer(tensor).text(), to_string(tensor.spec()));
}

std::ostream& operator<<(std::ostream& out, const Tensor& tensor) { return out << to_string(tensor); }

}  // namespace varve
