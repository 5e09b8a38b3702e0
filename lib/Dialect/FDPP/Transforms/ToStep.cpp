// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// --fdpp-to-step

#include "fdpp/Dialect/FDPP/IR/FDPP.h"
#include "fdpp/Dialect/FDPP/Transforms/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringSwitch.h"
#include "llvm/ADT/TypeSwitch.h"

namespace mlir::fdpp {
#define GEN_PASS_DEF_FDPPTOSTEP
#include "fdpp/Dialect/FDPP/Transforms/Passes.h.inc"
} // namespace mlir::fdpp

using namespace mlir;
using namespace mlir::fdpp;

namespace {

/// Operations that compute each row from the same row of their operands.
bool isRowwise(Operation *op) {
  return isa<EmbedOp, RopeTableOp, LinearOp, RMSNormOp, LayerNormOp, RopeOp,
             GluOp, AddOp, ActivationOp, ScaleOp, SoftcapOp>(op);
}

/// What every attention of the model has in common.
struct Heads {
  int64_t query, kv, dim;
  bool operator==(const Heads &) const = default;
};

//===----------------------------------------------------------------------===//
// Inputs and results of the graph
//===----------------------------------------------------------------------===//

StringRef nameOf(BlockArgument input) {
  auto func = cast<func::FuncOp>(input.getOwner()->getParentOp());
  auto name =
      func.getArgAttrOfType<StringAttr>(input.getArgNumber(), "onnx.name");
  return name ? name.getValue() : StringRef("?");
}

/// What the inputs are, by their uses. A step is given one of each: an input
/// that is read as another one has no place in it.
class InputRoles {
public:
  LogicalResult note(Operation *op, Value input, StringRef role) {
    auto argument = dyn_cast_or_null<BlockArgument>(input);
    if (!argument)
      return success();
    StringRef known = llvm::StringSwitch<StringRef>(nameOf(argument))
                          .Case("input_ids", "token ids")
                          .Case("position_ids", "positions")
                          .Case("attention_mask", "padding")
                          .Default(role);
    StringRef &before = roles.try_emplace(argument, known).first->second;
    if (before != role)
      return op->emitOpError() << "reads input '" << nameOf(argument) << "' as "
                               << role << ", but it is " << before;
    Value &only = inputs.try_emplace(role, argument).first->second;
    if (only != argument)
      return op->emitOpError()
             << "reads input '" << nameOf(argument) << "' as " << role
             << ", as '" << nameOf(cast<BlockArgument>(only))
             << "' is read elsewhere; a step is given one";
    return success();
  }

  LogicalResult note(func::FuncOp main) {
    for (Operation &op : main.front()) {
      LogicalResult result =
          llvm::TypeSwitch<Operation *, LogicalResult>(&op)
              .Case([&](EmbedOp embed) {
                return note(embed, embed.getTokens(), "token ids");
              })
              .Case([&](RopeTableOp table) {
                return note(table, table.getPositions(), "positions");
              })
              .Case([&](MaskedAttentionOp attention) {
                return note(attention, attention.getPadding(), "padding");
              })
              .Default(success());
      if (failed(result))
        return failure();
    }
    return success();
  }

private:
  llvm::DenseMap<Value, StringRef> roles;
  llvm::StringMap<Value> inputs;
};

/// The graph's caches: inputs of rank 4, which go on as the results behind the
/// logits, in the same order. A step keeps one for each layer, so every layer
/// must append to caches of its own.
LogicalResult checkCaches(func::FuncOp main) {
  auto results = main.front().getTerminator()->getOperands().drop_front();
  llvm::DenseMap<Value, Value> next;
  for (BlockArgument input : main.getArguments())
    if (auto type = dyn_cast<RankedTensorType>(input.getType());
        type && type.getRank() == 4)
      next[input] =
          next.size() < results.size() ? results[next.size()] : Value();
  for (auto op : main.getOps<MaskedAttentionOp>()) {
    if (op.getPast().empty() && !next.empty())
      return op.emitOpError("has no past, but the graph has inputs for one");
    for (auto [past, present] : llvm::zip(op.getPast(), op.getPresent())) {
      auto input = dyn_cast<BlockArgument>(past);
      if (!input || !next.contains(input))
        return op.emitOpError("has a past that is no input of the graph");
      if (next[input] != present)
        return op.emitOpError()
               << "appends to input '" << nameOf(input)
               << "', but the graph does not give the sum as the result in "
                  "that input's place";
    }
  }
  return success();
}

/// Positions that the graph counts itself begin behind its caches.
LogicalResult checkSlots(func::FuncOp main) {
  for (auto slots : main.getOps<SlotPositionsOp>())
    for (auto attention : main.getOps<MaskedAttentionOp>())
      if (attention.getPast().empty() != !slots.getPast())
        return slots.emitOpError("does not count from the cache's length; "
                                 "rotary positions must be cache slots");
  return success();
}

/// Raises one function @main over [batch, sequence] to @step over tokens.
class Raiser {
public:
  Raiser(func::FuncOp main, int64_t pageTokens, int64_t maxTokens,
         int64_t maxSequences, int64_t maxContext)
      : main(main), builder(main), pageTokens(pageTokens), maxTokens(maxTokens),
        maxSequences(maxSequences), maxContext(maxContext) {}

