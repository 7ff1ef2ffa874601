#include <varve/cuda/pointwise.cuh>

namespace varve::cuda {

void fill_pointwise_integers(PointwiseTable& table) {
  fill_table<int64_t>(table, Compute::i64);
  fill_table<uint64_t>(table, Compute::u64);
}

}  // namespace varve::cuda
