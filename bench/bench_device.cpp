// What kernels make of a device: products, and what moves memory beside a copy of as many bytes.
//
//   bench_device [--device cuda] [--rounds N] [--filter TEXT]
//   bench_device --serve      reads the names of cases on stdin, answers each with its seconds
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <string>

#include <varve/bench/cases.h>
#include <varve/core/cpu/threads.h>
#include <varve/core/ops/elementwise.h>
#include <varve/varve.h>

using namespace varve;

namespace {

// A case that does `work` so often, and waits for the last.
template <class Work>
void add(bench::Cases& cases, const std::string& name, double amount, int times, Work work,
         const std::string& ceiling = "") {
  cases.add({name, amount,
             [=] {
               const double taken = bench::device_seconds([&] {
                 for (int i = 0; i < times; ++i) work();
               });
               return taken / times;
             },
             ceiling});
}

void add_product(bench::Cases& cases, const std::string& name, int64_t m, int64_t n, DType dtype, bool tf32) {
  const Tensor a = randn({m, n}, dtype), b = randn({n, n}, dtype), c = zeros({m, n}, dtype);
  const double work = 2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(n);
  const int times = static_cast<int>(std::clamp(2e11 / work, 1.0, 200.0));
  add(cases, fmt::format("{}/{}/{}", name, tf32 ? "tf32" : name_of(dtype), n), work, times, [=] {
    const AllowTf32 mode(tf32);
    const View in[] = {a.view(), b.view()}, out[] = {c.view()};
    Matmul{}.run(a.value().storage->backend(), in, out, {});
  });
}

void add_products(bench::Cases& cases, DType dtype, bool tf32 = false) {
  for (const int64_t n : {256, 512, 1024, 2048, 4096, 8192})
    if (n < 8192 || dtype != DType::f64) add_product(cases, "gemm", n, n, dtype, tf32);
}

// Each beside a copy that moves as many bytes.
void add_memory(bench::Cases& cases, int64_t count) {
  const auto bytes = [count](double streams) { return streams * 4 * static_cast<double>(count); };
  const Tensor p = randn({count}), g = randn({count}), m = zeros({count}), v = zeros({count});
  const Tensor rate = full({}, 1e-3, DType::f64), one = full({}, 1, DType::f64);
  const Tensor from = randn({count * 7 / 2}), to = zeros({count * 7 / 2});
  const NoGrad guard;
  const auto copied = [=](double streams) {
    const auto n = static_cast<int64_t>(streams / 2 * static_cast<double>(count));
    return [a = slice(from, 0, 0, n), b = slice(to, 0, 0, n)] { b.assign(a); };
  };
  add(cases, "copy/7", bytes(7), 10, copied(7));
  add(cases, "copy/3", bytes(3), 10, copied(3));
  add(cases, "copy/2", bytes(2), 10, copied(2));
  add(
      cases, "adam", bytes(7), 10,
      [=] {
        apply_op(AdamStep{}, {p, g, m, v, rate, one, one});
      },
      "copy/7");
  add(
      cases, "add", bytes(3), 10, [=] { p + g; }, "copy/3");
  add(
      cases, "tanh", bytes(2), 10, [=] { tanh(p); }, "copy/2");
  add(
      cases, "sum", bytes(1), 10, [=] { sum(p); }, "");
  const Tensor matrix = reshape(p, {count / 1024, 1024});
  add(
      cases, "softmax/1024", bytes(2), 10, [=] { softmax(matrix); }, "copy/2");
  add(
      cases, "sum/columns", bytes(1), 10, [=] { sum(matrix, {0}); }, "");
  add(
      cases, "transpose", bytes(2), 10, [=] { clone(transpose(matrix)); }, "copy/2");
}

}  // namespace

int main(int argc, char** argv) try {
  CLI::App app{"Kernels of a device: products, and memory"};
  bench::Options options;
  bench::add_options(app, options);
  bench::add_device(app, options);
  CLI11_PARSE(app, argc, argv);
  if (options.threads) set_threads(options.threads);
  const Device device = device_named(options.device);
  const OnDevice on(device);
  bench::Cases cases("G/s");
  add_products(cases, DType::f32);
  add_products(cases, DType::f64);
  if (device != kCpu) {
    add_products(cases, DType::bf16);
    add_products(cases, DType::f16);
    add_products(cases, DType::f32, true);
    for (const DType dtype : {DType::f32, DType::bf16}) add_product(cases, "row", 1, 8192, dtype, false);
  }
  add_memory(cases, device == kCpu ? int64_t{1} << 22 : int64_t{1} << 26);
  cases.run(options);
  return 0;
} catch (const std::exception& e) {
  std::fprintf(stderr, "bench_device: %s\n", e.what());
  return 1;
}
