// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// --onnx-lift-masks

#include "Elements.h"
#include "Remarks.h"
#include "fdpp/Dialect/ONNX/IR/ONNXLiftedOps.h"
#include "fdpp/Dialect/ONNX/Transforms/Passes.h"

#include "llvm/ADT/MapVector.h"

namespace mlir::fdpp::onnx {
#define GEN_PASS_DEF_ONNXLIFTMASKS
#include "fdpp/Dialect/ONNX/Transforms/Passes.h.inc"

/// Positions of an Attention's inputs.
enum { kQuery = 0, kMask = 3, kPastKey = 4 };

/// A hidden key's bias: exporters write -inf or the lowest of the type.
constexpr double kHiddenBias = -1e4;

namespace {

/// A mask in the words of #fdpp.mask.
struct Meaning {
  bool causal = false;
  int64_t window = 0;
  Value padding;
};

/// Sorts the conditions of one mask into a Meaning. Indices of the mask are
/// d0 = batch, d1 = head, d2 = query, d3 = key.
class Classifier {
public:
  Classifier(const SymbolicShapes &shapes, AffineExpr past)
      : numSymbols(shapes.symbols().size()), past(past) {}

  bool add(const Predicate &predicate) {
    switch (predicate.kind) {
    case Predicate::True:
      return true;
    case Predicate::And:
      return llvm::all_of(predicate.parts,
                          [&](auto &part) { return add(*part); });
    case Predicate::AtLeastZero:
      return addInequality(predicate.expr);
    case Predicate::Nonzero:
      return addPadding(predicate);
    case Predicate::False:
    case Predicate::Or:
      return false;
    }
    llvm_unreachable("unknown predicate");
  }
  const Meaning &meaning() const { return result; }

private:
  AffineExpr dim(unsigned i) { return getAffineDimExpr(i, past.getContext()); }
  /// `expr` in normal form, null if it depends on an index.
  AffineExpr constantPart(AffineExpr expr) {
    expr = simplifyAffineExpr(expr, 4, numSymbols);
    for (unsigned i = 0; i < 4; ++i)
      if (expr.isFunctionOfDim(i))
        return {};
    return expr;
  }
  bool isZero(AffineExpr expr) {
    AffineExpr rest = expr ? constantPart(expr) : AffineExpr();
    auto constant = dyn_cast_or_null<AffineConstantExpr>(rest);
    return constant && constant.getValue() == 0;
  }
  bool addInequality(AffineExpr expr) {
    // past + query - key >= 0
    if (AffineExpr offset = constantPart(expr - dim(2) + dim(3))) {
      result.causal = true;
      return isZero(offset - past);
    }
    // key - query - past + window - 1 >= 0
    AffineExpr offset = constantPart(expr + dim(2) - dim(3));
    if (!offset)
      return false;
    auto window = dyn_cast<AffineConstantExpr>(constantPart(offset + past + 1));
    if (!window || window.getValue() <= 0)
      return false;
    bool narrower = result.window == 0 || window.getValue() < result.window;
    result.window = narrower ? window.getValue() : result.window;
    return true;
  }
  bool addPadding(const Predicate &predicate) {
    if (predicate.negated || predicate.indices.size() != 2 ||
        predicate.indices[1] != dim(3))
      return false;
    // A batch of one has the index 0.
    auto type = cast<RankedTensorType>(predicate.source.getType());
    bool one = type.getDimSize(0) == 1 && isZero(predicate.indices[0]);
    if (predicate.indices[0] != dim(0) && !one)
      return false;
    if (result.padding && result.padding != predicate.source)
      return false;
    result.padding = predicate.source;
    return true;
  }

  unsigned numSymbols;
  AffineExpr past;
  Meaning result;
};

struct LiftMasksPass : impl::ONNXLiftMasksBase<LiftMasksPass> {
  void runOnOperation() override {
    lifted.clear();
    readers.clear();
    SymbolicShapes shapes(getOperation());
    for (Operation &op : getOperation().getBody().front()) {
      auto attention = dyn_cast<Operator>(op);
      if (!attention || attention.getSchema().name != "Attention" ||
          !attention.inputAt(kMask) ||
          attention.inputAt(kMask).getDefiningOp<MaskOp>())
        continue;
      if (failed(lift(attention, shapes)))
        return signalPassFailure();
    }
    eraseDeadOps(getOperation());
    for (auto &[mask, count] : readers)
      explain(cast<MaskOp>(mask), count);
  }

  remark::RemarkOpts options() {
    return recognition("lift-masks", getOperation());
  }

  void explain(MaskOp mask, unsigned count) {
    MaskAttr visible = mask.getVisible();
    SmallVector<std::string> parts;
    if (visible.getCausal())
      parts.push_back("causal");
    if (visible.getWindow() > 0)
      parts.push_back("a window of " + std::to_string(visible.getWindow()));
    if (visible.getPadding())
      parts.push_back("padding");
    if (parts.empty())
      parts.push_back("every key");
    remark::passed(mask.getLoc(), options())
        << remark::add("attention mask means {0}", llvm::join(parts, ", "))
        << remark::metric("attentions", count);
  }

