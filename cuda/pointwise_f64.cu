#include <varve/cuda/pointwise.cuh>

namespace varve::cuda {

void fill_pointwise_f64(PointwiseTable& table) { fill_table<double>(table, Compute::f64); }

}  // namespace varve::cuda
