// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- InferShapes.cpp - Result shapes of onnx ops ------------------------===//
//
// One small rule per kind of operator, found by name. Rules say what the types
// and constant operands tell and leave the rest dynamic; symbolic shapes are
// the work of --onnx-lift-shapes.
//
//===----------------------------------------------------------------------===//
#include "InferShapes.h"

#include "llvm/ADT/StringMap.h"

using namespace mlir;

namespace mlir::fdpp::onnx::detail {

//===----------------------------------------------------------------------===//
// Elementwise
//===----------------------------------------------------------------------===//

static LogicalResult sameAsFirst(ShapeRule &rule) {
  rule.results[0] = rule.input(0);
  return success();
}

/// Y like X; the saved sum (output 3) too.
static LogicalResult skipNorm(ShapeRule &rule) {
  rule.results[0] = rule.results[3] = rule.input(0);
  return success();
}

bool mergeBroadcast(Dims &into, llvm::ArrayRef<int64_t> other) {
  if (other.size() > into.size())
    into.insert(into.begin(), other.size() - into.size(), 1);
  size_t lead = into.size() - other.size();
  for (auto [d, extent] : llvm::enumerate(other)) {
    int64_t &mine = into[lead + d];
    if (mine == extent || extent == 1)
      continue;
    if (mine == 1)
      mine = extent;
    else if (mine == kDynamic)
      mine = extent;
    else if (extent != kDynamic)
      return false;
  }
  return true;
}

static LogicalResult broadcast(ShapeRule &rule) {
  Dims all;
  for (Value operand : rule.op->getOperands()) {
    auto type = dyn_cast<RankedTensorType>(operand.getType());
    if (!type)
      return success();
    if (!mergeBroadcast(all, type.getShape()))
      return rule.fail("operand shapes do not broadcast");
  }
  rule.results[0] = all;
  return success();
}

static LogicalResult scalar(ShapeRule &rule) {
  rule.results[0] = Dims{};
  return success();
}

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//

static LogicalResult matMul(ShapeRule &rule) {
  Shape a = rule.input(0), b = rule.input(1);
  if (!a || !b)
    return success();
  if (a->empty() || b->empty())
    return rule.fail("matmul of a scalar");
  int64_t ka = a->back(), kb = b->size() == 1 ? b->back() : (*b)[b->size() - 2];
  if (ka != kDynamic && kb != kDynamic && ka != kb)
    return rule.fail("inner extents " + llvm::Twine(ka) + " and " +
                     llvm::Twine(kb) + " differ");
  Dims result(a->size() > 2 ? a->begin() : a->end(),
              a->size() > 2 ? a->end() - 2 : a->end());
  if (b->size() > 2 && !mergeBroadcast(result, llvm::ArrayRef(*b).drop_back(2)))
    return rule.fail("leading extents do not broadcast");
  if (a->size() > 1)
    result.push_back((*a)[a->size() - 2]);
  if (b->size() > 1)
    result.push_back(b->back());
  rule.results[0] = result;
  return success();
}

static LogicalResult gemm(ShapeRule &rule) {
  Shape a = rule.input(0), b = rule.input(1);
  if (!a || !b)
    return success();
  if (a->size() != 2 || b->size() != 2)
    return rule.fail("gemm needs matrices");
  bool ta = rule.attr("transA", 0), tb = rule.attr("transB", 0);
  int64_t ka = (*a)[!ta], kb = (*b)[tb];
  if (ka != kDynamic && kb != kDynamic && ka != kb)
    return rule.fail("inner extents " + llvm::Twine(ka) + " and " +
                     llvm::Twine(kb) + " differ");
  rule.results[0] = Dims{(*a)[ta], (*b)[!tb]};
  return success();
}

static LogicalResult matMulNBits(ShapeRule &rule) {
  if (Shape a = rule.input(0); a && !a->empty()) {
    a->back() = rule.attr("N", kDynamic);
    rule.results[0] = a;
  }
  return success();
}

//===----------------------------------------------------------------------===//
// Attention
//===----------------------------------------------------------------------===//

/// [batch, sequence, heads*size] or [batch, heads, sequence, size].
struct Packed {
  int64_t batch, heads, length, size;
};

static std::optional<Packed> unpack(const Shape &shape, int64_t heads) {
  if (!shape)
    return std::nullopt;
  if (shape->size() == 4)
    return Packed{(*shape)[0], (*shape)[1], (*shape)[2], (*shape)[3]};
  if (shape->size() != 3)
    return std::nullopt;
  int64_t width = (*shape)[2];
  bool known = width != kDynamic && heads > 0;
  return Packed{(*shape)[0], heads > 0 ? heads : kDynamic, (*shape)[1],
                known ? width / heads : kDynamic};
}

static int64_t plus(int64_t a, int64_t b) {
  return a == kDynamic || b == kDynamic ? kDynamic : a + b;
}

static LogicalResult attention(ShapeRule &rule) {
  int64_t kvHeads = rule.attr("kv_num_heads", 0);
  auto q = unpack(rule.input(0), rule.attr("q_num_heads", 0));
  auto k = unpack(rule.input(1), kvHeads), v = unpack(rule.input(2), kvHeads);
  constexpr int64_t kMostHeads = 1 << 14;
  if (std::max(kvHeads, rule.attr("q_num_heads", 0)) > kMostHeads)
    return rule.fail("has too many heads");
  if (!q || !k || !v)
    return success();
  if (rule.input(0)->size() == 4)
    rule.results[0] = Dims{q->batch, q->heads, q->length, v->size};
  else
    rule.results[0] =
        Dims{q->batch, q->length,
             q->heads == kDynamic || v->size == kDynamic ? kDynamic
                                                         : q->heads * v->size};
  int64_t past = 0;
  if (rule.op.inputAt(4)) {
    Shape pastKey = rule.input(4);
    past = pastKey && pastKey->size() == 4 ? (*pastKey)[2] : kDynamic;
  }
  int64_t total = plus(past, k->length);
  rule.results[1] = Dims{k->batch, k->heads, total, k->size};
  rule.results[2] = Dims{v->batch, v->heads, total, v->size};
  rule.results[3] = Dims{q->batch, q->heads, q->length, total};
  return success();
}

/// com.microsoft attention: Y like the query (unless packed), present caches
/// like the past ones with another length.
static LogicalResult packedAttention(ShapeRule &rule) {
  bool grouped = rule.op.getSchema().name == "GroupQueryAttention";
  if (rule.op.inputAt(1))
    rule.results[0] = rule.input(0);
  for (int i : {1, 2})
    if (Shape past = rule.input(grouped ? i + 2 : i + 5);
        past && past->size() == 4) {
      (*past)[2] = kDynamic;
      rule.results[i] = past;
    }
  return success();
}

//===----------------------------------------------------------------------===//
// Table
//===----------------------------------------------------------------------===//

static llvm::StringMap<ShapeFunction> buildTable() {
  llvm::StringMap<ShapeFunction> table;
  auto add = [&](ShapeFunction function,
                 std::initializer_list<llvm::StringLiteral> names) {
    for (llvm::StringRef name : names)
      table[("onnx." + name).str()] = function;
  };
  add(sameAsFirst, {"Abs",
                    "Cast",
                    "CastLike",
                    "Ceil",
                    "Clip",
                    "Cos",
                    "CumSum",
                    "Erf",
                    "Exp",
                    "Floor",
                    "Gelu",
                    "Identity",
                    "IsInf",
                    "IsNaN",
                    "LayerNormalization",
                    "Log",
                    "Neg",
                    "Not",
                    "RMSNormalization",
                    "Reciprocal",
                    "Relu",
                    "RotaryEmbedding",
                    "Round",
                    "ScatterElements",
                    "ScatterND",
                    "Sigmoid",
                    "Sign",
                    "SimplifiedLayerNormalization",
                    "Sin",
                    "Softmax",
                    "Softplus",
                    "Sqrt",
                    "Swish",
                    "Tanh",
                    "TensorScatter",
                    "Trilu",
                    "microsoft.FastGelu",
                    "microsoft.QuickGelu",
                    "microsoft.RotaryEmbedding"});
  add(broadcast, {"Add", "And", "Div", "Equal", "Greater", "GreaterOrEqual",
                  "Less", "LessOrEqual", "Max", "Mean", "Min", "Mod", "Mul",
                  "Or", "Pow", "Sub", "Sum", "Where"});
  add(skipNorm, {"microsoft.SkipLayerNormalization",
                 "microsoft.SkipSimplifiedLayerNormalization"});
  add(reduceShape, {"ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd",
                    "ReduceSum", "ReduceSumSquare"});
  add(packedAttention,
      {"microsoft.GroupQueryAttention", "microsoft.MultiHeadAttention"});
  add(attention, {"Attention"});
  add(matMul, {"MatMul"});
  add(gemm, {"Gemm"});
  add(matMulNBits, {"microsoft.MatMulNBits"});
  add(concatShape, {"Concat"});
  add(splitShape, {"Split"});
  add(sliceShape, {"Slice"});
  add(gatherShape, {"Gather"});
  add(gatherElementsShape, {"GatherElements"});
  add(gatherNDShape, {"GatherND"});
  add(reshapeShape, {"Reshape"});
  add(transposeShape, {"Transpose"});
  add(unsqueezeShape, {"Unsqueeze"});
  add(squeezeShape, {"Squeeze"});
  add(flattenShape, {"Flatten"});
  add(shapeOf, {"Shape"});
  add(scalar, {"Size"});
  add(rangeShape, {"Range"});
  add(expandShape, {"Expand"});
  add(tileShape, {"Tile"});
  add(constantOfShapeShape, {"ConstantOfShape"});
  return table;
}

ShapeFunction findShapeFunction(llvm::StringRef mlirName) {
  static const llvm::StringMap<ShapeFunction> table = buildTable();
  return table.lookup(mlirName);
}

} // namespace mlir::fdpp::onnx::detail
