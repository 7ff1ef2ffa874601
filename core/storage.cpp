#include <varve/core/storage.h>

namespace varve {

Storage::Storage(Backend& backend, size_t bytes)
    : backend_(&backend),
      data_(static_cast<std::byte*>(backend.allocate(bytes))),
      bytes_(bytes),
      owned_(true) {}

Storage::Storage(Backend& backend, void* data, size_t bytes, std::shared_ptr<const void> owner)
    : backend_(&backend),
      data_(static_cast<std::byte*>(data)),
      bytes_(bytes),
      owned_(false),
      owner_(std::move(owner)) {}

Storage::~Storage() {
  if (owned_) backend_->release(data_, bytes_);
}

bool same_view(const Value& a, const Value& b) {
  return a.storage == b.storage && a.offset == b.offset && a.spec() == b.spec() && a.strides == b.strides;
}

ValuePtr make_value(Backend& backend, const Spec& spec) {
  return std::make_shared<const Value>(std::make_shared<Storage>(backend, spec.bytes()), 0, spec.dtype,
                                       spec.shape, contiguous_strides(spec.shape));
}

}  // namespace varve
