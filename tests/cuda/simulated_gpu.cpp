// The simulated GPU does what CUDA promises, and no more: what lacks a barrier, an edge, an event or a wait
// goes wrong in some of so many runs, what has it in none.
#include "tests/cuda/simulated/cuda_runtime.h"

#include <doctest/doctest.h>

#include <varve/cuda/hopper.cuh>

namespace {

constexpr int kRuns = 60, kThreads = 256;

struct Memory {
  Memory() {
    cudaMalloc(reinterpret_cast<void**>(&device), kThreads * 4),
        cudaMallocHost(reinterpret_cast<void**>(&host), kThreads * 4);
  }
  ~Memory() { cudaFree(device), cudaFreeHost(host); }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  int *device = nullptr, *host = nullptr;
};

struct Stream {
  Stream() { cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking); }
  ~Stream() { cudaStreamDestroy(stream); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  template <class... Ps>
  void start(unsigned cluster, void (*kernel)(Ps...), Ps... arguments) const {
    cudaLaunchAttribute attribute{cudaLaunchAttributeClusterDimension, {}};
    attribute.val.clusterDim = {cluster, 1, 1};
    const cudaLaunchConfig_t config{cluster, kThreads, 0, stream, &attribute, 1};
    cudaLaunchKernelEx(&config, kernel, arguments...);
  }
  void wait() const { cudaStreamSynchronize(stream); }
  cudaStream_t stream = nullptr;
};

// How many of the runs went wrong, of which each says whether it went right.
int wrong(auto&& run) {
  int count = 0;
  for (int i = 0; i < kRuns; ++i) count += !run(i);
  return count;
}

void set(int* x, int value) {
  varve::cuda::take_turn();
  if (threadIdx.x == 0) *x = value;
}
void add(int* x, const int* y) {
  varve::cuda::take_turn();
  if (threadIdx.x == 0) *x = *y + 1;
}

void shift(int* out, int salt, bool waits) {
  varve::cuda::take_turn();
  __shared__ int line[kThreads];
  line[threadIdx.x] = static_cast<int>(threadIdx.x) + salt;
  if (waits) __syncthreads();
  out[threadIdx.x] = line[(threadIdx.x + 40) % kThreads];
  __syncthreads();
}

void fetch(float* out, const float* from, bool waits) {
  varve::cuda::take_turn();
  __shared__ float line[kThreads];
  line[threadIdx.x] = -1;
  varve::cuda::copy_later<1>(line + threadIdx.x, from + threadIdx.x, 1);
  varve::cuda::end_of_batch();
  if (waits) varve::cuda::wait_for_batches<0>();
  out[threadIdx.x] = line[threadIdx.x];
}

// What the other block of the cluster has.
void look(float* out, float salt, bool waits) {
  varve::cuda::take_turn();
  __shared__ float mine;
  if (threadIdx.x == 0) mine = salt + static_cast<float>(blockIdx.x);
  if (waits) varve::cuda::meet_cluster();
  if (threadIdx.x == 0) out[blockIdx.x] = varve::cuda::in_block(&mine, 1 - blockIdx.x);
  varve::cuda::meet_cluster();
}

}  // namespace

TEST_CASE("a missing barrier is noticed on the simulated GPU") {
  const Memory out, from;
  const Stream stream;
  for (const bool waits : {true, false}) {
    CAPTURE(waits);
    const int shifted = wrong([&](int run) {
      stream.start(1, shift, out.device, run, waits);
      stream.wait();
      for (int i = 0; i < kThreads; ++i)
        if (out.device[i] != (i + 40) % kThreads + run) return false;
      return true;
    });
    CHECK((shifted == 0) == waits);
    auto *results = reinterpret_cast<float*>(out.device), *numbers = reinterpret_cast<float*>(from.device);
    std::fill_n(numbers, kThreads, 5.0f);
    const int fetched = wrong([&](int) {
      stream.start(1, fetch, results, static_cast<const float*>(numbers), waits);
      stream.wait();
      return std::all_of(results, results + kThreads, [](float x) { return x == 5; });
    });
    CHECK((fetched == 0) == waits);
    const int looked = wrong([&](int run) {
      stream.start(2, look, results, static_cast<float>(10 * run), waits);
      stream.wait();
      return results[0] == static_cast<float>(10 * run + 1) && results[1] == static_cast<float>(10 * run);
    });
    if (waits) CHECK(looked == 0);  // without it, it depends on threads of the host
  }
}

TEST_CASE("a missing edge of a graph is noticed on the simulated GPU") {
  const Memory x, y;
  for (const bool edge : {true, false}) {
    const Stream stream;
    cudaStreamBeginCapture(stream.stream, cudaStreamCaptureModeRelaxed);
    stream.start(1, set, x.device, 7);
    if (!edge)
      cudaStreamUpdateCaptureDependencies(stream.stream, nullptr, nullptr, 0,
                                          cudaStreamSetCaptureDependencies);
    stream.start(1, add, y.device, static_cast<const int*>(x.device));
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t exec = nullptr;
    cudaStreamEndCapture(stream.stream, &graph);
    cudaGraphInstantiate(&exec, graph, 0);
    const int count = wrong([&](int) {
      *x.device = 0;
      cudaGraphLaunch(exec, stream.stream);
      stream.wait();
      return *y.device == 8;
    });
    CHECK((count == 0) == edge);
    cudaGraphExecDestroy(exec);
    cudaGraphDestroy(graph);
  }
}

TEST_CASE("a missing event between streams, or wait of the host, is noticed on the simulated GPU") {
  const Memory x, y;
  const Stream first, second;
  cudaEvent_t done = nullptr;
  cudaEventCreateWithFlags(&done, cudaEventDisableTiming);
  for (const bool waits : {true, false}) {
    CAPTURE(waits);
    const int beside = wrong([&](int) {
      *x.device = 0;
      first.start(1, set, x.device, 7);
      cudaEventRecord(done, first.stream);
      if (waits) cudaStreamWaitEvent(second.stream, done);
      second.start(1, add, y.device, static_cast<const int*>(x.device));
      second.wait();
      const bool right = *y.device == 8;
      first.wait();
      return right;
    });
    CHECK((beside == 0) == waits);
    const int early = wrong([&](int run) {
      first.start(1, set, x.device, run);
      cudaMemcpyAsync(x.host, x.device, 4, cudaMemcpyDeviceToHost, first.stream);
      if (waits) first.wait();
      const bool right = *x.host == run;
      first.wait();
      return right;
    });
    CHECK((early == 0) == waits);
  }
  cudaEventDestroy(done);
}
