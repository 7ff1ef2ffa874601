// Model: a whole model as data: two graphs (train and eval) over one table of parameters and buffers. It
// opens without the class it came from and runs no code of the file's; to everything that handles modules it
// is one.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include <varve/core/members.h>
#include <varve/core/plan.h>
#include <varve/io/container.h>
#include <varve/io/graph.h>

namespace varve {

struct ModelOptions {
  int batch_axis = 0;                        // of every input that has it
  std::vector<std::string> inputs, outputs;  // their names; default: input, output, or input0, input1, ...
};

class VARVE_API Model {
 public:
  // What a module does in one of its modes.
  using Forward = std::function<Tensors(bool training, const Tensors&)>;

  // The model of a "model" container; an Error when its parts do not hold together.
  explicit Model(const io::Container& container);
  // The model that `forward` is. `traced` are the members it uses: a clone's, for tracing writes to buffers;
  // `entries`, alike in number and order, are those this model takes in their place.
  Model(std::vector<MemberEntry> entries, const std::vector<MemberEntry>& traced, const Forward& forward,
        const Tensors& examples, const ModelOptions& options);

  // Inputs like the examples it was saved with, of any batch size. Randomness is the calling thread's
  // generator's.
  Tensors operator()(const Tensors& inputs) const;
  // The same for one input and one output.
  Tensor operator()(const Tensor& input) const;

  static void members(auto& self, auto&& visit) {
    for (auto& entry : self.entries_) {
      if (entry.buffer)
        visit(entry.name, entry.tensor, kBuffer);
      else
        visit(entry.name, entry.tensor);
    }
    visit("mode", self.mode_);
  }

  const std::vector<std::string>& inputs() const { return inputs_; }
  const std::vector<std::string>& outputs() const { return outputs_; }
  // The graph of a mode, over this model's tensors.
  io::SizedGraph graph(bool training) const;
  // As a file holds it; the tensors are this model's own.
  io::Container container() const;

 private:
  // What a captured value stands for: a member, a constant, or the generator of the thread that calls.
  struct Source {
    enum Kind { kMember, kConstant, kGenerator } kind;
    size_t index = 0;
  };
  struct Side {
    io::SizedGraph graph;  // its captured tensors are undefined
    std::vector<Source> sources;
  };

  const Side& side(bool training) const { return training ? train_ : eval_; }
  Tensors captured(const Side& side) const;
  void check(const Side& side, const Tensors& inputs) const;
  Side take_sources(io::SizedGraph graph, const std::vector<MemberEntry>& traced);
  Source source_of(const Graph& graph, const Graph::Captured& captured,
                   const std::vector<MemberEntry>& traced);
  size_t add_constant(const Tensor& tensor);
  void check_ends() const;
  void read_tensors(const io::Container& container);
  Side read_side(const io::Meta& meta) const;
  io::Meta meta_of(const Side& side) const;

  std::vector<MemberEntry> entries_;
  Tensors constants_;
  Mode mode_;
  Side train_, eval_;
  std::vector<std::string> inputs_, outputs_;
};

// The model as data, over the module's own tensors. The examples are inputs of any batch size n; their values
// do not matter. It is traced at n (at least 2), n + 1 and 2n + 3: a program that treats some other batch
// size in a way of its own, as by max(n, 100), cannot be known from these. The module is left as it was, and
// so is the default generator. Hooks (on_grad) are not kept.
template <class M>
Model trace_model(const M& module, const Tensors& examples, const ModelOptions& options = {}) {
  M copy = clone(module);
  const auto forward = [&copy](bool training, const Tensors& in) {
    train(copy, training);
    return detail::call_module(copy, in);
  };
  return Model(member_entries(module), member_entries(copy), forward, examples, options);
}

// Writes the whole model durably: the file is the old one or the new one, whole.
VARVE_API void save_model(const std::string& path, const Model& model);
template <class M>
void save_model(const std::string& path, const M& module, const Tensors& examples,
                const ModelOptions& options = {}) {
  save_model(path, trace_model(module, examples, options));
}
// Opens one, in training mode as a module starts out; eval(model) makes it predict.
VARVE_API Model load_model(const std::string& path);

}  // namespace varve
