#include <varve/core/cpu/workspace.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <new>

namespace varve::cpu {
namespace {

class Memory {
 public:
  std::byte* at_least(size_t bytes) {
    if (bytes > size_) {
      const size_t rounded = std::max(kReserved, (bytes + 4095) / 4096 * 4096);
      void* data = nullptr;
      if (::posix_memalign(&data, 4096, rounded) != 0) throw std::bad_alloc();
      data_.reset(static_cast<std::byte*>(data));
      size_ = rounded;
    }
    return data_.get();
  }

 private:
  static constexpr size_t kReserved = size_t{8} << 20;  // what is not used costs only addresses
  struct Free {
    void operator()(std::byte* p) const { std::free(p); }
  };
  std::unique_ptr<std::byte, Free> data_;
  size_t size_ = 0;
};
thread_local Memory of_kernel, of_part;

}  // namespace

std::byte* workspace(size_t bytes) { return of_kernel.at_least(bytes); }
std::byte* part_room(size_t bytes) { return of_part.at_least(bytes); }

void reserve_workspaces() noexcept try {
  workspace(1);
  part_room(1);
} catch (const std::bad_alloc&) {  // who needs it will say so
}

}  // namespace varve::cpu
