// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "Dataflow.h"

#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace mlir::fdpp;

//===----------------------------------------------------------------------===//
// Roles.
//===----------------------------------------------------------------------===//

/// Operations that change values but not what they are for.
static bool keepsRole(Operation *op) {
  return isa<RopeOp, ScaleOp, SoftcapOp, tensor::ExtractSliceOp>(op);
}

static bool isAttention(Operation *op) {
  return isa<AttentionOp, PrefillAttentionOp, DecodeAttentionOp,
             AsyncSoftmaxDecodeAttentionOp, AsyncSoftmaxPrefillAttentionOp,
             RecomputeRowsOp>(op);
}

/// What the linear whose value arrives at `use` is for, or "".
static StringRef roleFromUse(OpOperand &use) {
  Operation *user = use.getOwner();
  unsigned index = use.getOperandNumber();
  if (isAttention(user))
    return index == 0 ? "wq" : "";
  if (isa<KVAppendOp>(user))
    return index == 0 ? "wk" : index == 1 ? "wv" : "";
  if (isa<GluOp>(user))
    return index == 0 ? "gate" : "up";
  if (isa<ActivationOp>(user))
    return "up";
  if (isa<func::ReturnOp>(user))
    return "lm_head";
  if (!keepsRole(user) || index != 0)
    return "";
  for (OpOperand &next : user->getResult(0).getUses())
    if (StringRef role = roleFromUse(next); !role.empty())
      return role;
  return "";
}

/// The operation a value stems from, through operations that keep its role.
static Operation *origin(Value value) {
  Operation *op = value.getDefiningOp();
  while (op && keepsRole(op))
    op = op->getOperand(0).getDefiningOp();
  return op;
}

StringRef mlir::fdpp::linearRole(LinearOp op) {
  if (op->getNumResults())
    for (OpOperand &use : op->getResult(0).getUses())
      if (StringRef role = roleFromUse(use); !role.empty())
        return role;
  Operation *from = origin(op.getInput());
  if (from && isAttention(from))
    return "wo";
  if (isa_and_nonnull<GluOp, ActivationOp>(from))
    return "down";
  return "linear";
}

/// A norm is named after what reads it, or after the linear it follows.
static std::string normRole(Operation *norm) {
  if (auto linear = dyn_cast_if_present<LinearOp>(origin(norm->getOperand(0))))
    return linearRole(linear) == "wo" ? "post_attn_norm" : "post_ffn_norm";
  for (Operation *user : norm->getResult(0).getUsers()) {
    while (isa<SelectRowsOp>(user) && user->hasOneUse())
      user = *user->user_begin();
    auto linear = dyn_cast<LinearOp>(user);
    if (!linear)
      continue;
    StringRef role = linearRole(linear);
    if (role == "lm_head")
      return "final_norm";
    if (role == "gate" || role == "up")
      return "ffn_norm";
    if (role != "linear")
      return "attn_norm";
  }
  return "norm";
}

static std::string linearOperandRole(LinearOp op, OpOperand &use) {
  StringRef role = linearRole(op);
  if (use.get() == op.getWeight())
    return role.str();
  if (role.size() == 2 && role.front() == 'w')
    return ("b" + role.drop_front()).str();
  return (role + "_bias").str();
}

static std::string roleOfUse(OpOperand &use) {
  Operation *user = use.getOwner();
  if (auto linear = dyn_cast<LinearOp>(user))
    return linearOperandRole(linear, use);
  if (isa<EmbedOp>(user))
    return "embed";
  if (isa<RopeTableOp>(user))
    return "inv_freq";
  if (isa<RMSNormOp, LayerNormOp>(user))
    return normRole(user) + (use.getOperandNumber() == 2 ? "_beta" : "");
  return "";
}

std::string mlir::fdpp::weightRole(WeightAtOp at) {
  // The order of uses is not the program's: a table that is also the head's
  // matrix is the embedding whichever comes first.
  std::string role;
  for (OpOperand &use : at.getResult().getUses()) {
    std::string found = roleOfUse(use);
    if (role.empty() || found == "embed")
      role = found;
  }
  return role.empty() ? "weight" : role;
}

//===----------------------------------------------------------------------===//
// Buffer names.
//===----------------------------------------------------------------------===//

static StringRef nameOfLinearRole(StringRef role) {
  return llvm::StringSwitch<StringRef>(role)
      .Case("wq", "query")
      .Case("wk", "key")
      .Case("wv", "value")
      .Case("lm_head", "logits")
      .Default(role);
}

StringRef mlir::fdpp::bufferName(OpResult value) {
  for (OpOperand &use : value.getUses())
    if (StringRef role = roleFromUse(use); !role.empty())
      return nameOfLinearRole(role);
  return TypeSwitch<Operation *, StringRef>(value.getOwner())
      .Case<RopeTableOp>(
          [&](auto) { return value.getResultNumber() == 0 ? "cos" : "sin"; })
      .Case<TokenSlotsOp>([](auto) { return "slots"; })
      .Case<EmbedOp, AddOp, ScaleOp>([](auto) { return "hidden"; })
      .Case<RMSNormOp, LayerNormOp>([](auto) { return "normed"; })
      .Case<AttentionOp, PrefillAttentionOp, DecodeAttentionOp,
            RecomputeRowsOp>([](auto) { return "attended"; })
      .Case<AsyncSoftmaxDecodeAttentionOp, AsyncSoftmaxPrefillAttentionOp>(
          [&](auto) {
            return value.getResultNumber() == 0 ? "attended" : "invalid";
          })
      .Case<GluOp, ActivationOp>([](auto) { return "gated"; })
      .Case<SelectRowsOp>([](auto) { return "selected"; })
      .Default([](Operation *op) { return op->getName().stripDialect(); });
}

