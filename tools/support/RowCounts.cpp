// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "RowCounts.h"

namespace fdpp::tools {

RowCounts RowCounts::of(const Session &session, const fdpp_engine_info &info) {
  RowCounts counts{info.layers, info.query_heads, {}};
  const uint64_t *rows = fdpp_session_recomputed(session.get());
  if (statsOf(session).phi_rows > 0)
    counts.rows.assign(rows, rows + size_t(info.layers) * info.query_heads);
  return counts;
}

std::string RowCounts::text() const {
  std::string lines;
  for (size_t i = 0; i < rows.size(); i += heads) {
    std::string list;
    for (int32_t head = 0; head < heads; ++head)
      if (uint64_t count = rows[i + head])
        list += (list.empty() ? "" : ", ") + std::to_string(head) + ": " +
                std::to_string(count);
    if (!list.empty())
      lines += "  layer " + std::to_string(i / heads) +
               ", rows by head: " + list + "\n";
  }
  return lines;
}

std::string RowCounts::json() const {
  std::string lists;
  for (size_t i = 0; i < rows.size(); i += heads) {
    std::string list;
    for (int32_t head = 0; head < heads; ++head)
      list += (list.empty() ? "" : ", ") + std::to_string(rows[i + head]);
    lists += (lists.empty() ? "[" : ", [") + list + "]";
  }
  return "[" + lists + "]";
}

} // namespace fdpp::tools
