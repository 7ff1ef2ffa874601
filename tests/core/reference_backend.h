// ReferenceBackend: every kernel family as plain loops over indices, in double and 64-bit integers. It shares
// nothing with core/cpu.
#pragma once

#include <varve/core/backend.h>

namespace varve::test {

class ReferenceBackend final : public Backend {
 public:
  Device device() const override { return kCpu; }
  void* allocate(size_t bytes) override;
  void release(void* data, size_t bytes) noexcept override;
  void upload(const void* from, void* to, size_t bytes) override;
  void download(const void* from, void* to, size_t bytes) override { upload(from, to, bytes); }
  void fill(const View& out, const void* element) override;
  void copy(const View& in, const View& out) override;
  void pointwise(pointwise::Id fn, std::span<const double> constants, Views in, Views out) override;
  void reduce(ReduceFn fn, const View& in, const View& out) override;
  void rows(RowFn fn, Views in, Views out) override;
  void matmul(const View& a, const View& b, const View& out) override;
  void gather(const View& in, const View& index, int axis, const View& out) override;
  void scatter_add(const View& in, const View& index, int axis, const View& out) override;
  void random(RandomFn fn, double p, const View& state, const View& out) override;
};

}  // namespace varve::test
