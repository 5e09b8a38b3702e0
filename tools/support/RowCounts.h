// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef FDPP_TOOLS_SUPPORT_ROWCOUNTS_H
#define FDPP_TOOLS_SUPPORT_ROWCOUNTS_H

#include "Client.h"

namespace fdpp::tools {

/// Softmax rows that were recomputed exactly, by layer and query head.
struct RowCounts {
  int32_t layers = 0, heads = 0;
  std::vector<uint64_t> rows; // [layers][heads]; empty without a phi

  /// Those of a session since its statistics were reset.
  static RowCounts of(const Session &session, const fdpp_engine_info &info);

  /// A line for each layer that has any: "  layer 3, rows by head: 0: 12".
  std::string text() const;
  /// A list of the layers' lists.
  std::string json() const;
};

} // namespace fdpp::tools

#endif // FDPP_TOOLS_SUPPORT_ROWCOUNTS_H