  LogicalResult run() {
    if (failed(survey()))
      return failure();
    createStep();
    for (Operation &op : main.front().without_terminator())
      if (failed(raise(op)))
        return failure();
    return finish();
  }

private:
  //===--------------------------------------------------------------------===//
  // What the graph is.
  //===--------------------------------------------------------------------===//

  LogicalResult survey() {
    auto ret = cast<func::ReturnOp>(main.front().getTerminator());
    logits = ret.getNumOperands() ? ret.getOperand(0) : Value();
    auto type = logits ? dyn_cast<RankedTensorType>(logits.getType())
                       : RankedTensorType();
    if (!type || type.getRank() != 3 || type.isDynamicDim(2))
      return main.emitError("first result must be the logits, [batch, "
                            "sequence, vocabulary]");
    vocabulary = type.getDimSize(2);
    for (auto attention : main.getOps<MaskedAttentionOp>())
      if (failed(note(attention)))
        return failure();
    if (layers == 0)
      return main.emitError("has no attention: this is no Llama-family model");
    if (failed(InputRoles().note(main)) || failed(checkCaches(main)) ||
        failed(checkSlots(main)))
      return failure();
    for (auto embed : main.getOps<EmbedOp>())
      hidden = cast<ShapedType>(embed.getTable().getType()).getDimSize(1);
    findSelected();
    return success();
  }

  LogicalResult note(MaskedAttentionOp op) {
    if (!op.getMask().getCausal())
      return op.emitOpError("is not causal; a step serves causal models");
    int64_t width = cast<ShapedType>(op.getQ().getType()).getShape().back();
    Heads here{width / int64_t(op.getHeadDim()), int64_t(op.getKvHeads()),
               int64_t(op.getHeadDim())};
    if (layers++ == 0)
      heads = here;
    if (!(here == heads))
      return op.emitOpError()
             << "has " << here.query << " query and " << here.kv
             << " KV heads of " << here.dim << ", an earlier layer has "
             << heads.query << ", " << heads.kv << " and " << heads.dim
             << "; one cache serves all layers";
    return success();
  }

  /// Rows of logits that nobody asked for need no arithmetic: the rows are
  /// selected where a single chain of row-wise operations to the logits begins.
  void findSelected() {
    selected = logits;
    while (Operation *def = selected.getDefiningOp()) {
      if (!isa<LinearOp, RMSNormOp, LayerNormOp, ScaleOp, SoftcapOp,
               ActivationOp>(def) ||
          !selected.hasOneUse())
        break;
      selected = def->getOperand(0);
    }
  }

  //===--------------------------------------------------------------------===//
  // The step.
  //===--------------------------------------------------------------------===//

