// Fills and copies: bits where the dtype stays, else through the compute type of the input.
#include <algorithm>
#include <cstring>

#include <varve/core/pointwise_kernels.h>
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

// As wide as all three parameters allow.
__global__ void __launch_bounds__(kThreads) receive(const void* from, void* to, int64_t bytes) {
  take_turn();
  const auto by = [&]<class Bits>(Bits) {
    for_each_index(bytes / static_cast<int64_t>(sizeof(Bits)),
                   [&](int64_t i) { static_cast<Bits*>(to)[i] = static_cast<const Bits*>(from)[i]; });
  };
  const auto together =
      reinterpret_cast<uintptr_t>(from) | reinterpret_cast<uintptr_t>(to) | static_cast<uintptr_t>(bytes);
  if (together % sizeof(uint4) == 0)
    by(uint4{});
  else if (together % sizeof(uint32_t) == 0)
    by(uint32_t{});
  else
    by(uint8_t{});
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

// A matrix of [high, wide], whose rows lie so far apart in the input, and its transpose whose rows lie so far
// apart in the output.
struct Turn {
  int64_t high, wide, in_step, out_step;
};

// Through tiles in shared memory, so that both sides are gone through as they lie. Operands: where the
// matrices begin.
template <class Bits>
__global__ void __launch_bounds__(kThreads)
    transpose(const __grid_constant__ Space starts, const __grid_constant__ Turn turn) {
  take_turn();
  constexpr int kSide = sizeof(Bits) < 4 ? 64 : 32, kStep = kThreads / kSide;
  __shared__ Bits tile[kSide][kSide + 1];
  const int x = threadIdx.x % kSide, y = threadIdx.x / kSide;
  const int64_t tiles_wide = (turn.wide + kSide - 1) / kSide, tiles_high = (turn.high + kSide - 1) / kSide;
  for (int64_t i = blockIdx.x; i < tiles_wide * tiles_high * starts.total; i += gridDim.x) {
    const int64_t row = i / tiles_wide % tiles_high * kSide, column = i % tiles_wide * kSide;
    int64_t at[2];
    locate(starts, i / tiles_wide / tiles_high, at);
#pragma unroll
    for (int k = 0; k < kSide; k += kStep)
      if (row + y + k < turn.high && column + x < turn.wide)
        tile[y + k][x] = element<Bits>(starts.operand[0], at[0] + (row + y + k) * turn.in_step + column + x);
    __syncthreads();
#pragma unroll
    for (int k = 0; k < kSide; k += kStep)
      if (column + y + k < turn.wide && row + x < turn.high)
        element<Bits>(starts.operand[1], at[1] + (column + y + k) * turn.out_step + row + x) = tile[x][y + k];
    __syncthreads();
  }
}

// Copies where neighbours in the input are not neighbours in the output, if there are enough of both to make
// tiles; whether it did.
template <class Bits>
bool start_transpose(Context& on, const Space& space) {
  const auto dense_axis = [&](int operand) {
    int axis = space.rank - 1;
    while (axis >= 0 && space.operand[operand].strides[axis] != 1) --axis;
    return axis;
  };
  const int wide = dense_axis(0), high = dense_axis(1);
  constexpr int64_t kFewest = 8;
  if (wide < 0 || high < 0 || wide == high || space.size[wide] < kFewest || space.size[high] < kFewest)
    return false;
  const Turn turn{space.size[high], space.size[wide], space.operand[0].strides[high],
                  space.operand[1].strides[wide]};
  const Space starts = space.without(std::max(wide, high)).without(std::min(wide, high));
  constexpr int64_t kShare = 4;  // elements of a thread, at least
  start(on, (space.total + kShare - 1) / kShare, transpose<Bits>, starts, turn);
  return true;
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
  Space space(out.shape, Views(&in, 1), Views(&out, 1));
  if (space.total == 0) return;
  constexpr size_t kFewBytes = size_t{1} << 20;  // that a kernel copies sooner than the driver
  if (in.dtype == out.dtype && is_block(space) && out.spec().bytes() > kFewBytes) {
    VARVE_CUDA_CHECK(
        cudaMemcpyAsync(out.data, in.data, out.spec().bytes(), cudaMemcpyDeviceToDevice, on.queue()));
  } else if (in.dtype == out.dtype) {
    const bool wide = space.widen(size_of(in.dtype));
    with_bits(wide ? Space::kWide : size_of(in.dtype), [&]<class Bits>() {
      if (!start_transpose<Bits>(on, space)) start(on, space.total, copy_bits<Bits>, space);
    });
  } else if (is_floating(in.dtype) && compute_of(in.dtype) == compute_of(out.dtype)) {
    drive_pointwise(on, pointwise::id_of<pointwise::Itself>, nullptr, Views(&in, 1), Views(&out, 1));
  } else {
    with_compute(compute_of(in.dtype), [&]<class C>() { start(on, space.total, convert<C>, space); });
  }
}

void drive_receive(Context& on, const void* from, void* to, int64_t bytes) {
  start(on, (bytes + 15) / 16, receive, from, to, bytes);
}

}  // namespace varve::cuda
