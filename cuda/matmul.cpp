// Matrix products: small ones by kernels of ours, the others by cuBLASLt.
#include <algorithm>

#include <varve/cuda/drivers.h>
#include <varve/cuda/small_product.h>

namespace varve::cuda {

void drive_matmul(Context& on, const View& a, const View& b, const View& out, bool tf32) {
  if (out.numel() == 0) return;
  if (a.shape[a.rank() - 1] == 0) {
    const double zero = 0;  // all bits 0 in every dtype
    return drive_fill(on, out, &zero);
  }
  if (const auto small = SmallProduct::of(on, a, b, out)) return small->start(on);
  const Products products(a, b, out, tf32);
  const std::lock_guard lock(on.products_mutex);
  size_t bytes = 0;
  products.each([&](const Product& p) { bytes = std::max(bytes, on.products.of(p.shape).workspace); });
  const Workspace room(on, bytes);  // of its own, for recorded products may run side by side
  products.each([&](const Product& p) { on.products.start(p, room.data(), on.queue()); });
}

}  // namespace varve::cuda