//===----------------------------------------------------------------------===//
// Rows.
//===----------------------------------------------------------------------===//

/// The operand whose leading dimension an operation's results share, or null.
static Value rowOperand(Operation *op) {
  if (auto select = dyn_cast<SelectRowsOp>(op))
    return select.getRows();
  if (isa<TokenSlotsOp, RopeTableOp, EmbedOp, LinearOp, FusedLinearOp,
          RMSNormOp, LayerNormOp, RopeOp, GluOp, AddOp, ActivationOp, ScaleOp,
          SoftcapOp, tensor::ExtractSliceOp>(op) ||
      isAttention(op))
    return op->getOperand(0);
  return nullptr;
}

/// Where the rows of a value come from. A value carried by a loop has the rows
/// it entered with: layers map T rows to T rows.
static Value rowSource(Value value) {
  while (true) {
    if (auto argument = dyn_cast<BlockArgument>(value)) {
      auto loop = dyn_cast<scf::ForOp>(argument.getOwner()->getParentOp());
      if (!loop || argument == loop.getInductionVar())
        return value;
      value = loop.getTiedLoopInit(argument)->get();
      continue;
    }
    Operation *op = value.getDefiningOp();
    if (auto loop = dyn_cast<scf::ForOp>(op))
      value = loop.getInits()[cast<OpResult>(value).getResultNumber()];
    else if (Value next = rowOperand(op))
      value = next;
    else
      return value;
  }
}

/// Positions and tokens have the same rows by the step's contract.
static Value canonicalArgument(Value value) {
  auto argument = dyn_cast<BlockArgument>(value);
  auto func = argument
                  ? dyn_cast<func::FuncOp>(argument.getOwner()->getParentOp())
                  : func::FuncOp();
  if (!func)
    return value;
  auto role =
      func.getArgAttrOfType<StringAttr>(argument.getArgNumber(), kRoleAttr);
  if (!role || role.getValue() != "positions")
    return value;
  BlockArgument tokens = argumentWithRole(func, "tokens");
  return tokens ? tokens : value;
}

Value mlir::fdpp::rowCount(OpBuilder &builder, Value value) {
  Value source = canonicalArgument(rowSource(value));
  if (auto empty = source.getDefiningOp<tensor::EmptyOp>())
    if (!empty.getDynamicSizes().empty())
      return empty.getDynamicSizes().front();
  OpBuilder::InsertionGuard guard(builder);
  auto argument = dyn_cast<BlockArgument>(source);
  if (!argument)
    return tensor::DimOp::create(builder, value.getLoc(), value, 0);
  for (Operation *user : source.getUsers())
    if (auto dim = dyn_cast<tensor::DimOp>(user);
        dim && dim.getConstantIndex() == 0 &&
        dim->getBlock() == argument.getOwner())
      return dim;
  builder.setInsertionPointToStart(argument.getOwner());
  return tensor::DimOp::create(builder, argument.getLoc(), source, 0);
}

Value mlir::fdpp::createDestination(OpBuilder &builder, OpResult value) {
  auto type = cast<RankedTensorType>(value.getType());
  Operation *op = value.getOwner();
  Value like = rowOperand(op) ? rowOperand(op) : Value(value);
  SmallVector<Value> sizes;
  if (type.isDynamicDim(0))
    sizes.push_back(rowCount(builder, like));
  Location name = NameLoc::get(builder.getStringAttr(bufferName(value)));
  return tensor::EmptyOp::create(builder, name, type.getShape(),
                                 type.getElementType(), sizes);
}

//===----------------------------------------------------------------------===//
// Motion.
//===----------------------------------------------------------------------===//

static bool writesDestination(Operation *op) {
  return isa<KVAppendOp, FusedLinearOp>(op) || op->getNumRegions() > 0;
}

LogicalResult mlir::fdpp::hoistBefore(Value value, Operation *point) {
  llvm::SetVector<Operation *> moved;
  SmallVector<Value> pending{value};
  while (!pending.empty()) {
    Operation *op = pending.pop_back_val().getDefiningOp();
    if (!op || op->getBlock() != point->getBlock() ||
        op->isBeforeInBlock(point))
      continue;
    if (op == point || writesDestination(op) || !isMemoryEffectFree(op))
      return failure();
    if (moved.insert(op))
      llvm::append_range(pending, op->getOperands());
  }
  SmallVector<Operation *> inOrder(moved.begin(), moved.end());
  llvm::sort(inOrder,
             [](Operation *a, Operation *b) { return a->isBeforeInBlock(b); });
  for (Operation *op : inOrder)
    op->moveBefore(point);
  return success();
}

BlockArgument mlir::fdpp::argumentWithRole(func::FuncOp func, StringRef role) {
  for (BlockArgument argument : func.getArguments()) {
    auto name =
        func.getArgAttrOfType<StringAttr>(argument.getArgNumber(), kRoleAttr);
    if (name && name.getValue() == role)
      return argument;
  }
  return nullptr;
}

SmallVector<func::FuncOp> mlir::fdpp::entriesOf(Operation *module) {
  SmallVector<func::FuncOp> entries;
  for (auto func : module->getRegion(0).getOps<func::FuncOp>())
    if (func->hasAttr(kEntryAttr))
      entries.push_back(func);
  return entries;
}
