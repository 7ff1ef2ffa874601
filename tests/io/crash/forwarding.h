// Forwarding: a FileSystem before another one. Those derived from it change what a program does to the disk:
// faults that the system may answer with, other programs in between, and the mistakes a saver could make.
#pragma once

#include <varve/io/file_system.h>

namespace varve::test {

enum class Call {
  open_folder,
  make_folder,
  status,
  read_link,
  list,
  create,
  set_mode,
  reserve,
  write,
  sync,
  close,
  rename,
  remove
};

class Forwarding : public io::FileSystem {
 public:
  explicit Forwarding(io::FileSystem& next) : next_(next) {}
  int open_folder(const std::string& path) override {
    return forward(Call::open_folder, [&] { return next_.open_folder(path); });
  }
  int make_folder(const std::string& path) override {
    return forward(Call::make_folder, [&] { return next_.make_folder(path); });
  }
  io::SourcePtr open(const std::string& path) override { return next_.open(path); }
  int status(int folder, const std::string& name, io::FileStatus& status) override {
    return forward(Call::status, [&] { return next_.status(folder, name, status); });
  }
  int read_link(int folder, const std::string& name, std::string& target) override {
    return forward(Call::read_link, [&] { return next_.read_link(folder, name, target); });
  }
  int list(int folder, std::vector<std::string>& names) override {
    return forward(Call::list, [&] { return next_.list(folder, names); });
  }
  int create(int folder, const std::string& name, uint32_t mode) override {
    return forward(Call::create, [&] { return next_.create(folder, name, mode); });
  }
  int set_mode(int file, uint32_t mode) override {
    return forward(Call::set_mode, [&] { return next_.set_mode(file, mode); });
  }
  int reserve(int file, uint64_t bytes) override {
    return forward(Call::reserve, [&] { return next_.reserve(file, bytes); });
  }
  int64_t write(int file, std::span<const std::byte> bytes) override {
    return forward(Call::write, [&] { return next_.write(file, bytes); });
  }
  int sync(int descriptor) override {
    return forward(Call::sync, [&] { return next_.sync(descriptor); });
  }
  int close(int descriptor) override {
    return forward(Call::close, [&] { return next_.close(descriptor); });
  }
  int rename(int folder, const std::string& from, const std::string& to) override {
    return forward(Call::rename, [&] { return next_.rename(folder, from, to); });
  }
  int remove(int folder, const std::string& name) override {
    return forward(Call::remove, [&] { return next_.remove(folder, name); });
  }

 protected:
  // Before each call: -errno to answer with in its place, or 0.
  virtual int before(Call) { return 0; }
  io::FileSystem& next_;

 private:
  template <class F>
  auto forward(Call call, F f) -> decltype(f()) {
    if (const int code = before(call)) return code;
    return f();
  }
};

}  // namespace varve::test
