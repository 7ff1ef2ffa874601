// Fills and copies: bits where the dtype stays, else through the compute type of the input.
#include <cstring>

#include <varve/cuda/drivers.h>
#include <varve/cuda/elements.cuh>
#include <varve/cuda/launch.cuh>

namespace varve::cuda {
namespace {

template <class Bits>
__global__ void __launch_bounds__(kThreads) fill_bits(const __grid_constant__ Space space, Bits value) {
  take_turn();
  for_each_index(space.total, [&](int64_t i) {
    int64_t at[1];
    locate(space, i, at);
    element<Bits>(space.operand[0], at[0]) = value;
  });
}

template <class Bits>
__global__ void __launch_bounds__(kThreads) copy_bits(const __grid_constant__ Space space) {
  take_turn();
  for_each_index(space.total, [&](int64_t i) {
    int64_t at[2];
    locate(space, i, at);
    element<Bits>(space.operand[1], at[1]) = element<Bits>(space.operand[0], at[0]);
  });
}

template <class C>
__global__ void __launch_bounds__(kThreads) convert(const __grid_constant__ Space space) {
  take_turn();
  for_each_index(space.total, [&](int64_t i) {
    int64_t at[2];
    locate(space, i, at);
    store<C>(space.operand[1], at[1], load<C>(space.operand[0], at[0]));
  });
}

bool is_block(const Space& space) {
  return space.rank == 0 ||
         (space.rank == 1 && space.operand[0].strides[0] == 1 && space.operand[1].strides[0] == 1);
}

}  // namespace

void drive_fill(Context& on, const View& out, const void* value) {
  const Space space(out.shape, Views(&out, 1), {});
  with_bits(size_of(out.dtype), [&]<class Bits>() {
    Bits bits;
    std::memcpy(&bits, value, sizeof bits);
    start(on, space.total, fill_bits<Bits>, space, bits);
  });
}

void drive_copy(Context& on, const View& in, const View& out) {
  const Space space(out.shape, Views(&in, 1), Views(&out, 1));
  if (space.total == 0) return;
  if (in.dtype == out.dtype && is_block(space)) {
    VARVE_CUDA_CHECK(
        cudaMemcpyAsync(out.data, in.data, out.spec().bytes(), cudaMemcpyDeviceToDevice, on.queue()));
  } else if (in.dtype == out.dtype) {
    with_bits(size_of(in.dtype), [&]<class Bits>() { start(on, space.total, copy_bits<Bits>, space); });
  } else {
    with_compute(compute_of(in.dtype), [&]<class C>() { start(on, space.total, convert<C>, space); });
  }
}

}  // namespace varve::cuda
