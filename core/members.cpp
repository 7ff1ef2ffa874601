#include <varve/core/members.h>

#include <fmt/format.h>

#include <varve/core/graph.h>
#include <varve/core/ops/copy.h>
#include <varve/core/record.h>

namespace varve {

bool Mode::training() const {
  if (Trace* trace = Trace::current())
    trace->guard(training_.get(), [training = training_] { return *training; });
  return *training_;
}

namespace detail {

void Collector::add(const std::string& name, const Tensor& t, bool buffer) {
  const auto [found, first] = seen.emplace(t.value_ptr().get(), name);
  entries.push_back({name, t, buffer, first ? "" : found->second});
}

void Cloner::parameter(const std::string&, Tensor& t) {
  Tensor& copy = clones[t.value_ptr()];
  if (!copy.defined()) {
    copy = no_grad([&] { return clone(t.detach()); });
    if (t.requires_grad()) copy.set_requires_grad();
    copy.set_label(t.label());
  }
  t = copy;
}

Mover Mover::to(Device device) {
  return {[device](const Tensor& t) { return t.device() == device ? Tensor() : t.to(device); }};
}

Mover Mover::to(DType dtype) {
  if (!is_floating(dtype))
    throw DTypeError(fmt::format(
        "to: dtype {}; a module is trained in a floating type: f32, f64, f16 or bf16", name_of(dtype)));
  return {[dtype](const Tensor& t) {
    return t.dtype() == dtype || !is_floating(t.dtype()) ? Tensor() : cast(t, dtype);
  }};
}

void Mover::parameter(const std::string&, Tensor& t) {
  if (puts) {
    // A member met again is what was put there.
    if (const auto found = made.find(t.value_ptr()); found != made.end() && found->second.defined())
      t = found->second;
    return;
  }
  const auto [at, is_new] = made.try_emplace(t.value_ptr());
  if (!is_new) return;
  Tensor& there = at->second = moved(t.detach());
  if (!there.defined()) return;
  if (t.requires_grad()) there.set_requires_grad();
  there.set_label(t.label());
}

}  // namespace detail

std::string summary(const std::vector<MemberEntry>& entries) {
  size_t width = 4;
  for (const MemberEntry& e : entries) width = std::max(width, e.name.size());
  std::string out = fmt::format("{:<{}}  {:<18}{:<7}{:>12}\n", "name", width, "shape", "dtype", "numbers");
  int64_t trained = 0, kept = 0;
  for (const MemberEntry& e : entries) {
    const bool tied = !e.alias_of.empty();
    out += fmt::format("{:<{}}  {:<18}{:<7}{:>12}{}\n", e.name, width, to_string(e.tensor.shape()),
                       name_of(e.tensor.dtype()), tied ? "" : fmt::format("{}", e.tensor.numel()),
                       tied       ? "  tied to " + e.alias_of
                       : e.buffer ? "  buffer"
                                  : "");
    if (!tied) (e.buffer ? kept : trained) += e.tensor.numel();
  }
  return out + fmt::format("{} parameters{}\n", trained, kept ? fmt::format(", {} in buffers", kept) : "");
}

}  // namespace varve
