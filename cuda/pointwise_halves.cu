#include <varve/cuda/pointwise.cuh>

namespace varve::cuda {

void fill_pointwise_halves(PointwiseTable& table) {
  for_each_type(pointwise::Kernels{}, [&]<class F>() {
    table.halves[static_cast<size_t>(pointwise::id_of<F>)] = start_rows<F, true>;
  });
}

}  // namespace varve::cuda