  /// Why a mask cannot be lifted, as a remark too: it ends the compilation.
  void refuse(Operator attention, StringRef why) {
    remark::failed(attention->getLoc(), options())
        << remark::add("attention mask not lifted: {0}", why);
  }

  /// The condition under which an element of `mask` lets a key be seen.
  FailureOr<Predicate::Ref> readMask(Operator attention, Elements &elements) {
    Value mask = attention.inputAt(kMask);
    auto type = dyn_cast<RankedTensorType>(mask.getType());
    if (!type || type.getRank() < 2 || type.getRank() > 4)
      return attention->emitOpError("has a mask that is not of rank 2 to 4");
    SmallVector<AffineExpr, 4> at;
    for (int64_t d = 0; d < type.getRank(); ++d)
      at.push_back(elements.broadcastIndex(
          mask, d, getAffineDimExpr(4 - type.getRank() + d, &getContext())));
    if (llvm::is_contained(at, AffineExpr()))
      return attention->emitOpError(
          "has a mask of which nobody knows that it has an element for every "
          "query and key");
    Element element = elements.read(mask, at);
    bool isBias = element.floats && element.floats->first == 0 &&
                  element.floats->second <= kHiddenBias;
    if (element.truth && (isBias || !element.floats))
      return element.truth;
    std::string why = "it is no condition on query and key";
    if (Operation *obstacle = elements.obstacle())
      why += "; reading stops at " + obstacle->getName().getStringRef().str();
    refuse(attention, why);
    InFlightDiagnostic error = attention->emitOpError(
        "has a mask that cannot be read as a condition on query and key");
    if (elements.obstacle())
      error.attachNote(elements.obstacle()->getLoc())
          << "reading stops at '" << elements.obstacle()->getName() << "'";
    return error;
  }

  LogicalResult lift(Operator attention, const SymbolicShapes &shapes) {
    auto queryType =
        dyn_cast<RankedTensorType>(attention.inputAt(kQuery).getType());
    AffineExpr queries = queryType ? shapes.extentOf(attention.inputAt(kQuery),
                                                     queryType.getRank() - 2)
                                   : AffineExpr();
    // [B, S, H] has the length second, [B, heads, S, D] third.
    if (queryType && queryType.getRank() == 3)
      queries = shapes.extentOf(attention.inputAt(kQuery), 1);
    AffineExpr past = getAffineConstantExpr(0, &getContext());
    if (Value key = attention.inputAt(kPastKey))
      past = shapes.extentOf(key, 2);
    if (!queries || !past)
      return attention->emitOpError(
          "has query or past lengths that are no function of the inputs");
    Value &known = lifted[{attention.inputAt(kMask), queries, past}];
    if (known) {
      setMask(attention, known);
      return success();
    }
    Elements elements(shapes, {AffineExpr(), AffineExpr(), queries,
                               simplifyAffineExpr(past + queries, 0,
                                                  shapes.symbols().size())});
    auto predicate = readMask(attention, elements);
    if (failed(predicate))
      return failure();
    Classifier classifier(shapes, past);
    if (!classifier.add(**predicate)) {
      std::string condition = elements.print(**predicate);
      refuse(attention, "neither causal, window nor padding, but " + condition);
      return attention->emitOpError("has a mask that is not causal, window or "
                                    "padding: key d3 is seen by query d2 of "
                                    "batch d0 where ")
             << condition;
    }
    Meaning meaning = classifier.meaning();
    // A single query is the last token: it sees all that are there.
    if (queries == getAffineConstantExpr(1, &getContext()))
      meaning.causal = true;
    known = makeMask(attention, meaning, queries, past, shapes);
    setMask(attention, known);
    return success();
  }

  Value makeMask(Operator attention, const Meaning &meaning, AffineExpr queries,
                 AffineExpr past, const SymbolicShapes &shapes) {
    OpBuilder builder(attention);
    auto scalar = RankedTensorType::get({}, builder.getI64Type());
    Location loc = attention.inputAt(kMask).getLoc();
    Value q = shapes.materialize(builder, loc, scalar, queries);
    Value p = shapes.materialize(builder, loc, scalar, past);
    int64_t batch = meaning.padding ? ShapedType::kDynamic : 1;
    auto type = RankedTensorType::get(
        {batch, 1, ShapedType::kDynamic, ShapedType::kDynamic},
        builder.getI1Type());
    auto visible = MaskAttr::get(&getContext(), meaning.causal, meaning.window,
                                 bool(meaning.padding));
    return MaskOp::create(builder, loc, type, q, p, meaning.padding, visible);
  }

  void setMask(Operator attention, Value mask) {
    OperandRange operand = attention.inputGroup(kMask);
    attention->setOperand(operand.getBeginOperandIndex(), mask);
    ++readers[mask.getDefiningOp()];
  }

  /// Masks shared by layers stay shared.
  llvm::DenseMap<std::tuple<Value, AffineExpr, AffineExpr>, Value> lifted;
  /// How many attentions read each lifted mask.
  llvm::MapVector<Operation *, unsigned> readers;
};
} // namespace
} // namespace mlir::fdpp::onnx
