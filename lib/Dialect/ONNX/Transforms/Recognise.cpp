// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// --onnx-recognise

#include "Matchers.h"
#include "Remarks.h"
#include "fdpp/Dialect/ONNX/IR/ONNXLiftedOps.h"
#include "fdpp/Dialect/ONNX/Transforms/Passes.h"
#include "fdpp/Interpreter/Tensor.h"

#include "llvm/ADT/MapVector.h"

#include <map>

namespace mlir::fdpp::onnx {
#define GEN_PASS_DEF_ONNXRECOGNISE
#include "fdpp/Dialect/ONNX/Transforms/Passes.h.inc"

//===----------------------------------------------------------------------===//
// What matchers share
//===----------------------------------------------------------------------===//

Operator definedBy(Value value, StringRef name) {
  auto op = value ? value.getDefiningOp<Operator>() : Operator();
  if (!op || op.getSchema().name != name || !op.getSchema().domain.empty())
    return {};
  return op;
}

RankedTensorType rowType(Value value) {
  auto type =
      value ? dyn_cast<RankedTensorType>(value.getType()) : RankedTensorType();
  if (!type || type.getRank() == 0 || type.isDynamicDim(type.getRank() - 1))
    return {};
  return type;
}

bool isFromModel(Value value) {
  Operation *producer = value.getDefiningOp();
  return producer && isa<FDPPDialect>(producer->getDialect());
}

std::optional<double> scalarOf(Value value) {
  DenseElementsAttr attr = constantOf(value);
  if (!attr || attr.getNumElements() != 1)
    return std::nullopt;
  Tensor tensor = tensorFrom(attr);
  return tensor.isAbsent() ? std::nullopt : std::optional(tensor.asDouble(0));
}

namespace {
/// Matchers by the name of the root, in the order in which they are tried.
struct Entry {
  StringLiteral root;
  Matcher matcher;
};
} // namespace

static constexpr Entry kMatchers[] = {
    {"onnx.Add", matchBias},
    {"onnx.Add", matchResidual},
    {"onnx.Attention", matchAttention},
    {"onnx.Cast", matchEmbedCast},
    {"onnx.Gather", matchEmbed},
    {"onnx.Gather", explainSelection},
    {"onnx.Gelu", matchActivation},
    {"onnx.Gemm", matchGemm},
    {"onnx.LayerNormalization", matchLayerNorm},
    {"onnx.MatMul", matchMatMul},
    {"onnx.Mul", matchGlu},
    {"onnx.Mul", matchSoftcap},
    {"onnx.Mul", matchActivation},
    {"onnx.Mul", matchScale},
    {"onnx.RMSNormalization", matchRMSNorm},
    {"onnx.Relu", matchActivation},
    {"onnx.RotaryEmbedding", matchRotary},
    {"onnx.SimplifiedLayerNormalization", matchRMSNorm},
    {"onnx.Slice", explainSelection},
    {"onnx.Swish", matchActivation},
};

bool Recogniser::recognise(Operator op) {
  builder.setInsertionPoint(op);
  for (const Entry &entry : kMatchers)
    if (entry.root == op->getName().getStringRef() && entry.matcher(op, *this))
      return true;
  return false;
}

bool Recogniser::refuse(Operator op, StringRef why) {
  obstacles[op] = why.str();
  return false;
}

//===----------------------------------------------------------------------===//
// Pass
//===----------------------------------------------------------------------===//

/// The name of the node an op came from.
static std::string nodeName(Operation *op) {
  std::string text;
  op->getLoc()->walk([&](Location loc) {
    auto name = dyn_cast<NameLoc>(loc);
    if (name && text.empty())
      text = name.getName().str();
    return name ? WalkResult::interrupt() : WalkResult::advance();
  });
  return text.empty() ? "?" : text;
}

/// One error with every onnx op that is left, by kind, and the first reason
/// that is known.
static LogicalResult refuseLeftovers(func::FuncOp func,
                                     const Recogniser &recogniser) {
  std::string reason;
  std::map<std::string, SmallVector<std::string>> left;
  unsigned count = 0;
  for (Operation &op : func.getBody().front()) {
    if (!isa<ONNXDialect>(op.getDialect()))
      continue;
    std::string kind = op.getName().getStringRef().str();
    if (auto unsupported = dyn_cast<UnsupportedOp>(op))
      kind += " " + unsupported.getOpName().str() + " (" +
              unsupported.getReason().str() + ")";
    left[kind].push_back(nodeName(&op));
    ++count;
    std::string why = recogniser.obstacle(&op);
    if (reason.empty() && !why.empty())
      reason = "; '" + nodeName(&op) + "' stays: " + why;
  }
  if (left.empty())
    return success();
  InFlightDiagnostic error = func.emitError()
                             << count << " operations of the graph are not "
                             << "recognised as parts of a Llama model: ";
  bool first = true;
  for (auto &[kind, nodes] : left) {
    error << (first ? "" : "; ") << kind << " at ";
    llvm::interleaveComma(nodes, error, [&](const std::string &name) {
      error << "'" << name << "'";
    });
    first = false;
  }
  return error << reason;
}

namespace {
struct RecognisePass : impl::ONNXRecogniseBase<RecognisePass> {
  void runOnOperation() override {
    auto func = getOperation().lookupSymbol<func::FuncOp>("main");
    if (!func || !func.getBody().hasOneBlock()) {
      getOperation().emitError("has no func @main of one block");
      return signalPassFailure();
    }
    Recogniser recogniser(getOperation(), func);
    recognised.clear();
    for (Operation &op : llvm::make_early_inc_range(func.getBody().front()))
      if (auto onnxOp = dyn_cast<Operator>(op))
        if (recogniser.recognise(onnxOp))
          note(onnxOp);
    eraseDeadOps(func);
    explain(func, recogniser);
    if (failed(refuseLeftovers(func, recogniser)))
      return signalPassFailure();
    eraseDeadWeights();
  }

  /// A matcher puts what it creates in front of the root.
  void note(Operator root) {
    StringRef created = root->getPrevNode()->getName().getStringRef();
    auto &[count, loc] = recognised[{root->getName().getStringRef(), created}];
    if (count++ == 0)
      loc = root->getLoc();
  }

  void explain(func::FuncOp func, const Recogniser &recogniser) {
    remark::RemarkOpts options = recognition("recognise", func);
    for (auto &[names, found] : recognised)
      remark::passed(*found.second, options)
          << remark::add("{0} became {1}", names.first, names.second)
          << remark::metric("operations", found.first);
    for (Operation &op : func.getBody().front()) {
      if (!isa<ONNXDialect>(op.getDialect()))
        continue;
      std::string why = recogniser.obstacle(&op);
      remark::missed(op.getLoc(), options) << remark::add(
          "{0} stays: {1}", op.getName().getStringRef(),
          why.empty() ? "no part of a Llama model looks like this" : why);
    }
  }

  /// Weights that only a replaced form used.
  void eraseDeadWeights() {
    for (auto weight :
         llvm::make_early_inc_range(getOperation().getOps<WeightOp>()))
      if (SymbolTable::symbolKnownUseEmpty(weight, getOperation()))
        weight.erase();
  }

  /// Of each kind of root and what it became: how many, and where the first.
  llvm::MapVector<std::pair<StringRef, StringRef>,
                  std::pair<unsigned, std::optional<Location>>>
      recognised;
};
} // namespace
} // namespace mlir::fdpp::onnx
