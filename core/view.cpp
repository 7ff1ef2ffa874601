#include <varve/core/view.h>

namespace varve {

std::string to_string(const Spec& spec) { return std::string(name_of(spec.dtype)) + to_string(spec.shape); }

bool is_contiguous(const View& view) {
  int64_t step = 1;
  for (int i = view.rank(); i-- > 0;) {
    if (view.shape[i] == 0) return true;
    if (view.shape[i] != 1 && view.strides[i] != step) return false;
    step *= view.shape[i];
  }
  return true;
}

bool is_broadcast(const View& view) {
  if (view.numel() == 0) return false;
  for (int i = 0; i < view.rank(); ++i)
    if (view.strides[i] == 0 && view.shape[i] > 1) return true;
  return false;
}

View contiguous_view(void* data, const Spec& spec) {
  return {data, spec.dtype, spec.shape, contiguous_strides(spec.shape)};
}

View expanded(const View& view, const Shape& shape) {
  View out{view.data, view.dtype, shape, Strides::filled(shape.rank(), 0)};
  const int shift = shape.rank() - view.rank();
  for (int i = 0; i < view.rank(); ++i)
    if (view.shape[i] != 1 || shape[i + shift] == 1) out.strides[i + shift] = view.strides[i];
  return out;
}

}  // namespace varve
