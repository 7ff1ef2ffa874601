// Storage: a block of bytes on one device, shared by the tensors that view it.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <unordered_map>

#include <varve/core/backend.h>

namespace varve {

class VARVE_API Storage {
 public:
  // Uninitialised memory.
  Storage(Backend& backend, size_t bytes);
  // Borrowed memory; `owner` (may be null) is kept until the storage dies.
  Storage(Backend& backend, void* data, size_t bytes, std::shared_ptr<const void> owner);
  ~Storage();
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;

  std::byte* data() const { return data_; }
  size_t bytes() const { return bytes_; }
  Backend& backend() const { return *backend_; }

  // Counts writes in place, so that a value saved for backward can be found changed.
  uint64_t version() const { return version_.load(std::memory_order_relaxed); }
  void bump_version() { version_.fetch_add(1, std::memory_order_relaxed); }

  // What error messages call it, e.g. "features.3.weight"; set by the walk over a module.
  const std::string& label() const { return label_; }
  void set_label(std::string label) { label_ = std::move(label); }

 private:
  Backend* backend_;
  std::byte* data_;
  size_t bytes_;
  bool owned_;
  std::shared_ptr<const void> owner_;
  std::atomic<uint64_t> version_{0};
  std::string label_;
};

// A value: a typed, strided view over a shared storage. Immutable but for the bytes themselves.
struct Value {
  std::shared_ptr<Storage> storage;
  int64_t offset;  // bytes
  DType dtype;
  Shape shape;
  Strides strides;

  Value(std::shared_ptr<Storage> its, int64_t at, DType type, const Shape& sizes, const Strides& steps)
      : storage(std::move(its)), offset(at), dtype(type), shape(sizes), strides(steps) {}
  View view() const { return {storage->data() + offset, dtype, shape, strides}; }
  Spec spec() const { return {dtype, shape}; }
};
using ValuePtr = std::shared_ptr<const Value>;

// Whether they show the same elements of one memory in the same way.
VARVE_API bool same_view(const Value& a, const Value& b);

// What is kept for each view, whichever values show it; whoever fills it keeps the values.
struct ViewHash {
  size_t operator()(const Value* v) const {
    return std::hash<const void*>()(v->storage.get()) ^ std::hash<int64_t>()(v->offset);
  }
};
struct ViewEqual {
  bool operator()(const Value* a, const Value* b) const { return same_view(*a, *b); }
};
template <class T>
using ByView = std::unordered_map<const Value*, T, ViewHash, ViewEqual>;

// A contiguous value with memory of its own, uninitialised.
VARVE_API ValuePtr make_value(Backend& backend, const Spec& spec);

}  // namespace varve
