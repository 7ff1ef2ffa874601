#include <varve/io/ferries.h>

#include <algorithm>

#include <varve/io/layout.h>

namespace varve::io {

bool Ferries::fits(const Backend& on, size_t bytes) const {
  return now_ < ferries_.size() && ferries_[now_].on == &on && used_ + bytes <= ferry().room().size();
}

std::span<std::byte> Ferries::room(Backend& on, size_t bytes) {
  if (!fits(on, bytes)) {
    if (used_ > 0) now_ = (now_ + 1) % most_;
    used_ = 0;
    if (now_ < ferries_.size()) ferry().wait();
    if (!fits(on, bytes)) {
      Owned made{&on, on.ferry(std::max<size_t>(kChunkBytes, bytes))};  // or none, and all are as they were
      if (now_ == ferries_.size()) ferries_.emplace_back();
      ferries_[now_] = std::move(made);
    }
  }
  const auto room = ferry().room().subspan(used_, bytes);
  used_ = std::min<size_t>(round_up(used_ + bytes, kSmallAlignment), ferry().room().size());
  return room;
}

void Ferries::upload(std::span<const std::byte> bytes, std::byte* to) {
  ferry().upload(bytes.data(), to, bytes.size());
}

std::span<const std::byte> Ferries::download(Backend& on, std::span<const std::byte> bytes) {
  const auto to = room(on, bytes.size());
  ferry().download(bytes.data(), to.data(), bytes.size());
  return to;
}

void Ferries::wait() {
  for (const Owned& owned : ferries_) owned.ferry->wait();
}

}  // namespace varve::io
