// Streams and events of the simulated device. Work is done late, when somebody waits for it, or by chance at
// once.
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <set>

#include "tests/cuda/simulated/graphs.h"
#include "tests/cuda/simulated/grid.h"

using namespace varve::simulated;

namespace varve::simulated {
namespace {

unsigned asked_for(const char* variable, unsigned otherwise) {
  const char* const number = std::getenv(variable);
  return number ? static_cast<unsigned>(std::strtoul(number, nullptr, 10)) : otherwise;
}

// The device is of 9.0, Hopper, or as the environment says; so is where chance begins.
unsigned major_capability() {
  static const unsigned major = asked_for("VARVE_SIMULATED_CAPABILITY", 9);
  return major;
}

}  // namespace

std::recursive_mutex& device_mutex() {
  static auto& mutex = *new std::recursive_mutex;
  return mutex;
}
std::minstd_rand& chance() {
  static std::minstd_rand numbers(asked_for("VARVE_SIMULATED_SEED", 1));
  return numbers;
}
void misuse(const char* what) {
  std::fprintf(stderr, "simulated GPU: %s\n", what);
  std::abort();
}

// Work in the order in which it was asked for.
class Queue {
 public:
  // As late as may be, for the most part; or at once, with all before it.
  void add(Work work) {
    waiting.push_back(std::move(work)), ++asked;
    if (chance()() % 8 == 0) finish();
  }
  void finish() { finish(asked); }
  void finish(uint64_t place) {
    while (done < place && !waiting.empty()) {
      const Work work = std::move(waiting.front());
      waiting.pop_front();
      work();
      ++done;
    }
  }
  uint64_t asked = 0;

 private:
  std::deque<Work> waiting;
  uint64_t done = 0;
};

}  // namespace varve::simulated

struct CUstream_st {
  std::shared_ptr<Queue> queue = std::make_shared<Queue>();
  Captured captured;
};
struct CUevent_st {
  std::shared_ptr<Queue> queue;  // where it was recorded, and after how much
  uint64_t place = 0;
};

namespace {

std::set<cudaStream_t>& streams() {
  static auto& all = *new std::set<cudaStream_t>;
  return all;
}
void refuse_captured(cudaStream_t stream, const char* call) {
  if (stream->captured.graph) misuse(call);
}

}  // namespace

namespace varve::simulated {

Captured& captured(cudaStream_t stream) { return stream->captured; }

void finish_all() {
  for (cudaStream_t stream : streams()) stream->queue->finish();
}

namespace {
cudaError_t put(cudaStream_t stream, Work work) {
  const std::lock_guard lock(device_mutex());
  if (stream->captured.graph)
    stream->captured.add(std::move(work));
  else
    stream->queue->add(std::move(work));
  return cudaSuccess;
}
}  // namespace

cudaError_t enqueue(cudaStream_t stream, std::function<void()> work) {
  return put(stream, {std::move(work), {}});
}

cudaError_t launch(const cudaLaunchConfig_t& config, Kernel kernel) {
  if (const cudaError_t code = refused()) return code;
  kernel.blocks = config.gridDim, kernel.threads = config.blockDim;
  if (config.numAttrs > 0 && major_capability() < 9) misuse("a kernel is started as only Hopper can");
  for (unsigned i = 0; i < config.numAttrs; ++i)
    if (config.attrs[i].id == cudaLaunchAttributeClusterDimension)
      kernel.cluster = config.attrs[i].val.clusterDim.x;
  const dim3 n = kernel.blocks;
  if (n.x == 0 || n.y == 0 || n.z == 0 || n.y > 65535 || n.z > 65535) return cudaErrorInvalidValue;
  return put(config.stream, {{}, std::move(kernel)});
}

}  // namespace varve::simulated

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  if (const cudaError_t code = refused()) return code;
  const std::lock_guard lock(device_mutex());
  *stream = new CUstream_st;
  streams().insert(*stream);
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  const std::lock_guard lock(device_mutex());
  stream->queue->finish();
  streams().erase(stream);
  delete stream;
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  if (const cudaError_t code = refused()) return code;
  const std::lock_guard lock(device_mutex());
  refuse_captured(stream, "a stream that is captured cannot be waited for");
  stream->queue->finish();
  return cudaSuccess;
}
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  if (const cudaError_t code = refused()) return code;
  const std::lock_guard lock(device_mutex());
  refuse_captured(stream, "varve captures no events");
  if (event->queue)
    stream->queue->add({[queue = event->queue, place = event->place] { queue->finish(place); }, {}});
  return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  if (const cudaError_t code = refused()) return code;
  *event = new CUevent_st;
  return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  if (const cudaError_t code = refused()) return code;
  const std::lock_guard lock(device_mutex());
  refuse_captured(stream, "varve captures no events");
  event->queue = stream->queue, event->place = stream->queue->asked;
  return cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  if (const cudaError_t code = refused()) return code;
  const std::lock_guard lock(device_mutex());
  if (event->queue) event->queue->finish(event->place);
  return cudaSuccess;
}

const char* cudaGetErrorString(cudaError_t code) {
  return code == cudaErrorMemoryAllocation ? "out of memory" : "an error of the simulated device";
}
const char* cudaGetErrorName(cudaError_t code) {
  return code == cudaErrorMemoryAllocation ? "cudaErrorMemoryAllocation" : "cudaErrorSimulated";
}
cudaError_t cudaGetLastError() { return cudaSuccess; }
cudaError_t cudaDriverGetVersion(int* version) { return *version = CUDART_VERSION, cudaSuccess; }
cudaError_t cudaGetDeviceCount(int* count) { return *count = 1, cudaSuccess; }
cudaError_t cudaGetDevice(int* device) { return *device = 0, refused(); }
cudaError_t cudaSetDevice(int device) { return device == 0 ? cudaSuccess : cudaErrorInvalidDevice; }
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
  *value = attribute == cudaDevAttrComputeCapabilityMajor ? static_cast<int>(major_capability())
           : attribute == cudaDevAttrMultiProcessorCount  ? 4
                                                          : 1 << 20;
  return cudaSuccess;
}
