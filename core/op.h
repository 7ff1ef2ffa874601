// Op: one operation as data. A struct with a name, fields and the few functions below; nothing else is
// written for it.
//
// clang-format off
//   static constexpr OpName name{"matmul", 1};             what a file stores; the version grows with the fields' meaning
//   static void fields(auto& self, auto&& field);          field("name", self.member) for every member; absent: it has none
//   Specs infer(const Specs& in) const;                    the outputs, or ShapeError / DTypeError
//   void run(Backend&, Views in, Views out, const View& scratch) const;      calls kernel families, never allocates;
//                                                          inputs have any strides, outputs are contiguous
//   std::optional<View> alias(const View& in) const;       optional: the output as a view of input 0, without a kernel;
//                                                          Aliases, where there are several
//   size_t scratch(Views in, Views out) const;             optional: bytes run needs beside its outputs
//   std::optional<RowUse> rows(Views in, Views out) const; optional: that run may be done for some rows of the output alone
//   static constexpr bool refuses = true;                  optional: run may throw for what it reads, an index out of range
//   static constexpr uint32_t updates = 0b1;               optional: bit i: run writes input i in place
//   Keep keep() const;                                     optional: what vjp reads
//   Tensors vjp(const Saved& s, const Tensors& dy) const;  optional: gradients, made of ops; absent: no gradient
//   static Attributes upgrade(int version, Attributes a);  optional: attributes of an older version made current
// clang-format on
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <varve/core/few.h>
#include <varve/core/tensor.h>
#include <varve/core/typelist.h>

namespace varve {

struct OpName {
  std::string_view name;
  int version = 1;
};
using Specs = Few<Spec, 3>;
using Aliases = Few<View, 2>;

// For infer: unless there are `count` inputs, a ShapeError that says how many `op` was given.
VARVE_API void require_inputs(const Specs& in, size_t count, std::string_view op);

// Bit i of `inputs` (`outputs`): vjp reads the value of input (output) i.
struct Keep {
  uint32_t inputs = 0, outputs = 0;
};

// What some rows of an output (or of the input that is updated first) need of the inputs, a row being what
// lies along the last axis: the same rows, aligned at the last axis, of those that are not broadcast. But of
// `whole` inputs (bit i: input i) all of the last two axes; of `turned` ones the same entries of the last
// axis; and of `flat` ones, which have no axis along a row, the same elements.
struct RowUse {
  uint32_t whole = 0, turned = 0, flat = 0;
  int64_t terms = 1;  // that each element of the output is made of
};

// The closed set of attribute types; a DType travels as its name.
using Attribute = std::variant<bool, int64_t, double, std::string, Dims>;
using Attributes = std::vector<std::pair<std::string, Attribute>>;

class Saved;

// Any op, behind one interface: what records, graphs and plans hold.
class VARVE_API AnyOp {
 public:
  virtual ~AnyOp() = default;
  virtual OpName name() const = 0;
  virtual Attributes attributes() const = 0;
  virtual Specs infer(const Specs& in) const = 0;
  virtual Aliases alias(const View& in) const = 0;  // of every output, or of none
  virtual size_t scratch(Views in, Views out) const = 0;
  virtual void run(Backend& on, Views in, Views out, const View& scratch) const = 0;
  virtual std::optional<RowUse> rows(Views in, Views out) const = 0;
  virtual bool refuses() const = 0;
  virtual uint32_t updates() const = 0;
  bool writes(size_t i) const { return i < 32 && ((updates() >> i) & 1u); }
  virtual bool differentiable() const = 0;
  virtual Keep keep() const = 0;
  virtual Tensors vjp(const Saved& saved, const Tensors& dy) const = 0;
  virtual std::shared_ptr<const AnyOp> share() const = 0;
};
using OpPtr = std::shared_ptr<const AnyOp>;

struct AnyField {
  template <class F>
  void operator()(const char*, F&&) const {}
};
template <class T>
concept HasFields = requires(T& op) {
  T::fields(op, AnyField{});
};

template <class T>
concept Op = std::copyable<T> && requires(const T op, const Specs specs) {
  { T::name } -> std::convertible_to<OpName>;
  { op.infer(specs) } -> std::same_as<Specs>;
};

// Attributes of any struct that lists its fields, and back.
template <class T>
Attributes attributes_of(const T& op);
template <class T>
T from_attributes(const Attributes& attributes);

template <Op T>
class OpOf final : public AnyOp {
  static_assert(std::is_empty_v<T> || HasFields<T>,
                "an op lists its members in fields(): they are what it is when saved, loaded or compared");

 public:
  explicit OpOf(T op) : op_(std::move(op)) {}
  const T& op() const { return op_; }

