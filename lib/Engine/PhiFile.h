// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// phi.json, as docs/engine-format.md describes it.
#ifndef FDPP_LIB_ENGINE_PHIFILE_H
#define FDPP_LIB_ENGINE_PHIFILE_H

#include "fdpp/Engine/ModelInfo.h"

#include "llvm/Support/Error.h"

#include <string>

namespace mlir::fdpp {

/// Zero for every head: weights in f32 want nothing else as long as maxima of
/// rows stay within -58 and 65 (docs/numerics.md).
std::string writeZeroPhi(const ModelInfo &info);

/// The heads that `text`, the content of the file `path`, leaves exact. Fails
/// with one line where it is no phi.json of this model.
llvm::Expected<int64_t> countExactHeads(StringRef text, StringRef path,
                                        const ModelInfo &info);

} // namespace mlir::fdpp

#endif // FDPP_LIB_ENGINE_PHIFILE_H
