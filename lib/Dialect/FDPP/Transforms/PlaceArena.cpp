// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// --fdpp-place-arena

#include "fdpp/Dialect/FDPP/IR/FDPP.h"
#include "fdpp/Dialect/FDPP/Transforms/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Bufferization/Transforms/BufferViewFlowAnalysis.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/Matchers.h"
#include "mlir/IR/Remarks.h"

namespace mlir::fdpp {
#define GEN_PASS_DEF_FDPPPLACEARENA
#include "fdpp/Dialect/FDPP/Transforms/Passes.h.inc"
} // namespace mlir::fdpp

using namespace mlir;
using namespace mlir::fdpp;

namespace {

constexpr int64_t kAlignment = 64;

struct Buffer {
  memref::AllocOp alloc;
  int64_t bytes = 0;
  int64_t first = 0, last = 0; // live between these operations, inclusive
  int64_t offset = 0;
};

/// Numbers operations in program order; an op with regions spans its body.
class ProgramOrder {
public:
  explicit ProgramOrder(func::FuncOp func) {
    func.walk<WalkOrder::PreOrder>([&](Operation *op) { begin[op] = next++; });
    func.walk([&](Operation *op) {
      int64_t last = begin[op];
      for (Region &region : op->getRegions())
        for (Block &block : region)
          for (Operation &inner : block)
            last = std::max(last, end[&inner]);
      end[op] = last;
    });
  }
  int64_t beginOf(Operation *op) const { return begin.lookup(op); }
  int64_t endOf(Operation *op) const { return end.lookup(op); }

private:
  DenseMap<Operation *, int64_t> begin, end;
  int64_t next = 0;
};

/// The largest value of a dynamic dimension: the bound of the argument it is
/// the size of.
FailureOr<int64_t> upperBound(Value size, func::FuncOp func) {
  APInt constant;
  if (matchPattern(size, m_ConstantInt(&constant)))
    return constant.getSExtValue();
  if (auto dim = size.getDefiningOp<memref::DimOp>())
    if (auto argument = dyn_cast<BlockArgument>(dim.getSource()))
      if (dim.getConstantIndex() == 0 && argument.getOwner() == &func.front())
        if (auto max = func.getArgAttrOfType<IntegerAttr>(
                argument.getArgNumber(), kMaxAttr))
          return max.getInt();
  return failure();
}

/// More bytes than any machine has, and few enough to be added up.
constexpr int64_t kMostBytes = int64_t(1) << 48;

FailureOr<int64_t> largestBytes(memref::AllocOp alloc, func::FuncOp func) {
  int64_t bytes = llvm::divideCeil(alloc.getType().getElementTypeBitWidth(), 8);
  bool fits = true;
  unsigned dynamic = 0;
  for (int64_t size : alloc.getType().getShape()) {
    if (!ShapedType::isDynamic(size)) {
      fits &= !llvm::MulOverflow(bytes, size, bytes);
      continue;
    }
    FailureOr<int64_t> bound =
        upperBound(alloc.getDynamicSizes()[dynamic++], func);
    if (failed(bound))
      return alloc.emitError("cannot be placed: its size is not bounded by an "
                             "argument with fdpp.max");
    fits &= !llvm::MulOverflow(bytes, *bound, bytes);
  }
  if (!fits || bytes < 0 || bytes > kMostBytes)
    return alloc.emitError("cannot be placed: it takes more than 2^48 bytes");
  return bytes;
}

/// A use inside a loop that does not hold the allocation repeats, so it lasts
/// to the end of that loop.
int64_t lastUse(Operation *user, memref::AllocOp alloc,
                const ProgramOrder &order) {
  Operation *op = user;
  while (op->getParentRegion() != alloc->getParentRegion() &&
         !op->getParentRegion()->isAncestor(alloc->getParentRegion()))
    op = op->getParentOp();
  return order.endOf(op);
}

void findLifetime(Buffer &buffer, const ProgramOrder &order,
                  BufferViewFlowAnalysis &aliases) {
  buffer.first = buffer.last = order.beginOf(buffer.alloc);
  for (Value alias : aliases.resolve(buffer.alloc))
    for (Operation *user : alias.getUsers())
      buffer.last = std::max(buffer.last, lastUse(user, buffer.alloc, order));
}

/// First fit, largest first. Returns the arena's size.
int64_t place(MutableArrayRef<Buffer> buffers) {
  SmallVector<Buffer *> bySize;
  for (Buffer &buffer : buffers)
    bySize.push_back(&buffer);
  llvm::stable_sort(bySize,
                    [](Buffer *a, Buffer *b) { return a->bytes > b->bytes; });
  SmallVector<Buffer *> placed;
  int64_t arena = 0;
  for (Buffer *buffer : bySize) {
    int64_t offset = 0;
    for (Buffer *other : placed) { // by offset
      bool together =
          other->first <= buffer->last && buffer->first <= other->last;
      if (together && offset + buffer->bytes > other->offset)
        offset = std::max(offset, other->offset + other->bytes);
    }
    buffer->offset = offset;
    arena = std::max(arena, offset + buffer->bytes);
    placed.insert(llvm::upper_bound(placed, buffer,
                                    [](Buffer *a, Buffer *b) {
                                      return a->offset < b->offset;
                                    }),
                  buffer);
  }
  return arena;
}

struct PlaceArenaPass
    : public mlir::fdpp::impl::FDPPPlaceArenaBase<PlaceArenaPass> {
  void runOnOperation() override {
    for (auto func : getOperation().getOps<func::FuncOp>())
      if (func->hasAttr(kEntryAttr) && failed(placeEntry(func)))
        return signalPassFailure();
  }

  LogicalResult placeEntry(func::FuncOp func) {
    ProgramOrder order(func);
    BufferViewFlowAnalysis aliases(func);
    SmallVector<Buffer> buffers;
    int64_t sum = 0;
    WalkResult walked = func.walk([&](memref::AllocOp alloc) {
      FailureOr<int64_t> bytes = largestBytes(alloc, func);
      if (failed(bytes))
        return WalkResult::interrupt();
      Buffer buffer{alloc, int64_t(llvm::alignTo(*bytes, kAlignment))};
      findLifetime(buffer, order, aliases);
      sum += buffer.bytes;
      buffers.push_back(buffer);
      return WalkResult::advance();
    });
    if (walked.wasInterrupted())
      return failure();
    int64_t arena = place(buffers);
    rewrite(func, buffers, arena);
    remark::passed(func.getLoc(),
                   remark::RemarkOpts::name("place-arena").category("memory"))
        << "@" << func.getName() << ": " << std::to_string(buffers.size())
        << " buffers in " << std::to_string(arena) << " bytes, "
        << std::to_string(sum) << " without reuse";
    return success();
  }

  static void rewrite(func::FuncOp func, ArrayRef<Buffer> buffers,
                      int64_t arena) {
    OpBuilder builder = OpBuilder::atBlockBegin(&func.front());
    auto bytes = MemRefType::get({ShapedType::kDynamic}, builder.getI8Type());
    DictionaryAttr role = builder.getDictionaryAttr(
        {builder.getNamedAttr(kRoleAttr, builder.getStringAttr("workspace"))});
    (void)func.insertArgument(func.getNumArguments(), bytes, role,
                              func.getLoc());
    Value base = func.getArguments().back();
    func->setAttr("fdpp.arena", builder.getI64IntegerAttr(arena));
    for (const Buffer &buffer : buffers) {
      memref::AllocOp alloc = buffer.alloc;
      builder.setInsertionPoint(alloc);
      Value offset = arith::ConstantIndexOp::create(builder, alloc.getLoc(),
                                                    buffer.offset);
      auto view =
          memref::ViewOp::create(builder, alloc.getLoc(), alloc.getType(), base,
                                 offset, alloc.getDynamicSizes());
      alloc.getResult().replaceAllUsesWith(view.getResult());
      alloc.erase();
    }
  }
};

} // namespace
