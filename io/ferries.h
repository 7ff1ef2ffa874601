// Ferries: chunks to or from a device's memory by way of the host's, several in a ferry. Where there may be
// so many and no more, the first is used again once its bytes have gone: one is filled while others are under
// way.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include <varve/core/backend.h>

namespace varve::io {

class VARVE_API Ferries {
 public:
  explicit Ferries(size_t most = SIZE_MAX) : most_(most) {}

  // Room in the host's memory for bytes that are then uploaded, before room for others is asked for.
  std::span<std::byte> room(Backend& on, size_t bytes);
  void upload(std::span<const std::byte> bytes, std::byte* to);
  // Where bytes of a device's memory will lie after wait(), until restart() makes their room free.
  std::span<const std::byte> download(Backend& on, std::span<const std::byte> bytes);
  void wait();
  void restart() { now_ = used_ = 0; }

 private:
  struct Owned {
    Backend* on;
    std::unique_ptr<Ferry> ferry;
  };
  Ferry& ferry() const { return *ferries_[now_].ferry; }
  bool fits(const Backend& on, size_t bytes) const;

  size_t most_, now_ = 0, used_ = 0;  // of the one that is being filled
  std::vector<Owned> ferries_;
};

}  // namespace varve::io
