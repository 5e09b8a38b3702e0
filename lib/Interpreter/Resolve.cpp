// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- Resolve.cpp - From operations to instructions ----------------------===//
#include "Machine.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Interfaces/ViewLikeInterface.h"
#include "llvm/ADT/DenseSet.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;
using namespace mlir::fdpp;

static const HandlerMap &handlers() {
  static const HandlerMap map = [] {
    HandlerMap result;
    addScalarHandlers(result);
    addTensorHandlers(result);
    addMemRefHandlers(result);
    addControlHandlers(result);
    addModelHandlers(result);
    addAttentionHandlers(result);
    addMaskedAttentionHandlers(result);
    addFusedHandlers(result);
    addONNXHandlers(result);
    return result;
  }();
  return map;
}

static std::optional<Handler> handlerOf(Operation &op) {
  auto handler = handlers().find(op.getName().getStringRef());
  return handler == handlers().end() ? operatorHandler(op) : handler->second;
}

namespace {
class Resolver {
public:
  explicit Resolver(Function &function) : function(function) {}
  LogicalResult block(Region &region, Code &code);
  std::string error;

private:
  LogicalResult operation(Operation &op, Instr &instr);
  void findViews(Block &block, Code &code);
  void findDead(Block &block, Code &code);
  bool isShown(Operation &op);
  Slot slotOf(Value value);

  Function &function;
  DenseMap<Value, Slot> slots;
  /// What depends on the function's arguments.
  llvm::DenseSet<Value> dependent;
};
} // namespace

static Kind kindOfType(Type type) {
  if (isa<ShapedType>(type))
    return Kind::Array;
  return isa<FloatType>(type) ? Kind::Real : Kind::Integer;
}

Slot Resolver::slotOf(Value value) {
  auto [it, isNew] = slots.try_emplace(value);
  if (!isNew)
    return it->second;
  Kind kind = kindOfType(value.getType());
  unsigned &count = kind == Kind::Real      ? function.reals
                    : kind == Kind::Integer ? function.integers
                                            : function.arrays;
  return it->second = Slot{kind, count++};
}

/// Operations that only move values, or that show their own: a step's rows, a
/// linear's segments.
static bool showsNothing(Operation &op) {
  if (isa<RopeTableOp>(op)) // its last destination is not its first result
    return op.getNumResults() == 0;
  return isa<WeightAtOp, KVAppendOp, SelectRowsOp, EpilogueInterface,
             PrologueOp, LibraryGemmOp, DispatchOp>(op);
}

bool Resolver::isShown(Operation &op) {
  StringRef dialect = op.getName().getDialectNamespace();
  if ((dialect != "fdpp" && dialect != "onnx") || showsNothing(op))
    return false;
  bool given = op.getNumResults() > 0;
  if (!given && op.getNumOperands() == 0)
    return false;
  Value value = given ? Value(op.getResult(0)) : op.getOperands().back();
  return isa<ShapedType>(value.getType()) &&
         isa<FloatType>(getElementTypeOrSelf(value.getType())) &&
         llvm::any_of(op.getOperands(), [&](Value operand) {
           return dependent.contains(operand);
         });
}

LogicalResult Resolver::operation(Operation &op, Instr &instr) {
  instr.op = &op;
  instr.shown = isShown(op);
  if (llvm::any_of(op.getOperands(),
                   [&](Value operand) { return dependent.contains(operand); }))
    dependent.insert(op.result_begin(), op.result_end());
  for (Value operand : op.getOperands())
    instr.in.push_back(slotOf(operand));
  for (Value result : op.getResults())
    instr.out.push_back(slotOf(result));
  if (op.hasTrait<OpTrait::IsTerminator>())
    return success();
  std::optional<Handler> handler = handlerOf(op);
  if (!handler) {
    llvm::raw_string_ostream(error) << "the interpreter does not know '"
                                    << op.getName() << "' at " << op.getLoc();
    return failure();
  }
  instr.run = handler->run;
  for (Region &region : op.getRegions())
    if (failed(block(region, instr.regions.emplace_back())))
      return failure();
  if (handler->prepare)
    handler->prepare(instr);
  return success();
}

/// The last operation of `block` that reads or writes `view` or what aliases
/// it, looking into the regions of the block's operations.
static Operation *lastUse(Value view, Block &block) {
  llvm::SetVector<Value> aliases;
  aliases.insert(view);
  Operation *last = view.getDefiningOp();
  for (unsigned i = 0; i < aliases.size(); ++i)
    for (Operation *user : aliases[i].getUsers()) {
      Operation *inBlock = block.findAncestorOpInBlock(*user);
      if (inBlock && last->isBeforeInBlock(inBlock))
        last = inBlock;
      for (Value result : user->getResults())
        if (isa<MemRefType>(result.getType()))
          aliases.insert(result);
    }
  return last;
}

void Resolver::findViews(Block &block, Code &code) {
  DenseMap<Operation *, unsigned> order;
  for (Operation &op : block)
    order.try_emplace(&op, order.size());
  for (auto view : block.getOps<memref::ViewOp>()) {
    Operation *last = lastUse(view, block);
    Operation *first = last;
    for (Operation *user : view->getUsers())
      if (Operation *inBlock = block.findAncestorOpInBlock(*user))
        if (inBlock->isBeforeInBlock(first))
          first = inBlock;
    code.views.push_back({slotOf(view), order[first], order[last]});
  }
}

/// Tensors of the block by their last readers. Memory lives on its own.
void Resolver::findDead(Block &block, Code &code) {
  DenseMap<Operation *, unsigned> order;
  for (Operation &op : block)
    order.try_emplace(&op, order.size());
  for (Operation &op : block.without_terminator())
    for (Value result : op.getResults()) {
      if (!isa<TensorType>(result.getType()))
        continue;
      unsigned last = order[&op];
      for (Operation *user : result.getUsers())
        last = std::max(last, order[block.findAncestorOpInBlock(*user)]);
      if (last < code.instrs.size())
        code.dead.push_back({last, slotOf(result)});
    }
  llvm::sort(code.dead, llvm::less_first());
}

LogicalResult Resolver::block(Region &region, Code &code) {
  if (region.empty())
    return success();
  if (!region.hasOneBlock()) {
    error = "the interpreter has no branches between blocks";
    return failure();
  }
  Block &block = region.front();
  for (BlockArgument argument : block.getArguments())
    code.args.push_back(slotOf(argument));
  if (!isa<WeightOp>(region.getParentOp()))
    dependent.insert(block.args_begin(), block.args_end());
  code.instrs.reserve(block.getOperations().size());
  for (Operation &op : block) {
    bool isEnd = op.hasTrait<OpTrait::IsTerminator>();
    Instr &instr = isEnd ? code.end : code.instrs.emplace_back();
    if (failed(operation(op, instr)))
      return failure();
  }
  findViews(block, code);
  findDead(block, code);
  return success();
}

llvm::Expected<std::unique_ptr<Function>> mlir::fdpp::resolve(Region &region) {
  auto function = std::make_unique<Function>();
  Resolver resolver(*function);
  if (failed(resolver.block(region, function->body)))
    return llvm::createStringError(resolver.error);
  return function;
}
