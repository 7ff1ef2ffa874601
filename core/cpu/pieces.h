// Into how many pieces work is cut for threads: one rule, for the tiles of a product and the parts of a
// group of calls. Neither changes a bit, so both may follow the number of threads.
#pragma once

#include <algorithm>
#include <cstdint>

namespace varve::cpu {

inline constexpr int64_t kMostPieces = 8;  // for each thread
inline constexpr double kPieceWork = 1e6;  // multiply-adds worth a piece

// `work` in multiply-adds. One piece for each thread, but none that is not worth waking a thread for; more
// where all are long, so that a thread that is held up delays the others by less.
inline int64_t pieces_for(double work, int threads) {
  constexpr double kFewest = 1e5, kLong = 128e6, kLongest = 2e9;
  if (threads == 1 || work < kFewest) return 1;
  const double each = work / threads;
  const int64_t fewest = each < kLong ? 1 : each < kLongest ? 2 : kMostPieces;
  return std::clamp<int64_t>(static_cast<int64_t>(work / kPieceWork), 2, fewest * threads);
}

}  // namespace varve::cpu
