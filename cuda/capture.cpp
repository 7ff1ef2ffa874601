#include <varve/cuda/capture.h>

#include <algorithm>
#include <numeric>

#include <varve/core/error.h>
#include <varve/cuda/drivers.h>

namespace varve::cuda {
namespace {

thread_local Capture* capturing = nullptr;

}  // namespace

Capture* Context::capture() const { return capturing && &capturing->context() == this ? capturing : nullptr; }

cudaStream_t Context::queue() const {
  Capture* const now = capture();
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
  close();
  dependencies_.begin();
  for (const View& v : reads) dependencies_.reads(v);
  for (const View& v : writes) dependencies_.writes(v);
  needed_ = dependencies_.needed();
  ends_.emplace_back();
}

void Capture::close() {
  if (ends_.empty()) return;
  if (placed_) ends_.back() = reached();
  if (!is_held_ && ends_.back() == after_) dependencies_.forget();
  after_.clear(), placed_ = is_held_ = false;
}

void Capture::receive(const View& place) {
  const auto bytes = static_cast<int64_t>(place.spec().bytes());
  begin({}, Views(&place, 1));
  drive_receive(on_, nullptr, place.data, bytes);
  receivers_.push_back({bytes ? reached().front() : nullptr, place.data, bytes});
}

void Capture::also_writes(const View& memory) {
  dependencies_.writes(memory);
  needed_ = dependencies_.needed();
}

cudaStream_t Capture::stream() {
  if (!placed_) {
    placed_ = true;
    start_held(needed_);
    follow(needed_);
    after_ = reached();
  }
  return stream_;
}

// A capture puts each node after the one before, unless told what comes before it.
void Capture::follow(const Calls& calls) {
  Nodes nodes;
  for (const size_t call : calls) nodes.insert(nodes.end(), ends_[call].begin(), ends_[call].end());
  VARVE_CUDA_CHECK(cudaStreamUpdateCaptureDependencies(stream_, nodes.data(), nullptr, nodes.size(),
                                                       cudaStreamSetCaptureDependencies));
}

void Capture::hold(const SmallProduct& product) {
  start_held(needed_);
  held_.push_back({product, {ends_.size() - 1}, needed_});
  is_held_ = true;
}

// Starts what is held of the calls that are needed.
void Capture::start_held(const Calls& needed) {
  const bool placed = std::exchange(placed_, true);
  for (size_t i = 0; i < held_.size();) {
    const auto is_needed = [&](size_t call) {
      return std::find(needed.begin(), needed.end(), call) != needed.end();
    };
    if (std::none_of(held_[i].calls.begin(), held_[i].calls.end(), is_needed)) {
      ++i;
      continue;
    }
    const Held held = std::move(held_[i]);
    held_.erase(held_.begin() + static_cast<ptrdiff_t>(i));
    follow(held.needed);
    held.product.start(on_);
    for (const size_t call : held.calls) ends_[call] = reached();
  }
  placed_ = placed;
}

// The last call may not write what the product reads or wrote, nor read what other elements of it write.
bool Capture::join(pointwise::Id function, Views in, Views out) {
  const size_t call = ends_.size() - 1;
  for (Held& held : held_) {
    const auto clashes = [&](size_t c) {
      return dependencies_.touches(c, out[0], true) ||
             std::any_of(in.begin() + 1, in.end(),
                         [&](const View& v) { return dependencies_.touches(c, v, false); });
    };
    if (out.size() != 1 || std::any_of(held.calls.begin(), held.calls.end(), clashes) ||
        !held.product.then(function, in, out[0]))
      continue;
    Calls others = needed_;
    for (const size_t own : held.calls) std::erase(others, own);
    held.needed.insert(held.needed.end(), others.begin(), others.end());
    held.calls.push_back(call);
    is_held_ = true;
    start_held(others);  // or it might come to wait for this one
    return true;
  }
  return false;
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
  close();
  Calls all(ends_.size());
  std::iota(all.begin(), all.end(), size_t{0});
  start_held(all);
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
