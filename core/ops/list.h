// The one list of all ops: the registry, the gradient check and the parity test are made from it.
#pragma once

#include <varve/core/ops/copy.h>
#include <varve/core/ops/elementwise.h>
#include <varve/core/ops/index.h>
#include <varve/core/ops/make.h>
#include <varve/core/ops/matmul.h>
#include <varve/core/ops/random.h>
#include <varve/core/ops/reduce.h>
#include <varve/core/ops/rows.h>
#include <varve/core/ops/views.h>

namespace varve {

namespace detail {
template <class... Fs>
auto elementwise_of(List<Fs...>) -> List<Elementwise<Fs>...>;
}
using FunctionOps = decltype(detail::elementwise_of(pointwise::Functions{}));
using SlopeOps = decltype(detail::elementwise_of(pointwise::Slopes{}));

using AllOps =
    Concat<FunctionOps, SlopeOps, List<AdamRates, SgdStep, AdamStep, MasterStep>,                          //
           List<Full, Uniform, Normal, DropoutMask>,                                                       //
           List<Clone, Cast, Assign, Cat, Pad>,                                                            //
           List<Reshape, Flatten, Permute, Unsqueeze, Squeeze, Expand, Slice, Split, Flip, StopGradient>,  //
           List<Sum, Prod, Max, Min, Mean>,                                                                //
           List<Softmax, LogSoftmax, SoftmaxSlope, LogSoftmaxSlope, Cumsum, Argmax, Argmin, Sort,
                SortDescending>,                   //
           List<CrossEntropy, CrossEntropySlope>,  //
           List<Matmul, Gather, ScatterAdd>>;

}  // namespace varve
