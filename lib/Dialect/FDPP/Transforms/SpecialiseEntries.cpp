// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// --fdpp-specialise-entries

#include "Dataflow.h"
#include "fdpp/Dialect/FDPP/Transforms/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/Remarks.h"

namespace mlir::fdpp {
#define GEN_PASS_DEF_FDPPSPECIALISEENTRIES
#include "fdpp/Dialect/FDPP/Transforms/Passes.h.inc"
} // namespace mlir::fdpp

using namespace mlir;
using namespace mlir::fdpp;

/// The sequences [first, end) an attention is for; null values: all.
struct SequenceRange {
  Value first, end;
};

/// `op` as the variant `OpTy`, over some of the sequences, writing `outs`.
template <typename OpTy>
static Value asVariant(OpBuilder &builder, AttentionOp op, SequenceRange range,
                       ValueRange outs) {
  return OpTy::create(builder, op.getLoc(), op->getResultTypes(), op.getQ(),
                      op.getCache(), op.getLayer(), op.getSeqOffsets(),
                      op.getContextLens(), op.getPages(), range.first,
                      range.end, op.getScaleOfLayer(), op.getWindowOfLayer(),
                      op.getSoftcapOfLayer(), op.getScaleAttr(),
                      op.getWindowAttr(), op.getSoftcapAttr(), outs)
      ->getResult(0);
}

static void
replaceAttention(func::FuncOp func,
                 function_ref<Value(OpBuilder &, AttentionOp)> with) {
  SmallVector<AttentionOp> attentions;
  func.walk([&](AttentionOp op) { attentions.push_back(op); });
  for (AttentionOp op : attentions) {
    OpBuilder builder(op);
    op->getResult(0).replaceAllUsesWith(with(builder, op));
    op.erase();
  }
}

namespace {
struct SpecialiseEntriesPass
    : public mlir::fdpp::impl::FDPPSpecialiseEntriesBase<
          SpecialiseEntriesPass> {
  using Base::Base;

  void runOnOperation() override {
    if (decodeTokens < 1) {
      getOperation().emitError()
          << "decode-tokens is at least 1, not " << decodeTokens.getValue();
      return signalPassFailure();
    }
    for (func::FuncOp entry : entriesOf(getOperation())) {
      if (entry->getAttrOfType<StringAttr>(kEntryAttr).getValue() != "step")
        continue;
      makePrefill(copy(entry, "prefill"));
      makeDecode(copy(entry, "decode"));
      if (failed(makeMixed(copy(entry, "mixed"))))
        return signalPassFailure();
      remark::passed(entry.getLoc(),
                     remark::RemarkOpts::name("specialise-entries")
                         .category("entries")
                         .function(entry.getName()))
          << remark::add(
                 "@{0} became @prefill, @decode with at most {1} tokens "
                 "a sequence, and @mixed",
                 entry.getName().str(), decodeTokens.getValue());
      entry.erase();
    }
  }

  func::FuncOp copy(func::FuncOp step, StringRef name) {
    OpBuilder builder(step);
    auto func = cast<func::FuncOp>(builder.clone(*step));
    func.setName(name);
    func->setAttr(kEntryAttr, builder.getStringAttr(name));
    return func;
  }

  static void makePrefill(func::FuncOp func) {
    replaceAttention(func, [](OpBuilder &builder, AttentionOp op) {
      return asVariant<PrefillAttentionOp>(builder, op, {}, {});
    });
  }

  void makeDecode(func::FuncOp func) {
    replaceAttention(func, [](OpBuilder &builder, AttentionOp op) {
      return asVariant<DecodeAttentionOp>(builder, op, {}, {});
    });
    func->setAttr("fdpp.decode_tokens",
                  Builder(func).getI64IntegerAttr(decodeTokens));
    limitTokens(func);
  }

  /// A decode step has at most `decode-tokens` tokens a sequence: buffers can
  /// be that small.
  void limitTokens(func::FuncOp func) {
    BlockArgument context = argumentWithRole(func, "context");
    if (!context)
      return;
    auto sequences =
        func.getArgAttrOfType<IntegerAttr>(context.getArgNumber(), kMaxAttr);
    if (!sequences)
      return;
    int64_t limit = sequences.getInt() * decodeTokens;
    for (StringRef role : {"tokens", "positions", "rows", "logits"}) {
      BlockArgument argument = argumentWithRole(func, role);
      if (!argument)
        continue;
      auto most =
          func.getArgAttrOfType<IntegerAttr>(argument.getArgNumber(), kMaxAttr);
      if (most && most.getInt() > limit)
        func.setArgAttr(argument.getArgNumber(), kMaxAttr,
                        Builder(func).getI64IntegerAttr(limit));
    }
  }

  /// Decoding sequences come first; the linears are shared, the attention is
  /// split between them and the rest.
  static LogicalResult makeMixed(func::FuncOp func) {
    BlockArgument context = argumentWithRole(func, "context");
    if (!context)
      return func.emitError("has no argument with the role 'context'");
    OpBuilder builder = OpBuilder::atBlockBegin(&func.front());
    DictionaryAttr attributes = builder.getDictionaryAttr(
        builder.getNamedAttr(kRoleAttr, builder.getStringAttr("decode_seqs")));
    unsigned index = func.getNumArguments();
    if (failed(func.insertArgument(index, builder.getIndexType(), attributes,
                                   func.getLoc())))
      return failure();
    Value boundary = func.getArgument(index);
    Location loc = func.getLoc();
    Value first = arith::ConstantIndexOp::create(builder, loc, 0);
    Value end = tensor::DimOp::create(builder, loc, context, first);
    replaceAttention(func, [&](OpBuilder &b, AttentionOp op) {
      Value out = createDestination(b, cast<OpResult>(op->getResult(0)));
      out = asVariant<DecodeAttentionOp>(b, op, {first, boundary}, out);
      return asVariant<PrefillAttentionOp>(b, op, {boundary, end}, out);
    });
    return success();
  }
};
} // namespace
