// Training steps (forward, backward, Adam), eager and compiled, beside the time their products alone would
// take at the multiply-add peak: two networks, in f32 and in bf16, on batches gathered by random index from
// 60,000 images of 784 numbers, and two blocks written from ops, on one batch.
//
//   bench_train [--rounds N] [--threads N] [--filter TEXT] [--device cuda]
//   bench_train --serve      reads the names of cases on stdin, answers each with the seconds of a step
#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdio>
#include <memory>
#include <string>

#include <varve/bench/cases.h>
#include <varve/bench/limits.h>
#include <varve/core/cpu/threads.h>
#include <varve/varve.h>

using namespace varve;

namespace {

// relu(x + W2 relu(norm(W1 x)))
struct Residual {
  nn::Linear first{512, 512}, second{512, 512};
  Tensor operator()(const Tensor& x) const { return relu(x + second(relu(normalized(first(x))))); }
  static Tensor normalized(const Tensor& x) {
    const Tensor centred = x - mean(x, {-1}, true);
    return centred * rsqrt(mean(centred * centred, {-1}, true) + 1e-5);
  }
  static void members(auto& self, auto&& visit) {
    visit("first", self.first);
    visit("second", self.second);
  }
};

// x + W softmax(q k^T / sqrt(d)) v, of eight heads; x [batch, T, 256]
struct Attention {
  nn::Linear qkv{256, 3 * 256}, out{256, 256};
  Tensor operator()(const Tensor& x) const {
    constexpr int64_t kHeads = 8, kSize = 256 / kHeads;
    const int64_t batch = x.size(0), length = x.size(1);
    const auto heads = [](const Tensor& part) { return permute(squeeze(part, 2), {0, 2, 1, 3}); };
    const Tensors parts = split(reshape(qkv(x), {batch, length, 3, kHeads, kSize}), 1, 2);
    const Tensor scores =
        matmul(heads(parts[0]) * (1 / std::sqrt(double{kSize})), heads(parts[1]), false, true);
    const Tensor seen = matmul(softmax(scores), heads(parts[2]));
    return x + out(reshape(permute(seen, {0, 2, 1, 3}), x.shape()));
  }
  static void members(auto& self, auto&& visit) {
    visit("qkv", self.qkv);
    visit("out", self.out);
  }
};

constexpr int kAtOnce = 8;  // steps of a compiled function that does several

struct Images {
  Tensor pixels = rand({60'000, 784});
  Tensor labels = cast(rand({60'000}) * 10, DType::i64);
  Tensor order = from_span(std::span<const int64_t>(data::permutation(60'000, 1, 0)), {60'000});
};

// What a network is trained on: batches of images, or one batch again and again.
class Batches {
 public:
  Batches(const Images& images, int64_t size, DType dtype) : images_(images), size_(size), dtype_(dtype) {}
  // The rows of so many batches.
  Tensor next(int64_t count = 1) {
    const int64_t rows = count * size_;
    if (at_ + rows > images_.order.size(0)) at_ = 0;
    at_ += rows;
    return slice(images_.order, 0, at_ - rows, at_);
  }
  Tensor batch(const Tensor& rows, int64_t number) const {
    return slice(rows, 0, number * size_, (number + 1) * size_);
  }
  Tensor loss(const auto& net, const Tensor& rows) const {
    const Tensor x = index_select(images_.pixels, 0, rows), y = index_select(images_.labels, 0, rows);
    return nn::cross_entropy(net(cast(x, dtype_)), y);
  }

 private:
  const Images& images_;
  int64_t size_, at_ = 0;
  DType dtype_;
};
class OneBatch {
 public:
  explicit OneBatch(const Shape& shape) : x_(randn(shape)), y_(randn(shape)) {}
  Tensor next() const { return x_; }
  Tensor loss(const auto& net, const Tensor& x) const { return nn::mse_loss(net(x), y_); }

 private:
  Tensor x_, y_;
};

template <class Net, class Task>
class Training {
 public:
  Training(Net net, Task task)
      : net_(std::move(net)), adam_(named_parameters(net_)), task_(std::move(task)) {}
  Tensor step(const Tensor& input) {
    const Tensor loss = task_.loss(net_, input);
    adam_.zero_grad();
    loss.backward();
    adam_.step();
    return loss;
  }
  Tensor steps(const Tensor& rows, int count) {
    Tensor loss;
    for (int i = 0; i < count; ++i) loss = step(task_.batch(rows, i));
    return loss;
  }
  Task& task() { return task_; }

 private:
  Net net_;
  optim::Adam adam_;
  Task task_;
};

// `work`: floating-point operations of the products of a step, whose peak is the case `peak`.
template <class Net, class Task>
void add(bench::Cases& cases, const std::string& name, double work, Net net, Task task,
         const std::string& peak = "peak") {
  const int steps = static_cast<int>(1e10 / work);  // of a run
  const auto training = std::make_shared<Training<Net, Task>>(std::move(net), std::move(task));
  // `step` does so many of them.
  const auto timed = [=](auto step, auto next, int count = 1) {
    return [=]() mutable {
      const double taken = bench::seconds([&] {
        Tensor loss;
        for (int i = 0; i < steps / count; ++i) loss = step(next());
        loss.item();  // a GPU runs behind
      });
      return taken / (steps / count * count);
    };
  };
  const auto next = [training] { return training->task().next(); };
  const auto step = [training](const Tensor& input) { return training->step(input); };
  const auto at_once = [](auto f) {
    return [compiled = std::make_shared<decltype(compile(f))>(compile(f))](const Tensor& in) {
      return (*compiled)(in);
    };
  };
  const bool on_cpu = current_device() == kCpu;  // whose peak is known
  const std::string limit = on_cpu ? peak : "";
  cases.add({name + "/eager", work, timed(step, next), limit});
  cases.add({name + "/compiled", work, timed(at_once(step), next), limit});
  if constexpr (requires { task.batch(Tensor(), 0); }) {
    const auto several = [training](const Tensor& rows) { return training->steps(rows, kAtOnce); };
    const auto next_rows = [training] { return training->task().next(kAtOnce); };
    cases.add({name + "/compiled-8", work, timed(at_once(several), next_rows, kAtOnce), limit});
  }
}

// Of a product of [m, k] and [k, n] forward, and of as many others as its derivatives need.
double product(int64_t m, int64_t k, int64_t n, int derivatives = 2) {
  return 2.0 * static_cast<double>(m * k * n) * (1 + derivatives);
}
// Nobody asks for the gradient of the first layer's input.
double products(const std::vector<int64_t>& sizes, int64_t batch) {
  double total = 0;
  for (size_t i = 1; i < sizes.size(); ++i) total += product(batch, sizes[i - 1], sizes[i], i == 1 ? 1 : 2);
  return total;
}

}  // namespace

int main(int argc, char** argv) try {
  CLI::App app{"Training steps, beside what their arithmetic needs"};
  bench::Options options;
  bench::add_options(app, options);
  bench::add_device(app, options);
  CLI11_PARSE(app, argc, argv);
  if (options.threads) set_threads(options.threads);
  const OnDevice on(device_named(options.device));
  const Images images;
  bench::Cases cases("GFLOP/s");
  const auto networks = [&](DType dtype, const std::string& prefix, const std::string& peak) {
    const auto network = [&](const std::string& name, const std::vector<int64_t>& sizes, int64_t batch,
                             auto net) {
      to(net, dtype);
      add(cases, prefix + name, products(sizes, batch), std::move(net), Batches(images, batch, dtype), peak);
    };
    network("784-256-10", {784, 256, 10}, 64,
            nn::Sequential(nn::Linear(784, 256), nn::ReLU(), nn::Linear(256, 10)));
    network("784-512-256-10", {784, 512, 256, 10}, 256,
            nn::Sequential(nn::Linear(784, 512), nn::ReLU(), nn::Linear(512, 256), nn::ReLU(),
                           nn::Linear(256, 10)));
  };
  networks(DType::f32, "", "peak");
  networks(DType::bf16, "bf16/", "peak/bf16");
  add(cases, "residual", products({512, 512, 512}, 256), Residual(), OneBatch({256, 512}));
  const double heads = 8 * 8 * 2 * product(256, 32, 256);  // scores, and what they weigh
  add(cases, "attention", product(8 * 256, 256, 3 * 256, 1) + heads + product(8 * 256, 256, 256), Attention(),
      OneBatch({8, 256, 256}));
  if (options.device == "cpu") {
    cases.add(bench::peak_case("peak"));
    cases.add(bench::peak_case("peak/bf16", bench::peak_bf16));
  }
  cases.run(options);
  return 0;
} catch (const std::exception& e) {
  std::fprintf(stderr, "bench_train: %s\n", e.what());
  return 1;
}
