// Makes the golden files of a version, once: make_golden FOLDER. What is there already is never written
// again, for every later version must read it.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include <varve/core/op.h>
#include <varve/io/state.h>

#include "tests/core/samples.h"
#include "tests/io/golden/contents.h"

using namespace varve;
using namespace varve::test;

namespace {

// Every op on its first two small samples in f32.
struct EveryOp {
  std::vector<OpPtr> ops;
  std::vector<std::vector<Tensor>> in;

  EveryOp() {
    for (const OpSamples& op : all_samples()) {
      int taken = 0;
      for (const AnySample& sample : op.make(DType::f32)) {
        if (taken == 2 || std::any_of(sample.in.begin(), sample.in.end(), is_large)) continue;
        ++taken;
        ops.push_back(sample.op);
        in.push_back(sample.in);
      }
      if (taken == 0) throw Error(fmt::format("no small sample of {}", op.name));
    }
  }
  // x + x, so that there is a batch; then all results in the order of ops.
  Tensors operator()(const Tensors& x) const {
    Tensors out{x.at(0) + x.at(0)};
    for (size_t i = 0; i < ops.size(); ++i)
      for (const Tensor& result : apply_op(*ops[i], in[i])) out.push_back(result);
    return out;
  }
  static bool is_large(const Tensor& t) { return t.numel() > 60; }
  static void members(auto& self, auto&& visit) {
    for (size_t i = 0; i < self.in.size(); ++i)
      for (size_t k = 0; k < self.in[i].size(); ++k)
        visit(fmt::format("{}.{}.{}", i, self.ops[i]->name().name, k), self.in[i][k], kBuffer);
  }
};

NamedTensors numbered(const Tensors& tensors) {
  NamedTensors out;
  for (size_t i = 0; i < tensors.size(); ++i) out.add(std::to_string(i), tensors[i].detach());
  return out;
}

// A model and what it makes of `x`.
template <class M>
void make_model(const std::string& stem, const M& module, const Tensor& x, io::Codec codec) {
  Model model = trace_model(module, {x});
  eval(model);
  io::write(stem + ".varve", model.container(), {codec});
  save(stem + "_results.varve", numbered(model(Tensors{x})), {codec});
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 2) throw Error("usage: make_golden FOLDER");
  const std::string folder = argv[1];
  if (std::filesystem::exists(folder))
    throw Error(folder + " is there already; golden files are never made anew");
  std::filesystem::create_directories(folder);
  for (const io::Codec codec : kAllCodecs)
    if (codec != io::Codec::none)
      io::write(fmt::format("{}/tensors_{}.varve", folder, name_of(codec)), golden::tensors(), {codec});
  io::Container uncoded = golden::tensors();
  std::erase_if(uncoded.tensors,
                [](const NamedTensor& t) { return t.name == "two chunks"; });  // over a megabyte
  io::write(folder + "/tensors_none.varve", uncoded);
  make_model(folder + "/model", golden::Net(), golden::net_input(), io::Codec::none);
  make_model(folder + "/ops", EveryOp(), golden::values({2}), io::Codec::zstd);
  save_checkpoint(folder + "/checkpoint_2.varve", golden::checkpoint());  // 1 has saved_by in its meta
  save(folder + "/views.varve", golden::views());
  return 0;
} catch (const std::exception& e) {
  std::fprintf(stderr, "make_golden: %s\n", e.what());
  return 1;
}
