#include <varve/cuda/capture.h>

#include <algorithm>

#include <varve/core/error.h>
#include <varve/cuda/drivers.h>

namespace varve::cuda {
namespace {

thread_local Capture* capturing = nullptr;

}  // namespace

Capture* Context::capture() const { return capturing && &capturing->context() == this ? capturing : nullptr; }

cudaStream_t Context::queue() const {
  const Capture* const now = capture();
  return now ? now->stream() : stream;
}

void Context::download(const void* from, void* to, size_t bytes) {
  if (capture()) throw CannotRecord();
  staging.download(stream, from, to, bytes);
  const std::lock_guard lock(verdicts_mutex);
  for (Verdicts* v : verdicts) v->check();
}

Workspace::~Workspace() {
  if (Capture* const now = context_.capture())
    now->keep(data_, bytes_);
  else
    context_.allocator.give(data_, bytes_);
}

Capture::Capture(Context& on) : on_(on), verdicts_(std::make_unique<Verdicts>(on)) {
  VARVE_CUDA_CHECK(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeRelaxed));
  capturing = this;
}

// The workspaces go back unless a recording has them.
Capture::~Capture() {
  if (open_)
    if (const cudaGraph_t graph = end()) cudaGraphDestroy(graph);
  for (const auto& [data, bytes] : workspaces_) on_.allocator.give(data, bytes);
}

void Capture::begin(Views reads, Views writes) {
  if (began_) {
    ends_.push_back(reached());
    if (ends_.back() == after_) dependencies_.forget();
  }
  began_ = true;
  dependencies_.begin();
  for (const View& v : reads) dependencies_.reads(v);
  for (const View& v : writes) dependencies_.writes(v);
  place();
}

void Capture::receive(const View& place) {
  const auto bytes = static_cast<int64_t>(place.spec().bytes());
  begin({}, Views(&place, 1));
  drive_receive(on_, nullptr, place.data, bytes);
  receivers_.push_back({bytes ? reached().front() : nullptr, place.data, bytes});
}

void Capture::also_writes(const View& memory) {
  dependencies_.writes(memory);
  place();
}

// A capture puts each node after the one before, unless told what comes before it.
void Capture::place() {
  after_.clear();
  for (const size_t call : dependencies_.needed())
    after_.insert(after_.end(), ends_[call].begin(), ends_[call].end());
  VARVE_CUDA_CHECK(cudaStreamUpdateCaptureDependencies(stream_, after_.data(), nullptr, after_.size(),
                                                       cudaStreamSetCaptureDependencies));
  after_ = reached();
}

// What the next node would come after: the last of the call, if it asked for any.
Capture::Nodes Capture::reached() const {
  cudaStreamCaptureStatus status;
  const cudaGraphNode_t* nodes = nullptr;
  const cudaGraphEdgeData* edges = nullptr;
  size_t count = 0;
  VARVE_CUDA_CHECK(cudaStreamGetCaptureInfo(stream_, &status, nullptr, nullptr, &nodes, &edges, &count));
  return {nodes, nodes + count};
}

// Null where the capture failed.
cudaGraph_t Capture::end() {
  open_ = false;
  capturing = nullptr;
  {
    const std::lock_guard lock(on_.blas_mutex);
    on_.blas_stream = nullptr;  // this stream's number may be given to another
  }
  cudaGraph_t graph = nullptr;
  if (cudaStreamEndCapture(stream_, &graph) != cudaSuccess) cudaGetLastError();
  return graph;
}

std::unique_ptr<Recording> Capture::finish() {
  GraphPtr graph(end(), [](cudaGraph_t g) { cudaGraphDestroy(g); });
  if (!graph) return nullptr;
  return std::make_unique<GraphRecording>(on_, std::move(graph), std::move(receivers_), workspaces_,
                                          std::move(verdicts_));
}

std::unique_ptr<Recording> record(Context& on, Views places, const std::function<void()>& work) {
  const Current current(on.device);
  if (on.capture()) return nullptr;
  Capture capture(on);
  try {
    for (const View& place : places) capture.receive(place);
    work();
  } catch (const CannotRecord&) {
    return nullptr;
  }
  return capture.finish();
}

}  // namespace varve::cuda
