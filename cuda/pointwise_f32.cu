#include <varve/cuda/pointwise.cuh>

namespace varve::cuda {

void fill_pointwise_f32(PointwiseTable& table) {
  fill_table<float>(table, Compute::f32);
  for_each_type(pointwise::Kernels{}, [&]<class F>() {
    table.rows[static_cast<size_t>(pointwise::id_of<F>)] = start_rows<F, false>;
  });
}

}  // namespace varve::cuda
