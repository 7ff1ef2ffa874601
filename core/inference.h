// Inference: a function traced beforehand and answered by many threads, each in memory of its own, from the
// caller's buffers into the caller's buffers. A call allocates nothing.
//
//   Inference answer(model, {zeros({1, 784})});                       // after eval(model)
//   std::thread([answer]() mutable { answer.run({pixels}, {scores}); })   // a copy for each thread
#pragma once

#include <algorithm>
#include <initializer_list>
#include <ranges>

#include <varve/core/plan.h>

namespace varve {

// Memory of the caller's for the time of a call.
class VARVE_API Lent {
 protected:
  explicit Lent(const Tensor& tensor)
      : Lent(tensor.view().data, tensor.dtype(), static_cast<size_t>(tensor.numel())) {
    tensor_ = &tensor.value();
  }
  Lent(const void* data, DType dtype, size_t count)
      : data_(static_cast<std::byte*>(const_cast<void*>(data))), dtype_(dtype), count_(count) {}

 private:
  friend class Inference;
  std::byte* end() const { return data_ + count_ * size_of(dtype_); }
  bool overlaps(const std::byte* first, const std::byte* last) const {
    return std::max<const std::byte*>(data_, first) < std::min<const std::byte*>(end(), last);
  }
  // Unless it is of that kind, on that device.
  void check(const Spec& required, const Backend& on, const char* what, size_t number) const;

  std::byte* data_;  // of inputs nothing is written, though views are not const
  DType dtype_;
  size_t count_;
  const Value* tensor_ = nullptr;  // of a tensor, which must have the shape, too
};

// What an input is read from: a tensor, or a span, vector or array of its elements.
class ReadFrom : public Lent {
 public:
  ReadFrom(const Tensor& tensor) : Lent(tensor) {}  // NOLINT: implicit by design
  template <std::ranges::contiguous_range R>
  ReadFrom(const R& r) requires Element<std::ranges::range_value_t<R>>  // NOLINT: implicit by design
      : Lent(std::ranges::data(r), dtype_of<std::ranges::range_value_t<R>>, std::ranges::size(r)) {}
};

// What an output is written to.
class WriteTo : public Lent {
 public:
  WriteTo(const Tensor& tensor) : Lent(tensor) {}  // NOLINT: implicit by design
  template <std::ranges::contiguous_range R>
  WriteTo(R&& r)  // NOLINT: implicit by design
      requires Element<std::remove_reference_t<std::ranges::range_reference_t<R>>>
      : Lent(std::ranges::data(r), dtype_of<std::ranges::range_value_t<R>>, std::ranges::size(r)) {}
};

class VARVE_API Inference {
 public:
  // Traces f (a module, a Model, a function of tensors or of Tensors) on inputs like the examples, in the
  // modes that its layers have now. An Error where it writes to what it did not make: threads would share it.
  template <class F>
  Inference(F&& f, const Tensors& examples)
      : Inference(planned([&f](const Tensors& in) { return detail::call_module(f, in); }, examples)) {}

  // A copy shares all but the memory for what lies between inputs and outputs. One may be used by one thread
  // at a time, copies by as many at once.
  Inference(const Inference& other) : Inference(other.shared()) {}
  Inference(Inference&&) noexcept = default;
  Inference& operator=(const Inference& other) { return *this = Inference(other); }
  Inference& operator=(Inference&&) noexcept = default;
  ~Inference() = default;

  // As many inputs and outputs as the function has, each of the dtype and shape it had when traced; outputs
  // may overlap neither inputs, nor one another, nor what the function captured. Parameters are read as they
  // are now: let nobody write to them meanwhile.
  void run(std::span<const ReadFrom> in, std::span<const WriteTo> out);
  void run(std::initializer_list<ReadFrom> in, std::initializer_list<WriteTo> out) {
    run(std::span<const ReadFrom>(in.begin(), in.size()), std::span<const WriteTo>(out.begin(), out.size()));
  }

  Specs inputs() const;
  Specs outputs() const;
  const Plan& plan() const { return *shared(); }

 private:
  using Function = std::function<Tensors(const Tensors&)>;
  explicit Inference(std::shared_ptr<const Plan> plan) : plan_(std::move(plan)), frame_(*plan_) {}
  const std::shared_ptr<const Plan>& shared() const;  // an Error once moved from
  static std::shared_ptr<const Plan> planned(const Function& f, const Tensors& examples);
  void check(std::span<const ReadFrom> in, std::span<const WriteTo> out) const;
  void check_apart(std::span<const ReadFrom> in, std::span<const WriteTo> out) const;

  std::shared_ptr<const Plan> plan_;
  Plan::Frame frame_;
};

}  // namespace varve
