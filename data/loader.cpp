#include <varve/data/loader.h>

#include <fmt/format.h>

#include <numeric>
#include <utility>

#include <varve/core/graph.h>
#include <varve/core/ops/copy.h>
#include <varve/core/ops/make.h>
#include <varve/core/random.h>
#include <varve/core/record.h>
#include <varve/data/prefetch.h>

namespace varve::data {
namespace {

// Random 64-bit words of a stream of its own for every (seed, epoch).
class Words {
 public:
  Words(uint64_t seed, uint64_t epoch) : key_(first_word(seed, epoch)) {}

  // Uniform in 0 .. bound-1: words below 2^64 mod bound are drawn again, for they would favour small results.
  uint64_t below(uint64_t bound) {
    const uint64_t excess = -bound % bound;
    uint64_t word;
    do word = first_word(key_, counter_++);
    while (word < excess);
    return word % bound;
  }

 private:
  static uint64_t first_word(uint64_t key, uint64_t counter) {
    const auto words = philox(key, counter);
    return uint64_t{words[1]} << 32 | words[0];
  }
  uint64_t key_, counter_ = 0;
};

Tensor examples(const Tensor& t, const char* which) {
  if (!t.defined() || t.rank() == 0)
    throw ShapeError(fmt::format("Loader: {} have no axis of examples; required is [N, ...]", which));
  return no_grad([&] { return contiguous(t.detach()); });
}

template <Element T>
Tensor number(T value) {
  return from_span(std::span<const T>(&value, 1), {});
}

template <Element T>
T number_in(const NamedTensors& state, const char* name) {
  const Tensor* found = state.find(name);
  if (!found || found->spec() != Spec{dtype_of<T>, {}})
    throw Error(fmt::format("Loader: state has no '{}' of {}[]; required is a Loader's state_dict", name,
                            name_of(dtype_of<T>)));
  return found->item<T>();
}

}  // namespace

std::vector<int64_t> permutation(int64_t count, uint64_t seed, uint64_t epoch) {
  std::vector<int64_t> order;
  if (const size_t most = order.max_size(); static_cast<size_t>(count) > most)  // a negative one, too
    throw Error(fmt::format("permutation: count = {}; required is 0 to {}", count, most));
  order.resize(static_cast<size_t>(count));
  std::iota(order.begin(), order.end(), int64_t{0});
  Words words(seed, epoch);
  for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[words.below(i)]);
  return order;
}

Loader::Loader(const Tensor& inputs, const Tensor& targets, Options options)
    : options_(std::move(options)), count_(0) {
  const Tensor x = examples(inputs, "inputs"), y = examples(targets, "targets");
  if (x.size(0) != y.size(0))
    throw ShapeError(
        fmt::format("Loader: inputs {} with targets {}; required are as many of one as of the other",
                    to_string(x.shape()), to_string(y.shape())));
  if (x.device() != y.device())
    throw DeviceError(fmt::format("Loader: inputs on {} with targets on {}; required are both on one device",
                                  to_string(x.device()), to_string(y.device())));
  if (options_.batch_size < 1)
    throw Error(fmt::format("Loader: batch_size = {}; required is at least 1", options_.batch_size));
  count_ = x.size(0);
  options_.prefetch = options_.prefetch && x.device() == kCpu;
  ahead_ = std::make_unique<Prefetch>(BatchMaker(x, y, options_));
}

Loader::~Loader() = default;
Loader::Loader(Loader&&) noexcept = default;
Loader& Loader::operator=(Loader&&) noexcept = default;

int64_t Loader::batches() const {
  const int64_t full = count() / options_.batch_size;
  return full + (!options_.drop_last && count() % options_.batch_size != 0);
}

std::optional<Batch> Loader::next() {
  Trace::forbid_reading("Loader::next");
  if (!ahead_) throw Error("Loader: moved from; only assignment is allowed");
  if (batch_ >= batches()) {
    ++epoch_, batch_ = 0;
    return std::nullopt;
  }
  Batch batch = ahead_->take({options_.seed, epoch_, batch_});
  ++batch_;
  const bool last = batch_ == batches();
  if (options_.prefetch) ahead_->ask({options_.seed, epoch_ + last, last ? 0 : batch_});
  return batch;
}

NamedTensors Loader::state_dict() const {
  NamedTensors out;
  out.add("seed", number(options_.seed));
  out.add("epoch", number(epoch_));
  out.add("batch", number(batch_));
  out.add("count", number(count()));
  out.add("batch_size", number(options_.batch_size));
  out.add("shuffle", number(options_.shuffle));
  out.add("drop_last", number(options_.drop_last));
  return out;
}

StagedLoad Loader::stage_load(const NamedTensors& state) {
  const auto require = [&]<class T>(const char* name, T own) {
    const T found = number_in<T>(state, name);
    if (found != own)
      throw Error(
          fmt::format("Loader: the state has {} = {}, this loader {}; its position would mean other "
                      "batches, make the loader alike",
                      name, found, own));
  };
  require("count", count());
  require("batch_size", options_.batch_size);
  require("shuffle", options_.shuffle);
  require("drop_last", options_.drop_last);
  const auto seed = number_in<uint64_t>(state, "seed");
  const auto epoch = number_in<int64_t>(state, "epoch"), batch = number_in<int64_t>(state, "batch");
  if (epoch < 0 || batch < 0 || batch > batches())
    throw Error(fmt::format(
        "Loader: the state has epoch {}, batch {}; required are at least 0, and at most {} batches", epoch,
        batch, batches()));
  return {{}, [=, this] { options_.seed = seed, epoch_ = epoch, batch_ = batch; }};
}

}  // namespace varve::data
