// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The text on its way to the model: cut into pieces, some of them already
// added tokens.

#ifndef FDPP_RUNTIME_TEXT_PIECES_H
#define FDPP_RUNTIME_TEXT_PIECES_H

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace fdpp::text {

struct Piece {
  size_t Begin = 0, End = 0; ///< bytes of PieceList::Text
  int32_t Token = -1;        ///< the id of an added token, or -1
  /// The piece's first character is the input's first character (Metaspace's
  /// prepend_scheme 'first' asks for it).
  bool AtStart = false;
};

/// Valid UTF-8 and its pieces, in order, without gaps.
struct PieceList {
  std::string Text;
  std::vector<Piece> Pieces;

  std::string_view textOf(const Piece &P) const {
    return std::string_view(Text).substr(P.Begin, P.End - P.Begin);
  }
};

} // namespace fdpp::text

#endif // FDPP_RUNTIME_TEXT_PIECES_H
