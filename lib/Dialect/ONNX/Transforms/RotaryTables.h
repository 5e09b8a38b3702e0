// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- RotaryTables.h - What a rotary embedding turns by --------*- C++ -*-===//
#ifndef FDPP_LIB_DIALECT_ONNX_TRANSFORMS_ROTARYTABLES_H
#define FDPP_LIB_DIALECT_ONNX_TRANSFORMS_ROTARYTABLES_H

#include "Compose.h"

namespace mlir::fdpp::onnx {

/// magnitude * cos (or sin) of position[b, s] * frequency[j].
struct RotaryTable {
  /// An argument [batch, sequence], or null: then `slot` is the position.
  Value positions;
  AffineExpr slot;
  /// A constant of as many elements as there are pairs, or null: then the
  /// position chooses a row of the constant `table`, of angles where `wave` is
  /// computed from it.
  Value frequencies;
  Value table;
  double magnitude = 1;
  /// Where the graph computes it.
  Operation *wave = nullptr;
};

/// Reads cosines and sines; indices are d0 = batch, d2 = sequence, d3 = pair.
class RotaryReader {
public:
  RotaryReader(Composer &composer, const Layout &layout, AffineExpr batch,
               AffineExpr sequence, AffineExpr pair, int64_t pairs)
      : c(composer), layout(layout), batch(batch), sequence(sequence),
        pair(pair), pairs(pairs) {}

  std::optional<RotaryTable> read(Place place, StringRef function);

  /// A constant [rows, pairs], of which positions [batch, sequence] choose.
  std::optional<RotaryTable> readChosen(Value cache, Value positions);

private:
  bool readRow(Place place, RotaryTable &table);
  bool readGathered(Operator op, Place place, RotaryTable &table);
  bool isColumn(AffineExpr column) const;
  bool readAngle(Place place, RotaryTable &table);
  bool readFactors(std::optional<Place> a, std::optional<Place> b,
                   RotaryTable &table);
  bool readFrequency(Place place, RotaryTable &table);
  bool readPosition(Place place, RotaryTable &table);
  bool readInteger(Place place, RotaryTable &table);

  Composer &c;
  const Layout &layout;
  AffineExpr batch, sequence, pair;
  int64_t pairs;
};

/// magnitude * cos and sin of row * frequency.
struct RotaryWaves {
  std::vector<double> frequencies;
  double magnitude;
};

/// What all elements of a table of angles [.., rows, pairs or 2 pairs] are,
/// within 2^-22 of the angle.
std::optional<RotaryWaves> fitAngles(DenseElementsAttr angles, int64_t pairs);

/// What all elements of two tables [.., rows, pairs or 2 pairs] are, within
/// 2^-22 of the angle and 1e-6, or the rounding of a narrower type.
std::optional<RotaryWaves> fitWaves(DenseElementsAttr cosines,
                                    DenseElementsAttr sines, int64_t pairs);

/// Tables [batch, sequence, pairs] of cosines and sines, built anew for rows
/// [batch, sequence, ...]; nulls if the two do not belong together.
std::pair<Value, Value> buildTables(Composer &c, const RotaryTable &cos,
                                    const RotaryTable &sin, Value rows,
                                    int64_t pairs);

} // namespace mlir::fdpp::onnx

#endif // FDPP_LIB_DIALECT_ONNX_TRANSFORMS_ROTARYTABLES_H