  OpName name() const override { return T::name; }
  Attributes attributes() const override { return attributes_of(op_); }
  Specs infer(const Specs& in) const override { return op_.infer(in); }
  Aliases alias(const View& in) const override {
    if constexpr (requires {
                    { op_.alias(in) } -> std::same_as<Aliases>;
                  })
      return op_.alias(in);
    else if constexpr (requires { op_.alias(in); })
      if (const std::optional<View> one = op_.alias(in)) return {*one};
    return {};
  }
  size_t scratch(Views in, Views out) const override {
    if constexpr (requires { op_.scratch(in, out); })
      return op_.scratch(in, out);
    else
      return 0;
  }
  void run(Backend& on, Views in, Views out, const View& scratch) const override {
    if constexpr (requires { op_.run(on, in, out, scratch); }) op_.run(on, in, out, scratch);
  }
  std::optional<RowUse> rows(Views in, Views out) const override {
    if constexpr (requires { op_.rows(in, out); })
      return op_.rows(in, out);
    else
      return std::nullopt;
  }
  bool refuses() const override {
    return requires { requires T::refuses; };
  }
  uint32_t updates() const override {
    if constexpr (requires { T::updates; })
      return T::updates;
    else
      return 0;
  }
  bool differentiable() const override { return kHasVjp; }
  Keep keep() const override {
    if constexpr (requires { op_.keep(); })
      return op_.keep();
    else
      return {};
  }
  Tensors vjp(const Saved& saved, const Tensors& dy) const override {
    if constexpr (kHasVjp)
      return op_.vjp(saved, dy);
    else
      return {};
  }
  OpPtr share() const override {
    if constexpr (std::is_empty_v<T>) {  // they are all alike: one serves every record, uncounted
      static const OpOf one(op_);
      return OpPtr(OpPtr(), &one);
    } else {
      return std::make_shared<const OpOf>(op_);
    }
  }

 private:
  static constexpr bool kHasVjp = requires(const T& op, const Saved& s, const Tensors& dy) { op.vjp(s, dy); };
  T op_;
};

// ---- doing it ----

// Applies an op: infers, allocates, runs, records for backward and for an open trace. Inputs are on one
// device.
VARVE_API Tensors apply_op(const AnyOp& op, std::span<const Tensor> inputs);
template <Op T>
Tensors apply_op(const T& op, std::initializer_list<Tensor> inputs) {
  return apply_op(OpOf<T>(op), std::span(inputs.begin(), inputs.size()));
}
// The same for an op of one output; it must have one.
VARVE_API Tensor apply_one(const AnyOp& op, std::span<const Tensor> inputs);
template <Op T>
Tensor apply_one(const T& op, std::initializer_list<Tensor> inputs) {
  return apply_one(OpOf<T>(op), std::span(inputs.begin(), inputs.size()));
}

// ---- the registry: names to ops, for loading ----

struct OpMaker {
  int version;
  OpPtr (*make)(const Attributes&);
  Attributes (*upgrade)(int version, Attributes);
};
VARVE_API void register_op(std::string_view name, OpMaker maker);
// An Error unless this program knows the op of that name and a version at least as new.
VARVE_API void require_op(std::string_view name, int version);
// The op of that name, which is required. An older version is upgraded.
VARVE_API OpPtr make_op(std::string_view name, int version, const Attributes& attributes);

template <Op T>
OpMaker op_maker() {
  return {T::name.version,
          [](const Attributes& a) -> OpPtr { return std::make_shared<const OpOf<T>>(from_attributes<T>(a)); },
          [](int version, Attributes a) -> Attributes {
            if constexpr (requires { T::upgrade(version, a); })
              return T::upgrade(version, std::move(a));
            else
              return a;
          }};
}
// Makes a user's op loadable by name; call it once at program start.
template <Op T>
void register_op() {
  register_op(T::name.name, op_maker<T>());
}

// Whether they are of one type and their attributes have the same bits: a NaN is like itself.
VARVE_API bool same_op(const AnyOp& a, const AnyOp& b);

// "matmul(transpose_a=false, transpose_b=true)"
VARVE_API std::string to_string(const AnyOp& op);

// ---- attributes ----

// The attribute of that name; an Error when it is missing.
VARVE_API const Attribute& attribute_named(const Attributes& attributes, const char* name);
[[noreturn]] VARVE_API void wrong_attribute_type(const char* name);

template <class T>
Attributes attributes_of(const T& op) {
  Attributes out;
  if constexpr (HasFields<T>)
    T::fields(op, [&]<class F>(const char* name, const F& member) {
      if constexpr (std::is_same_v<F, DType>)
        out.emplace_back(name, std::string(name_of(member)));
      else
        out.emplace_back(name, Attribute(member));
    });
  return out;
}

template <class T>
T from_attributes(const Attributes& attributes) {
  T op{};
  if constexpr (HasFields<T>)
    T::fields(op, [&]<class F>(const char* name, F& member) {
      using Stored = std::conditional_t<std::is_same_v<F, DType>, std::string, F>;
      const auto* stored = std::get_if<Stored>(&attribute_named(attributes, name));
      if (!stored) wrong_attribute_type(name);
      if constexpr (std::is_same_v<F, DType>)
        member = dtype_named(*stored);
      else
        member = *stored;
    });
  return op;
}

}  // namespace varve
