// Writes what the fuzz targets begin with: fuzz_seeds FOLDER makes a folder for each of them.
#include <fmt/format.h>

#include <cstdio>
#include <filesystem>

#include "tests/core/samples.h"
#include "tests/io/forge.h"
#include "tests/io/golden/contents.h"
#include "tests/io/temporary_folder.h"

using namespace varve;
using namespace varve::io;
using namespace varve::test;

namespace {

class Seeds {
 public:
  explicit Seeds(std::filesystem::path folder) : folder_(std::move(folder)) {
    std::filesystem::create_directories(folder_);
  }
  void add(const Bytes& bytes) { put((folder_ / std::to_string(count_++)).string(), bytes); }

 private:
  std::filesystem::path folder_;
  int count_ = 0;
};

// A file in each of the three forms that the target takes.
void add_file(Seeds& seeds, const Bytes& file) {
  for (const int form : {0, 1}) {
    Bytes in{static_cast<std::byte>(form)};
    in.insert(in.end(), file.begin(), file.end());
    seeds.add(in);
  }
  const auto header = frame_at<Header>(file, 0);
  const auto footer = frame_at<Footer>(file, file.size() - sizeof(Footer));
  ByteWriter in;
  in.number(uint8_t{2});
  in.number(static_cast<uint8_t>(header.critical));
  in.number(static_cast<uint16_t>(footer.index_offset - sizeof header));
  in.raw(std::span(file).subspan(sizeof header, file.size() - sizeof header - sizeof footer));
  seeds.add(in.take());
}

// What the target takes: the graph and the specs of its captured tensors.
Bytes encoded(const SizedGraph& sized) {
  Specs captured;
  for (const Graph::Captured& c : sized.graph.captured) captured.push_back(sized.graph.values[c.value]);
  return encode(MetaMap{{"captured", to_meta(captured)}, {"graph", to_meta(sized)}});
}

// An input that nothing uses, so that there is a batch, and one call of captured tensors.
SizedGraph one_call(const AnySample& sample) {
  Graph graph;
  const auto add = [&](const Spec& spec) {
    graph.values.push_back(spec);
    return static_cast<uint32_t>(graph.values.size() - 1);
  };
  graph.inputs = {add({DType::f32, {2}})};
  Graph::Call call{sample.op, {}, {}};
  for (const Tensor& t : sample.in) {
    graph.captured.push_back({add(t.spec()), t});
    call.in.push_back(graph.captured.back().value);
  }
  for (const Spec& spec : sample.op->infer(specs_of(sample.in))) call.out.push_back(add(spec));
  graph.outputs = call.out;
  graph.calls.push_back(std::move(call));
  return {std::move(graph), {}, 0};
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 2) throw Error("usage: fuzz_seeds FOLDER");
  const std::filesystem::path folder = argv[1];
  Seeds container(folder / "container"), meta(folder / "meta"), graph(folder / "graph");
  const Model model = trace_model(golden::Net(), {golden::net_input()});
  for (const Codec codec : kAllCodecs) {
    add_file(container, test::bytes_of(sample(), codec));
    add_file(container, test::bytes_of(model.container(), codec));
    add_file(container, test::bytes_of(varve::detail::container_of(golden::checkpoint()), codec));
  }
  meta.add(encode(golden::tensors().meta));
  meta.add(encode(model.container().meta));
  for (const bool training : {true, false}) graph.add(encoded(model.graph(training)));
  for (const OpSamples& op : all_samples())
    for (const AnySample& sample : op.make(DType::f32)) graph.add(encoded(one_call(sample)));
  return 0;
} catch (const std::exception& e) {
  std::fprintf(stderr, "fuzz_seeds: %s\n", e.what());
  return 1;
}
