// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// All that an emitted epilogue may call: load and store with conversion
// (vector.h), exp, silu, gelu ... (math.h), the cache stores (cache.h), and the
// segment's partner.
#ifndef FDPP_KERNELS_CPU_EPILOGUE_H
#define FDPP_KERNELS_CPU_EPILOGUE_H

#include "kernels/common/packing.h"
#include "kernels/cpu/cache.h"
#include "kernels/cpu/math.h"
#include "kernels/cpu/vector.h"

namespace fdpp::cpu {

using fdpp::Partner;

/// The segment an epilogue consumes. Emitted epilogues know their columns when
/// they are compiled; those of fdpp-tune do not.
template <class Epilogue>
constexpr ColumnSegment segment_of(const Epilogue &epilogue) {
  ColumnSegment segment{Epilogue::partner, epilogue.columns, 0};
  if constexpr (Epilogue::partner == Partner::half)
    segment.group = epilogue.group;
  return segment;
}
template <class Epilogue> constexpr ColumnSegment segment_of() {
  ColumnSegment segment{Epilogue::partner, Epilogue::columns, 0};
  if constexpr (Epilogue::partner == Partner::half)
    segment.group = Epilogue::group;
  return segment;
}

} // namespace fdpp::cpu

#endif // FDPP_KERNELS_CPU_EPILOGUE_H
