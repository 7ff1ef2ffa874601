#include <varve/optim/optimizer.h>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include <varve/core/ops/copy.h>
#include <varve/core/ops/elementwise.h>
#include <varve/core/ops/make.h>
#include <varve/core/ops/pointwise.h>
#include <varve/core/ops/views.h>
#include <varve/core/record.h>

namespace varve::optim {
namespace {

std::string option_name(size_t group, std::string_view option) {
  return fmt::format("groups.{}.{}", group, option);
}

Tensor number(double value) { return full({}, value, DType::f64); }

void check_lr(double lr) {
  check_option(lr >= 0 && std::isfinite(lr), "lr", lr, "a finite number, at least 0");
}

}  // namespace

void check_option(bool sensible, const char* option, double value, const char* required) {
  if (!sensible) throw Error(fmt::format("optimizer: {} = {}; required is {}", option, value, required));
}

Optimizer::Optimizer(const char* name, std::vector<std::string_view> moment_names)
    : name_(name), moment_names_(std::move(moment_names)) {}

void Optimizer::add_group(const NamedTensors& parameters, double lr) {
  check_lr(lr);
  const auto first = std::find_if(parameters.begin(), parameters.end(),
                                  [](const NamedTensor& p) { return p.tensor.defined(); });
  const OnDevice on(first == parameters.end() ? current_device() : first->tensor.device());
  groups_.push_back({{}, number(lr), zeros({static_cast<int64_t>(parameters.size())}, DType::f64)});
  for (const NamedTensor& given : parameters) {
    check_new(given);
    Parameter p{given.name, given.tensor, {}, {}};
    if (is_half(given.tensor.dtype())) p.master = cast(given.tensor.detach(), DType::f32);
    for (size_t i = 0; i < moment_names_.size(); ++i) p.moments[i] = zeros_like(p.trained());
    if (given.tensor.label().empty()) given.tensor.set_label(given.name);
    groups_.back().parameters.push_back(std::move(p));
  }
}

void Optimizer::check_new(const NamedTensor& given) const {
  const auto refuse = [&](const std::string& why) {
    throw Error(fmt::format("{}: parameter '{}' {}", name_, given.name, why));
  };
  if (!given.tensor.defined()) refuse("is undefined");
  if (!given.tensor.requires_grad() || !given.tensor.is_leaf())
    refuse("is not a leaf that requires a gradient; leave it out, or call set_requires_grad() on it");
  for (const GroupState& group : groups_)
    for (const Parameter& held : group.parameters) {
      if (held.name == given.name) refuse("is named like another; names must differ, give one a prefix");
      if (held.tensor.value_ptr() == given.tensor.value_ptr())
        refuse(fmt::format("is '{}' again; give each tensor once", held.name));
    }
}

// Whether a sweep has been seen; an Error if it reached a leaf that no walk and no optimizer has named.
bool Optimizer::check_reached() const {
  const void* seen = nullptr;
  for (const GroupState& group : groups_)
    for (const Parameter& p : group.parameters) {
      if (!p.tensor.requires_grad()) continue;  // frozen since
      const auto& reached = p.tensor.edge().node->reached;
      if (!reached || reached.get() == seen) continue;
      seen = reached.get();
      for (const auto& weak : *reached)
        if (const ValuePtr value = weak.lock(); value && value->storage->label().empty())
          throw Error(fmt::format(
              "{}: the loss also reaches a tensor {} that requires a gradient and has no name: no "
              "optimizer holds it and no walk labelled it. Visit it in members(), or, if it is not to be "
              "trained, set_requires_grad(false) or give it a label",
              name_, to_string(value->spec())));
    }
  return seen != nullptr;
}

void Optimizer::step() {
  if (!checked_) checked_ = check_reached();
  const NoGrad guard;
  for (size_t g = 0; g < groups_.size(); ++g) {
    count_steps(groups_[g]);
    renew_masters(groups_[g]);
    update(g, groups_[g]);
    round_masters(groups_[g]);
  }
}

// A parameter that was loaded, or written otherwise, since the last step is trained from what it is now.
void Optimizer::renew_masters(const GroupState& group) {
  for (const Parameter& p : group.parameters) {
    if (!p.master.defined() || !p.tensor.grad().defined()) continue;
    const Tensor half = p.tensor.detach();
    apply_op(MasterStep{}, {p.master, cast(p.master, half.dtype()), half});
  }
}

void Optimizer::round_masters(const GroupState& group) {
  for (const Parameter& p : group.parameters)
    if (p.master.defined() && p.tensor.grad().defined()) p.tensor.assign(p.master);
}

void Optimizer::count_steps(const GroupState& group) {
  const auto has_gradient = [](const Parameter& p) { return p.tensor.grad().defined(); };
  if (std::all_of(group.parameters.begin(), group.parameters.end(), has_gradient))
    return group.steps.assign(group.steps + 1);
  for (size_t i = 0; i < group.parameters.size(); ++i) {
    const Tensor count = group.steps[static_cast<int64_t>(i)];
    if (has_gradient(group.parameters[i])) count.assign(count + 1);
  }
}

void Optimizer::zero_grad() const {
  for (const GroupState& group : groups_)
    for (const Parameter& p : group.parameters) p.tensor.zero_grad();
}

void Optimizer::set_lr(double lr) const {
  for (size_t g = 0; g < groups_.size(); ++g) set_lr(lr, g);
}

void Optimizer::set_lr(double lr, size_t group) const {
  check_lr(lr);
  group_at(group).lr.fill(lr);
}

double Optimizer::lr(size_t group) const { return group_at(group).lr.item(); }

const Optimizer::GroupState& Optimizer::group_at(size_t group) const {
  if (group < groups_.size()) return groups_[group];
  throw Error(fmt::format("{}: group {}; there are {}, counted from 0", name_, group, groups_.size()));
}

NamedTensors Optimizer::state_dict() const {
  NamedTensors out;
  for (size_t i = 0; i < moment_names_.size(); ++i)
    for (const GroupState& group : groups_)
      for (const Parameter& p : group.parameters)
        out.add(fmt::format("{}.{}", moment_names_[i], p.name), p.moments[i]);
  for (const GroupState& group : groups_)
    for (const Parameter& p : group.parameters)
      if (p.master.defined()) out.add("master." + p.name, p.master);
  for (const GroupState& group : groups_)
    for (size_t i = 0; i < group.parameters.size(); ++i)
      out.add("step." + group.parameters[i].name, group.steps[static_cast<int64_t>(i)]);
  for (size_t g = 0; g < groups_.size(); ++g) {
    out.add(option_name(g, "lr"), groups_[g].lr);
    for (const auto& [name, value] : options(g)) out.add(option_name(g, name), number(value));
  }
  return out;
}

StagedLoad Optimizer::stage_load(const NamedTensors& state, bool strict) {
  for (size_t g = 0; g < groups_.size(); ++g) check_lr(option_in(state, g, "lr", 0));
  return varve::stage_load(state_dict(), state, strict);
}

double Optimizer::option_in(const NamedTensors& state, size_t group, std::string_view name,
                            double otherwise) {
  const Tensor* found = state.find(option_name(group, name));
  return found && found->spec() == Spec{DType::f64, {}} ? found->item() : otherwise;
}

}  // namespace varve::optim
