// Ops done for some rows of their result at a time: every op that says it can, on its samples, in every
// layout; and how rows are cut.
#include <varve/core/group_builder.h>

#include <set>

#include "tests/core/parity.h"

using namespace varve;
using namespace varve::test;

namespace {

// The op on the tensors, whole and in parts of one row; the results, and what was updated.
struct Trial {
  const AnyOp& op;
  Tensors in, out;

  Trial(const AnySample& sample, Layout layout) : op(*sample.op), in(laid_out_for(sample, layout)) {
    Specs specs;
    for (const Tensor& t : in) specs.push_back(t.spec());
    for (const Spec& spec : op.infer(specs)) out.emplace_back(make_value(cpu_backend(), spec));
  }
  std::optional<RowCall> by_rows() const {
    Graph::Call call{op.share(), {}, {}};
    std::vector<ValuePtr> values;
    for (const Tensor& t : in)
      call.in.push_back(static_cast<uint32_t>(values.size())), values.push_back(t.value_ptr());
    for (const Tensor& t : out)
      call.out.push_back(static_cast<uint32_t>(values.size())), values.push_back(t.value_ptr());
    return varve::by_rows(call, values);
  }
  void run(const RowCut& cut, const std::vector<Beside>& beside) const {
    for (int64_t part = 0; part < cut.parts(); ++part) {
      std::vector<View> x, y;
      for (size_t i = 0; i < in.size(); ++i) x.push_back(cut.of(in[i].view(), beside[i], part));
      for (const Tensor& t : out) y.push_back(cut.of(t.view(), Beside::rows, part));
      CHECK(op.scratch(x, y) == 0);
      op.run(cpu_backend(), x, y, {});
    }
  }
};

bool agree(const Tensors& a, const Tensors& b, bool exactly) {
  for (size_t i = 0; i < a.size(); ++i)
    if (exactly ? !identical(a[i], b[i]) : !difference(a[i].view(), b[i].view()).empty()) return false;
  return true;
}

}  // namespace

TEST_CASE("what an op gives for some rows is what it gives for them among all") {
  std::set<std::string> cut_up;
  for (size_t d = 0; d < kDTypes; ++d)
    for_each_op(static_cast<DType>(d), [&](const std::vector<AnySample>& samples) {
      for (const AnySample& sample : samples)
        for (const Layout layout : kLayouts) {
          if (sample.source) continue;
          const Trial whole(sample, layout), parts(sample, layout);
          const auto rows = parts.by_rows();
          if (!rows) continue;
          CAPTURE(to_string(*sample.op));
          CAPTURE(std::string(name_of(layout)));
          CAPTURE(to_string(rows->rows));
          whole.run(cut_rows(rows->rows, 1, 1), rows->beside);
          parts.run(cut_rows(rows->rows, 1000, 1), rows->beside);
          // A product of one row may go another way.
          const bool exactly =
              std::find(rows->beside.begin(), rows->beside.end(), Beside::whole) == rows->beside.end();
          CHECK(agree(parts.out, whole.out, exactly));
          CHECK(agree(parts.in, whole.in, exactly));
          cut_up.insert(std::string(sample.op->name().name));
        }
    });
  for (const char* name : {"add", "relu.d0", "adam_update", "matmul", "softmax", "sum", "mean", "cast",
                           "gather", "cross_entropy_slope", "softmax_slope"})
    CHECK_MESSAGE(cut_up.count(name) == 1, name);
  for (const char* name : {"cat", "argmax", "dropout", "scatter_add"})
    CHECK_MESSAGE(cut_up.count(name) == 0, name);
}

TEST_CASE("rows are cut into parts that hold each row once, as even as can be") {
  for (const Shape& rows : {Shape{1}, Shape{7}, Shape{3, 5}, Shape{2, 3, 4}, Shape{2, 1, 9}})
    for (const int64_t wanted : {1, 2, 3, 6, 7, 100})
      for (const int64_t fewest : {1, 2, 4}) {
        CAPTURE(to_string(rows));
        CAPTURE(wanted);
        CAPTURE(fewest);
        const RowCut cut = cut_rows(rows, wanted, fewest);
        Shape shape = rows;
        shape.push_back(3);
        const Tensor counts = zeros(shape, DType::i64);
        int64_t most = 0;
        for (int64_t part = 0; part < cut.parts(); ++part) {
          const View v = cut.of(counts.view(), Beside::rows, part);
          CHECK(v.numel() > 0);
          most = std::max(most, v.numel() / 3);
          each_index(v.shape, [&](const Dims& at) { ++*reinterpret_cast<int64_t*>(element(v, at)); });
        }
        CHECK(identical(counts, ones(shape, DType::i64)));
        CHECK(most == cut.most_rows());
        if (fewest == 1) CHECK(cut.parts() >= std::min(wanted, numel(rows)));
      }
}
