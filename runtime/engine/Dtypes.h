// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef FDPP_RUNTIME_ENGINE_DTYPES_H
#define FDPP_RUNTIME_ENGINE_DTYPES_H

#include "fdpp-runtime/model_abi.h"

#include <cstdint>
#include <string_view>

namespace fdpp::runtime {

/// Names in engine.json and in weights.safetensors, and bytes an element, of
/// enum fdpp_dtype, indexed by its value.
struct DtypeInfo {
  const char *name, *safetensors;
  uint32_t bytes;
};
constexpr DtypeInfo kDtypes[] = {{"f32", "F32", 4},
                                 {"bf16", "BF16", 2},
                                 {"f16", "F16", 2},
                                 {"u8", "U8", 1},
                                 {"i32", "I32", 4}};
constexpr int32_t kNumDtypes = sizeof(kDtypes) / sizeof(kDtypes[0]);

/// -1 for a name that is none.
inline int32_t dtypeFromName(std::string_view name) {
  for (int32_t i = 0; i < kNumDtypes; ++i)
    if (name == kDtypes[i].name)
      return i;
  return -1;
}
inline int32_t dtypeFromSafetensors(std::string_view name) {
  for (int32_t i = 0; i < kNumDtypes; ++i)
    if (name == kDtypes[i].safetensors)
      return i;
  return -1;
}

} // namespace fdpp::runtime

#endif // FDPP_RUNTIME_ENGINE_DTYPES_H
