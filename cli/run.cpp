// varve run MODEL --input x.npy --output y.npy: what a model makes of arrays.
#include <fmt/format.h>

#include <varve/core/error.h>
#include <varve/core/record.h>
#include <varve/io/model.h>

#include "commands.h"
#include "npy.h"

namespace varve::cli {
namespace {

struct Options {
  std::string model;
  std::vector<std::string> inputs, outputs;
};

int run(const Options& o) {
  const Model model = load_model(o.model);
  eval(model);
  if (o.inputs.size() != model.inputs().size() || o.outputs.size() != model.outputs().size())
    throw Error(fmt::format("run: {} inputs and {} outputs are given; the model has {} ({}) and {} ({})",
                            o.inputs.size(), o.outputs.size(), model.inputs().size(),
                            fmt::join(model.inputs(), ", "), model.outputs().size(),
                            fmt::join(model.outputs(), ", ")));
  const NoGrad guard;
  Tensors in;
  for (const std::string& path : o.inputs) in.push_back(read_npy(path));
  const Tensors out = model(in);
  for (size_t i = 0; i < out.size(); ++i) write_npy(o.outputs[i], out[i]);
  return 0;
}

}  // namespace

void add_run(CLI::App& app, Chosen& chosen) {
  auto o = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("run", "Run a whole model on arrays");
  command->add_option("model", o->model, "The model")->required();
  command->add_option("--input", o->inputs, "A .npy file for each input, in order")->required();
  command->add_option("--output", o->outputs, "A .npy file to write for each output, in order")->required();
  command->callback([=, &chosen] { chosen = [o] { return run(*o); }; });
}

}  // namespace varve::cli
