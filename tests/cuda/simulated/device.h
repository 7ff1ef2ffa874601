// The simulated GPU: what is asked for is put down, and done as late as CUDA allows, in an order that it
// allows.
#pragma once

#include <cuda_runtime_api.h>

#include <functional>
#include <memory>
#include <mutex>
#include <random>
#include <tuple>
#include <utility>

namespace varve::simulated {

// A kernel and what it is given, their types forgotten.
struct Kernel {
  void* function;
  std::shared_ptr<const void> parameters;
  void (*call)(const Kernel& kernel);                            // as one thread
  std::shared_ptr<const void> (*read)(void* const* parameters);  // others to give it
  dim3 blocks, threads;
  unsigned cluster = 1;
};

template <class... Parameters, class... Arguments>
Kernel kernel_of(void (*function)(Parameters...), const Arguments&... arguments) {
  using All = std::tuple<Parameters...>;
  return {reinterpret_cast<void*>(function),
          std::make_shared<const All>(arguments...),
          [](const Kernel& k) {
            std::apply(reinterpret_cast<void (*)(Parameters...)>(k.function),
                       *static_cast<const All*>(k.parameters.get()));
          },
          [](void* const* from) -> std::shared_ptr<const void> {
            return [from]<size_t... i>(std::index_sequence<i...>) {
              return std::make_shared<const All>(*static_cast<Parameters*>(from[i])...);
            }
            (std::index_sequence_for<Parameters...>());
          },
          {},
          {}};
}

// Work in its turn on a stream, or as a node of the graph that is captured there.
cudaError_t enqueue(cudaStream_t stream, std::function<void()> work);
cudaError_t launch(const cudaLaunchConfig_t& config, Kernel kernel);
// All that any stream was asked for.
void finish_all();

// One for the whole device: held by every call, and while anything is done.
std::recursive_mutex& device_mutex();
// By whoever holds it: numbers that decide what CUDA leaves open.
std::minstd_rand& chance();

// Whether so many bytes are of one block of the device's memory.
bool is_on_device(const void* data, size_t bytes);

// What a call has to fail with before it does anything, if it has to.
cudaError_t refused();

// Says what a program did that CUDA forbids or does not define, and ends it.
[[noreturn]] void misuse(const char* what);

}  // namespace varve::simulated