  RankedTensorType vector(Type element) {
    return RankedTensorType::get({ShapedType::kDynamic}, element);
  }

  void createStep() {
    Type i32 = builder.getI32Type(), f32 = builder.getF32Type();
    auto pages = RankedTensorType::get(
        {ShapedType::kDynamic, ShapedType::kDynamic}, i32);
    cacheType = RankedTensorType::get(
        {layers, ShapedType::kDynamic, 2, heads.kv, pageTokens, heads.dim},
        f32);
    auto logitsType =
        RankedTensorType::get({ShapedType::kDynamic, vocabulary}, f32);
    SmallVector<std::tuple<StringRef, Type, int64_t>> arguments{
        {"tokens", vector(i32), maxTokens},
        {"positions", vector(i32), maxTokens},
        {"seq_offsets", vector(i32), maxSequences + 1},
        {"context", vector(i32), maxSequences},
        {"pages", pages, maxSequences},
        {"rows", vector(i32), maxTokens},
        {"cache", cacheType, 0},
        {"logits", logitsType, maxTokens}};
    SmallVector<Type> types;
    for (auto &argument : arguments)
      types.push_back(std::get<1>(argument));
    auto type = builder.getFunctionType(types, {logitsType, cacheType});
    step = func::FuncOp::create(builder, main.getLoc(), "step", type);
    step->setAttr(kEntryAttr, builder.getStringAttr("step"));
    Block *body = step.addEntryBlock();
    for (auto [i, argument] : llvm::enumerate(arguments)) {
      auto [role, argumentType, max] = argument;
      step.setArgAttr(i, kRoleAttr, builder.getStringAttr(role));
      if (max != 0)
        step.setArgAttr(i, kMaxAttr, builder.getI64IntegerAttr(max));
    }
    builder.setInsertionPointToStart(body);
    cache = argument(6);
    slots = TokenSlotsOp::create(builder, main.getLoc(), vector(i32),
                                 argument(0), argument(2), argument(3),
                                 argument(4), pageTokens, ValueRange())
                .getResult(0);
  }

  Value argument(unsigned i) { return step.getArgument(i); }

  /// [batch, sequence, ...] becomes [tokens, ...].
  static Type tokenMajor(Type type) {
    auto tensor = cast<RankedTensorType>(type);
    SmallVector<int64_t> shape{ShapedType::kDynamic};
    llvm::append_range(shape, tensor.getShape().drop_front(2));
    return RankedTensorType::get(shape, tensor.getElementType());
  }

  LogicalResult raise(Operation &op) {
    if (isa<WeightAtOp, arith::ConstantOp>(op)) {
      builder.clone(op, mapping);
      return success();
    }
    if (auto attention = dyn_cast<MaskedAttentionOp>(op))
      return raiseAttention(attention);
    if (auto slots = dyn_cast<SlotPositionsOp>(op)) {
      mapping.map(slots.getResult(), argument(1));
      return success();
    }
    if (!isRowwise(&op))
      return op.emitOpError("cannot be laid out token by token");
    if (auto embed = dyn_cast<EmbedOp>(op))
      mapArgument(embed.getTokens(), 0);
    if (auto table = dyn_cast<RopeTableOp>(op))
      mapArgument(table.getPositions(), 1);
    return raiseRows(op);
  }

  void mapArgument(Value value, unsigned i) {
    if (isa<BlockArgument>(value))
      mapping.map(value, argument(i));
  }

  LogicalResult raiseRows(Operation &op) {
    SmallVector<Value> operands;
    for (Value operand : op.getOperands()) {
      Value mapped = mapping.lookupOrNull(operand);
      if (!mapped)
        return op.emitOpError("reads an input of the graph that is neither "
                              "token ids nor positions");
      operands.push_back(mapped);
    }
    bool last = op.getResult(0) == logits && selected != logits;
    SmallVector<Type> types;
    for (Type type : op.getResultTypes())
      types.push_back(tokenMajor(type));
    OperationState state(op.getLoc(), op.getName(), operands, types,
                         op.getAttrs());
    state.propertiesAttr = op.getPropertiesAsAttribute();
    Operation *raised = builder.create(state);
    if (last)
      setDestination(raised, argument(7));
    for (auto [from, to] : llvm::zip(op.getResults(), raised->getResults()))
      mapping.map(from, to);
    select(op.getResult(0));
    return success();
  }

