// Any Meta is a graph that can be printed, saved, resized and, where it is small, run, or an Error.
#include <algorithm>
#include <span>

#include <varve/core/ops/make.h>
#include <varve/core/record.h>
#include <varve/io/graph.h>

#include "tests/io/fuzz/fuzz.h"

using namespace varve;

namespace {

void run_if_small(const io::SizedGraph& sized) {
  size_t bytes = 0;
  for (const Spec& spec : sized.graph.values) {
    if (spec.bytes() > (1u << 20)) return;
    bytes += spec.bytes();
  }
  if (bytes > (1u << 20)) return;
  Tensors in, captured;
  for (const uint32_t n : sized.graph.inputs)
    in.push_back(full(sized.graph.values[n].shape, 1, sized.graph.values[n].dtype));
  for (const auto& c : sized.graph.captured)
    captured.push_back(full(sized.graph.values[c.value].shape, 1, sized.graph.values[c.value].dtype));
  const NoGrad guard;
  const Tensors out = sized.run(in, captured);
  for (size_t i = 0; i < out.size(); ++i)
    fuzz::require(out[i].spec() == sized.graph.values[sized.graph.outputs[i]],
                  "results are what was inferred");
}

}  // namespace

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  return fuzz::mutate_encoded(data, size, max_size, seed);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const io::Meta meta = io::decode(std::as_bytes(std::span(data, size)));
    const Specs captured = io::specs_from(meta.at("captured"));
    const io::SizedGraph sized = io::graph_from(meta.at("graph"), captured);
    const io::Meta again = to_meta(sized);
    fuzz::require(to_meta(io::graph_from(again, captured)) == again, "a graph comes back from its Meta");
    to_string(sized.graph);
    run_if_small(sized);
    to_string(sized.at(sized.batch() + 1));
  } catch (const Error&) {
  }
  return 0;
}
