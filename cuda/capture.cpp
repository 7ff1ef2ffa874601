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
  findings.refuse({static_cast<const std::byte*>(from), bytes});
}

Workspace::~Workspace() {
  if (Capture* const now = context_.capture())
    now->keep(data_, bytes_);
  else
    context_.allocator.give(data_, bytes_);
}

Capture::Capture(Context& on) : on_(on), verdicts_(std::make_unique<Verdicts>(on.findings)) {
  VARVE_CUDA_CHECK(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeRelaxed));
  capturing = this;
}

// The workspaces go back unless a recording has them.
Capture::~Capture() {
  if (open_)
    if (const cudaGraph_t graph = end()) cudaGraphDestroy(graph);
  for (const auto& [data, bytes] : workspaces_) on_.allocator.give(data, bytes);
}

void Capture::add(Call call) {
  dependencies_.add(call.reads, call.writes);
  calls_.push_back(std::move(call));
}

void Capture::receive(const View& place) {
  const auto bytes = static_cast<int64_t>(place.spec().bytes());
  receivers_.push_back({nullptr, place.data, bytes});
  const auto work = [this, bytes](Views, Views to) { drive_receive(on_, nullptr, to[0].data, bytes); };
  add({"receive", {}, {place}, work, {}, {}});
}

// What follows a product of ours becomes part of its kernel, if it can.
void Capture::join_products() {
  for (size_t p = 0; p < calls_.size(); ++p) {
    if (!calls_[p].product) continue;
    std::optional<SmallProduct> product = calls_[p].product(calls_[p].reads, calls_[p].writes);
    if (!product) continue;
    for (size_t c = p + 1; c < calls_.size(); ++c)
      if (calls_[c].join && !dependencies_.is_joined(c)) try_join(*product, p, c);
    calls_[p].work = [this, all = *product](Views, Views) { all.start(on_); };
  }
}

// A call may not write what the product reads or wrote; what it reads, but for the product's own elements,
// may not be what other elements of it write.
void Capture::try_join(SmallProduct& product, size_t unit, size_t call) {
  const Call& c = calls_[call];
  const auto gives = [&](const View& v) { return product.gives(v); };
  const auto clashes = [&](size_t member) {
    return std::any_of(c.writes.begin(), c.writes.end(),
                       [&](const View& v) { return dependencies_.touches(member, v, true); }) ||
           std::any_of(c.reads.begin(), c.reads.end(),
                       [&](const View& v) { return !gives(v) && dependencies_.touches(member, v, false); });
  };
  const auto& members = dependencies_.members(unit);
  if (std::count_if(c.reads.begin(), c.reads.end(), gives) != 1 ||
      std::any_of(members.begin(), members.end(), clashes))
    return;
  SmallProduct joined = product;
  if (c.join(joined, c.reads, c.writes) && dependencies_.join(unit, call)) product = joined;
}

// All units, to be put into the graph in this order.
std::vector<Work> Capture::work() const {
  constexpr double kLeast = 2, kBytes = 1e6;  // microseconds of a kernel; bytes for one of more
  std::vector<size_t> place(calls_.size());
  std::vector<Work> all;
  for (const size_t unit : dependencies_.order()) {
    place[unit] = all.size();
    std::vector<size_t> needs = dependencies_.needed(unit);
    for (size_t& n : needs) n = place[n];
    all.push_back({unit, kLeast + static_cast<double>(dependencies_.bytes(unit)) / kBytes, std::move(needs)});
  }
  return branched(std::move(all));
}

// A capture puts each node after the one before, unless told.
Capture::Nodes Capture::put(size_t unit, const Nodes& before) {
  VARVE_CUDA_CHECK(cudaStreamUpdateCaptureDependencies(stream_, const_cast<cudaGraphNode_t*>(before.data()),
                                                       nullptr, before.size(),
                                                       cudaStreamSetCaptureDependencies));
  const Call& call = calls_[unit];
  last_family = call.family;
  call.work(call.reads, call.writes);
  return reached();  // where it did nothing, those before
}

// What the next node would come after.
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
  cudaGraph_t graph = nullptr;
  if (cudaStreamEndCapture(stream_, &graph) != cudaSuccess) cudaGetLastError();
  return graph;
}

std::unique_ptr<Recording> Capture::finish() {
  join_products();
  const std::vector<Work> units = work();
  std::vector<Nodes> ends;
  for (const Work& unit : units) {
    Nodes before;
    for (const size_t n : unit.needs) before.insert(before.end(), ends[n].begin(), ends[n].end());
    std::sort(before.begin(), before.end());  // two that did nothing may end in one
    before.erase(std::unique(before.begin(), before.end()), before.end());
    ends.push_back(put(unit.name, before));
    if (unit.name < receivers_.size() && receivers_[unit.name].bytes > 0)
      receivers_[unit.name].node = ends.back().front();
  }
  GraphPtr graph(end(), [](cudaGraph_t g) { cudaGraphDestroy(g); });
  if (!graph) return nullptr;
  verdicts_->watch(dependencies_.written());
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
    return capture.finish();
  } catch (const CannotRecord&) {
    return nullptr;
  }
}

}  // namespace varve::cuda
