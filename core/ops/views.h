// Ops that look at the same memory in another way: views where strides allow it, else one copy.
#pragma once

#include <limits>

#include <varve/core/op.h>

namespace varve {

// ---- the ops ----

struct Reshape {  // one size may be -1: what is left
  static constexpr OpName name{"reshape", 1};
  Dims shape;
  static void fields(auto& self, auto&& field) { field("shape", self.shape); }
  VARVE_API Specs infer(const Specs& in) const;
  VARVE_API std::optional<View> alias(const View& in) const;
  VARVE_API void run(Backend& on, Views in, Views out, const View& scratch) const;
  VARVE_API Tensors vjp(const Saved& s, const Tensors& dy) const;
};

struct Flatten {  // merges axes first to last
  static constexpr OpName name{"flatten", 1};
  int64_t first = 0, last = -1;
  static void fields(auto& self, auto&& field) {
    field("first", self.first);
    field("last", self.last);
  }
  VARVE_API Specs infer(const Specs& in) const;
  VARVE_API std::optional<View> alias(const View& in) const;
  VARVE_API void run(Backend& on, Views in, Views out, const View& scratch) const;
  VARVE_API Tensors vjp(const Saved& s, const Tensors& dy) const;
};

struct Permute {  // axis i of the output is axis axes[i] of the input
  static constexpr OpName name{"permute", 1};
  Axes axes;
  static void fields(auto& self, auto&& field) { field("axes", self.axes); }
  VARVE_API Specs infer(const Specs& in) const;
  VARVE_API std::optional<View> alias(const View& in) const;
  VARVE_API Tensors vjp(const Saved& s, const Tensors& dy) const;
};

struct Unsqueeze {  // a new axis of size 1, at `axis` of the output
  static constexpr OpName name{"unsqueeze", 1};
  int64_t axis = 0;
  static void fields(auto& self, auto&& field) { field("axis", self.axis); }
  VARVE_API Specs infer(const Specs& in) const;
  VARVE_API std::optional<View> alias(const View& in) const;
  VARVE_API Tensors vjp(const Saved& s, const Tensors& dy) const;
};

struct Squeeze {  // drops an axis of size 1
  static constexpr OpName name{"squeeze", 1};
  int64_t axis = 0;
  static void fields(auto& self, auto&& field) { field("axis", self.axis); }
  VARVE_API Specs infer(const Specs& in) const;
  VARVE_API std::optional<View> alias(const View& in) const;
  VARVE_API Tensors vjp(const Saved& s, const Tensors& dy) const;
};

struct Expand {  // broadcasts to `shape`; -1 keeps a size
  static constexpr OpName name{"expand", 1};
  Dims shape;
  static void fields(auto& self, auto&& field) { field("shape", self.shape); }
  VARVE_API Specs infer(const Specs& in) const;
  VARVE_API std::optional<View> alias(const View& in) const;
  VARVE_API Tensors vjp(const Saved& s, const Tensors& dy) const;
};

struct Slice {  // start, start + step, ... before stop, along axis; as in Python, but step > 0
  static constexpr OpName name{"slice", 1};
  int64_t axis = 0, start = 0, stop = std::numeric_limits<int64_t>::max(), step = 1;
  static void fields(auto& self, auto&& field) {
    field("axis", self.axis);
    field("start", self.start);
    field("stop", self.stop);
    field("step", self.step);
  }
  VARVE_API Specs infer(const Specs& in) const;
  VARVE_API std::optional<View> alias(const View& in) const;
  VARVE_API Tensors vjp(const Saved& s, const Tensors& dy) const;
};

struct Split {  // pieces of `size` along axis, the last perhaps shorter
  static constexpr OpName name{"split", 1};
  static constexpr int64_t kMostPieces = 1 << 12;
  int64_t size = 1, axis = 0;
  static void fields(auto& self, auto&& field) {
    field("size", self.size);
    field("axis", self.axis);
  }
  VARVE_API Specs infer(const Specs& in) const;
  VARVE_API Aliases alias(const View& in) const;
  VARVE_API Tensors vjp(const Saved& s, const Tensors& dy) const;

 private:
  int64_t pieces(int64_t length) const { return length ? (length - 1) / size + 1 : 1; }
};

struct Flip {  // reversed along axis
  static constexpr OpName name{"flip", 1};
  int64_t axis = 0;
  static void fields(auto& self, auto&& field) { field("axis", self.axis); }
  VARVE_API Specs infer(const Specs& in) const;
  VARVE_API std::optional<View> alias(const View& in) const;
  VARVE_API Tensors vjp(const Saved& s, const Tensors& dy) const;
};

struct StopGradient {  // x itself, where no gradient passes: what detach() is in a saved graph
  static constexpr OpName name{"stop_gradient", 1};
  VARVE_API Specs infer(const Specs& in) const;
  std::optional<View> alias(const View& in) const { return in; }
};

// ---- their functions ----

// The same elements in index order under another shape; one size may be -1. A view where strides allow.
VARVE_API Tensor reshape(const Tensor& x, const Shape& shape);
// Axes first..last (inclusive) merged into one.
VARVE_API Tensor flatten(const Tensor& x, int64_t first = 0, int64_t last = -1);
// Axis i of the result is axis axes[i] of x; every axis once.
VARVE_API Tensor permute(const Tensor& x, const Axes& axes);
// Two axes swapped.
VARVE_API Tensor transpose(const Tensor& x, int64_t axis_a = -2, int64_t axis_b = -1);
// A new axis of size 1, at `axis` of the result (-1: the last).
VARVE_API Tensor unsqueeze(const Tensor& x, int64_t axis);
// Without `axis`; ShapeError unless its size is 1.
VARVE_API Tensor squeeze(const Tensor& x, int64_t axis);
// Broadcast to `shape`, where -1 keeps a size; nothing is copied.
VARVE_API Tensor expand(const Tensor& x, const Shape& shape);
// x[start:stop:step] along one axis, as in Python.
VARVE_API Tensor slice(const Tensor& x, int64_t axis, int64_t start,
                       int64_t stop = std::numeric_limits<int64_t>::max(), int64_t step = 1);
// The i-th along `axis`, which goes.
VARVE_API Tensor select(const Tensor& x, int64_t axis, int64_t i);
// Pieces of `size` along `axis`, the last perhaps shorter; at most 4,096. Views, whose gradients are joined
// by one cat.
VARVE_API Tensors split(const Tensor& x, int64_t size, int64_t axis = 0);
// Reversed along `axis`: y[i] = x[size - 1 - i]; a view.
VARVE_API Tensor flip(const Tensor& x, int64_t axis);
// The same value behind an edge of its own.
VARVE_API Tensor alias_of(const Tensor& x);

}  // namespace varve
