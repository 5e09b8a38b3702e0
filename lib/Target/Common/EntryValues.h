// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The text of an entry's values.

#ifndef FDPP_LIB_TARGET_COMMON_ENTRYVALUES_H
#define FDPP_LIB_TARGET_COMMON_ENTRYVALUES_H

#include "fdpp/Target/Common/Text.h"

namespace fdpp {

/// A buffer, an argument, a weight, a scalar of the layer, an index.
Expr valueText(mlir::Value value);

/// The number of rows of a matrix or vector.
std::string rowsText(mlir::Value value);

} // namespace fdpp

#endif // FDPP_LIB_TARGET_COMMON_ENTRYVALUES_H
