// trace_sizes: three traces, compared call by call and number by number.
#include <varve/io/trace_sizes.h>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include <varve/core/ops/make.h>
#include <varve/io/attribute.h>

namespace varve::io {
namespace {

using Function = std::function<Tensors(const Tensors&)>;

Tensors zeros_at(const Tensors& examples, int axis, int64_t batch) {
  Tensors out;
  for (const Tensor& t : examples) {
    Shape shape = t.shape();
    if (axis < shape.rank()) shape[axis] = batch;
    out.push_back(zeros(shape, t.dtype()));
  }
  return out;
}

Graph traced(const Function& f, const Tensors& examples, int axis, int64_t batch) {
  Graph graph = trace(f, zeros_at(examples, axis, batch));
  drop_dead_calls(graph);
  return renumbered(std::move(graph));
}

// Traces at a size the example does not have: what fails only here has a size baked in.
Graph traced_elsewhere(const Function& f, const Tensors& examples, int axis, int64_t example, int64_t batch) {
  try {
    return traced(f, examples, axis, batch);
  } catch (const Error& e) {
    throw Error(
        fmt::format("save_model: the model fails with a batch of {}: {}. If it works with one of {}, a size "
                    "is baked in: use "
                    "flatten(x, 1), reshape with -1, or sizes taken from x",
                    batch, e.what(), example));
  }
}

std::vector<std::byte> bytes_of(const Tensor& t) {
  std::vector<std::byte> bytes(t.spec().bytes());
  t.value().storage->backend().copy(t.view(), contiguous_view(bytes.data(), t.spec()));
  return bytes;
}

struct Traces {
  int64_t sizes[3];
  Graph graphs[3];
};

void check_structure(const Traces& t, int other) {
  const Graph &a = t.graphs[0], &b = t.graphs[other];
  const auto differ = [&](const std::string& what) {
    throw Error(fmt::format(
        "save_model: batches of {} and {} make different graphs: {}. Required is one for every size: "
        "keep host code that looks at the batch size out of the model",
        t.sizes[0], t.sizes[other], what));
  };
  for (size_t c = 0; c < std::min(a.calls.size(), b.calls.size()); ++c) {
    const Graph::Call &x = a.calls[c], &y = b.calls[c];
    if (x.op->name().name != y.op->name().name || x.in != y.in || x.out != y.out)
      differ(fmt::format("call {} is {} and {}", c, to_string(*x.op), to_string(*y.op)));
  }
  if (a.calls.size() != b.calls.size())
    differ(fmt::format("{} and {} calls", a.calls.size(), b.calls.size()));
  if (a.outputs != b.outputs || a.captured.size() != b.captured.size()) differ("other results or constants");
}

void check_constants(const Traces& t, int other) {
  const Graph &a = t.graphs[0], &b = t.graphs[other];
  for (size_t i = 0; i < a.captured.size(); ++i) {
    const Tensor &x = a.captured[i].tensor, &y = b.captured[i].tensor;
    if (x.value_ptr() == y.value_ptr() || (x.spec() == y.spec() && bytes_of(x) == bytes_of(y))) continue;
    throw Error(fmt::format(
        "save_model: {} uses a constant {} with a batch of {}, another with {}; make it by ops on "
        "the input (arange, zeros, ...) so that it follows the batch size",
        user_of(a, a.captured[i].value), to_string(x.spec()), t.sizes[0], t.sizes[other]));
  }
}

[[noreturn]] void not_linear(const AnyOp& op, const std::string& attribute, const Traces& t) {
  throw Error(
      fmt::format("save_model: {}: attribute '{}' is not a + b * batch over batches of {}, {} and {}; let "
                  "the op find the size: "
                  "use flatten(x, 1), reshape with -1, mean instead of a sum times 1 / n",
                  to_string(op), attribute, t.sizes[0], t.sizes[1], t.sizes[2]));
}

void fit_attribute(const Traces& t, uint32_t call, size_t index, std::vector<SizedGraph::Fit>& fits) {
  const AnyOp& op = *t.graphs[0].calls[call].op;
  Attribute a[3];
  std::string name;
  for (int i = 0; i < 3; ++i) {
    const Attributes all = t.graphs[i].calls[call].op->attributes();
    if (index < all.size()) std::tie(name, a[i]) = all[index];
  }
  if (same(a[0], a[1]) && same(a[0], a[2])) return;
  const int count = numbers_in(a[0]);
  for (const Attribute& x : a)
    if (x.index() != a[0].index() || numbers_in(x) != count || count == 0) not_linear(op, name, t);
  for (int e = 0; e < count; ++e) {
    const double x[]{number_at(a[0], e), number_at(a[1], e), number_at(a[2], e)};
    if (x[0] == x[1] && x[0] == x[2]) continue;
    const auto n = [&](int i) { return static_cast<double>(t.sizes[i]); };
    const double slope = x[1] - x[0], base = x[0] - slope * n(0);
    for (int i = 0; i < 3; ++i)
      if (base + slope * n(i) != x[i] || !(std::abs(x[i]) <= kExactInteger)) not_linear(op, name, t);
    fits.push_back({call, name, e, base, slope});
  }
}

}  // namespace

SizedGraph trace_sizes(const Function& f, const Tensors& examples, int batch_axis) {
  const int64_t example = batch_of(specs_of(examples), batch_axis), n = std::max<int64_t>(2, example);
  Traces t{{n, n + 1, 2 * n + 3}, {}};
  for (int i = 0; i < 3; ++i)
    t.graphs[i] = t.sizes[i] == example ? traced(f, examples, batch_axis, example)
                                        : traced_elsewhere(f, examples, batch_axis, example, t.sizes[i]);
  for (int other : {1, 2}) {
    check_structure(t, other);
    check_constants(t, other);
  }
  SizedGraph out{{}, {}, batch_axis};
  for (uint32_t c = 0; c < t.graphs[0].calls.size(); ++c)
    for (size_t i = 0; i < t.graphs[0].calls[c].op->attributes().size(); ++i)
      fit_attribute(t, c, i, out.fits);
  out.graph = std::move(t.graphs[0]);
  return out;
}

}  // namespace varve::io
