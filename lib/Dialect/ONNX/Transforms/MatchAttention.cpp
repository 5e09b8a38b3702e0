// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- MatchAttention.cpp - Rotary embedding and attention ----------------===//
#include "Matchers.h"

#include "fdpp/Dialect/ONNX/IR/ONNXLiftedOps.h"

#include <cmath>

namespace mlir::fdpp::onnx {

//===----------------------------------------------------------------------===//
// Rotary embedding
//===----------------------------------------------------------------------===//

namespace {
/// magnitude * function(positions[..., None] * inv_freq)
struct Angles {
  Value positions;
  Value inverse; // parameter [R / 2]
  double magnitude = 1;
};
} // namespace

/// The integer positions behind `value`: positions as floats, with one more
/// dimension of extent 1 behind.
static Value positionsOf(Value value) {
  Operator outer = definedBy(value, "Unsqueeze");
  Value inner = outer ? outer.inputAt(0) : Value();
  bool castOutside = false;
  if (Operator cast = definedBy(value, "Cast")) {
    outer = definedBy(cast.inputAt(0), "Unsqueeze");
    castOutside = true;
  }
  if (!outer)
    return {};
  inner = outer.inputAt(0);
  auto axes = constantInts(outer.inputAt(1));
  auto type = dyn_cast<RankedTensorType>(outer.outputAt(0).getType());
  if (!axes || axes->size() != 1 || !type ||
      (axes->front() != -1 && axes->front() != type.getRank() - 1))
    return {};
  if (!castOutside) {
    Operator cast = definedBy(inner, "Cast");
    inner = cast ? cast.inputAt(0) : Value();
  }
  auto innerType =
      inner ? dyn_cast<RankedTensorType>(inner.getType()) : RankedTensorType();
  return innerType && isa<IntegerType>(innerType.getElementType()) ? inner
                                                                   : Value();
}

static std::optional<Angles> anglesOf(Value cache, StringRef function,
                                      Recogniser &r) {
  Angles angles;
  if (Operator scaled = definedBy(cache, "Mul")) {
    for (auto [x, factor] : {std::pair(0, 1), std::pair(1, 0)})
      if (auto scalar = scalarOf(scaled.inputAt(factor))) {
        angles.magnitude = *scalar;
        cache = scaled.inputAt(x);
        break;
      }
  }
  Operator wave = definedBy(cache, function);
  Operator product = wave ? definedBy(wave.inputAt(0), "Mul") : Operator();
  if (!product)
    return std::nullopt;
  for (auto [p, f] : {std::pair(0, 1), std::pair(1, 0)}) {
    angles.positions = positionsOf(product.inputAt(p));
    if (!angles.positions)
      continue;
    angles.inverse = r.parameters.findVector(product.inputAt(f));
    if (angles.inverse)
      return angles;
  }
  return std::nullopt;
}

static RopeTableOp tableOf(Operator op, Recogniser &r) {
  Value cos = op.inputAt(1), sin = op.inputAt(2);
  RopeTableOp &table = r.ropeTables[{cos, sin}];
  if (table)
    return table;
  auto c = anglesOf(cos, "Cos", r), s = anglesOf(sin, "Sin", r);
  if (!c || !s || c->positions != s->positions || c->inverse != s->inverse ||
      c->magnitude != s->magnitude)
    return {};
  // Where the graph computes it: in front of the layers, not in the first.
  OpBuilder builder(cos.getDefiningOp());
  table = RopeTableOp::create(
      builder, cos.getLoc(), TypeRange{cos.getType(), sin.getType()},
      c->positions, c->inverse, llvm::APFloat(c->magnitude), ValueRange());
  return table;
}

bool matchRotary(Operator op, Recogniser &r) {
  RankedTensorType type = rowType(op.inputAt(0));
  int64_t heads = intAttr(op, "num_heads", 0);
  if (op.inputAt(3))
    return r.refuse(op, "its tables are read through position_ids");
  int64_t interleaved = intAttr(op, "interleaved", 0);
  if (interleaved != 0 && interleaved != 1)
    return r.refuse(op, "its attribute interleaved is neither 0 nor 1");
  if (!type || type.getRank() != 3 || heads <= 0 ||
      type.getShape().back() % heads || !rowType(op.inputAt(1)))
    return r.refuse(op, "it is not over [batch, sequence, heads * size] with a "
                        "known number of heads");
  int64_t headDim = type.getShape().back() / heads;
  int64_t rotary = intAttr(op, "rotary_embedding_dim", 0);
  if (2 * rowType(op.inputAt(1)).getShape().back() !=
      (rotary ? rotary : headDim))
    return false;
  RopeTableOp table = tableOf(op, r);
  if (!table)
    return r.refuse(op, "its tables are not cos and sin of positions times "
                        "frequencies");
  auto rope =
      RopeOp::create(r.builder, op->getLoc(), TypeRange(type), op.inputAt(0),
                     table.getResult(0), table.getResult(1), headDim,
                     interleaved != 0, ValueRange());
  op->replaceAllUsesWith(rope);
  return true;
}

//===----------------------------------------------------------------------===//
// Attention
//===----------------------------------------------------------------------===//

/// Which keys are seen; nullopt if the mask was not lifted.
static std::optional<std::pair<MaskAttr, Value>> maskOf(Operator op,
                                                        bool hasPast) {
  MLIRContext *context = op->getContext();
  int64_t causal = intAttr(op, "is_causal", 0);
  // Of other numbers than 0 and 1 the specification says nothing. The triangle
  // of is_causal stands in the upper left corner: behind a cache it is not the
  // causal mask.
  if (op.inputAt(6) || (causal != 0 && (causal != 1 || hasPast)))
    return std::nullopt;
  if (!op.inputAt(3))
    return std::pair(MaskAttr::get(context, causal, 0, false), Value());
  auto mask = op.inputAt(3).getDefiningOp<MaskOp>();
  if (!mask)
    return std::nullopt;
  MaskAttr visible = mask.getVisible();
  if (causal)
    visible =
        MaskAttr::get(context, true, visible.getWindow(), visible.getPadding());
  return std::pair(visible, mask.getPadding());
}

bool matchAttention(Operator op, Recogniser &r) {
  RankedTensorType q = rowType(op.inputAt(0)), k = rowType(op.inputAt(1));
  RankedTensorType v = rowType(op.inputAt(2)), y = rowType(op.outputAt(0));
  int64_t heads = intAttr(op, "q_num_heads", 0);
  int64_t kvHeads = intAttr(op, "kv_num_heads", 0);
  bool hasPast = op.inputAt(4) && op.inputAt(5);
  if (!q || !k || !v || !y || q.getRank() != 3 || heads <= 0 || kvHeads <= 0 ||
      q.getShape().back() % heads || heads % kvHeads || op.outputAt(3))
    return r.refuse(op, "it is not over [batch, sequence, heads * size] with "
                        "known numbers of heads");
  int64_t headDim = q.getShape().back() / heads;
  if (k.getShape().back() != kvHeads * headDim || v != k)
    return r.refuse(op, "keys and values have other head sizes than queries");
  auto mask = maskOf(op, hasPast);
  if (!mask)
    return r.refuse(op, "its mask is not lifted");
  SmallVector<Value> past;
  SmallVector<Type> present;
  for (unsigned i : {0u, 1u}) {
    Value cache = op.outputAt(1 + i);
    if (hasPast) {
      past.push_back(op.inputAt(4 + i));
      if (!cache)
        return r.refuse(op, "it has a past but gives no present");
      present.push_back(cache.getType());
    } else if (cache && !cache.use_empty()) {
      return r.refuse(op, "it gives a present without a past");
    }
  }
  double scale = floatAttr(op, "scale", 1 / std::sqrt(double(headDim)));
  auto attention = MaskedAttentionOp::create(
      r.builder, op->getLoc(), y, present, op.inputAt(0), op.inputAt(1),
      op.inputAt(2), past, mask->second, mask->first, llvm::APFloat(scale),
      kvHeads, headDim, llvm::APFloat(floatAttr(op, "softcap", 0)));
  op.outputAt(0).replaceAllUsesWith(attention.getOutput());
  for (unsigned i = 0; i < present.size(); ++i)
    op.outputAt(1 + i).replaceAllUsesWith(attention.getPresent()[i]);
  return true;
}

} // namespace mlir::fdpp::onnx