  /// The operation that gives the logits writes to the step's destination.
  static void setDestination(Operation *op, Value destination) {
    llvm::TypeSwitch<Operation *>(op)
        .Case<LinearOp, ScaleOp, SoftcapOp, RMSNormOp, LayerNormOp, AddOp,
              ActivationOp, GluOp, RopeOp, EmbedOp>([&](auto compute) {
          compute.getOutsMutable().append(destination);
        });
  }

  void select(Value value) {
    if (value != selected)
      return;
    Value rows = mapping.lookup(value);
    SmallVector<Value, 1> outs;
    if (value == logits)
      outs.push_back(argument(7));
    mapping.map(value,
                SelectRowsOp::create(builder, value.getLoc(), rows.getType(),
                                     rows, argument(5), outs)
                    .getResult(0));
  }

  LogicalResult raiseAttention(MaskedAttentionOp op) {
    for (Value rows : {op.getQ(), op.getK(), op.getV()})
      if (!mapping.contains(rows))
        return op.emitOpError("reads an input of the graph as queries, keys or "
                              "values");
    Location loc = op.getLoc();
    Value layer = arith::ConstantIndexOp::create(builder, loc, nextLayer++);
    cache =
        KVAppendOp::create(builder, loc, cacheType, mapping.lookup(op.getK()),
                           mapping.lookup(op.getV()), slots, layer, cache)
            .getResult(0);
    auto attention = AttentionOp::create(
        builder, loc, tokenMajor(op.getOutput().getType()),
        mapping.lookup(op.getQ()), cache, layer, argument(2), argument(3),
        argument(4), /*first_seq=*/Value(), /*end_seq=*/Value(),
        /*scale_of_layer=*/Value(), /*window_of_layer=*/Value(),
        /*softcap_of_layer=*/Value(), op.getScaleAttr(),
        builder.getI64IntegerAttr(op.getMask().getWindow()),
        op.getSoftcapAttr(), ValueRange());
    mapping.map(op.getOutput(), attention.getResult(0));
    select(op.getOutput());
    return success();
  }

  LogicalResult finish() {
    func::ReturnOp::create(builder, main.getLoc(),
                           ValueRange{mapping.lookup(logits), cache});
    auto module = main->getParentOfType<ModuleOp>();
    module->setAttr(kModelAttr,
                    ModelAttr::get(main.getContext(), layers, hidden,
                                   heads.query, heads.kv, heads.dim, vocabulary,
                                   pageTokens));
    module->setAttr("fdpp.max_context", builder.getI64IntegerAttr(maxContext));
    main.erase();
    return success();
  }

  func::FuncOp main, step;
  OpBuilder builder;
  int64_t pageTokens, maxTokens, maxSequences, maxContext;
  IRMapping mapping;
  Value logits, selected, cache, slots;
  RankedTensorType cacheType;
  Heads heads{};
  int64_t layers = 0, nextLayer = 0, hidden = 0, vocabulary = 0;
};

struct ToStepPass : public mlir::fdpp::impl::FDPPToStepBase<ToStepPass> {
  using Base::Base;

  void runOnOperation() override {
    if (pageTokens < 1 || maxTokens < 1 || maxSequences < 1 || maxContext < 1) {
      getOperation().emitError("page-tokens, max-tokens, max-sequences and "
                               "max-context must be at least 1");
      return signalPassFailure();
    }
    auto main = getOperation().lookupSymbol<func::FuncOp>("main");
    if (!main) {
      getOperation().emitError("has no function @main to raise");
      return signalPassFailure();
    }
    if (failed(Raiser(main, pageTokens, maxTokens, maxSequences, maxContext)
                   .run()))
      signalPassFailure();
  }
};

} // namespace
