// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Delta debugging over a module: a list of things that could go, removed in
// halves, quarters, ... single ones, as long as the judge still sees the
// failure.

#include "fdpp/Reduce/Reduce.h"

#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Interfaces/FunctionInterfaces.h"
#include "llvm/ADT/STLExtras.h"

using namespace mlir;
using namespace mlir::fdpp;

namespace {

/// One kind of thing that could go. Both walk the module in the same order, so
/// that a position names the same thing in every copy of it.
struct Strategy {
  size_t (*count)(ModuleOp module);
  /// Removes the things at [begin, end).
  void (*remove)(ModuleOp module, size_t begin, size_t end);
};

class Reducer {
public:
  Reducer(Reproducer &best, const Judge &judge) : best(best), judge(judge) {}

  bool dropPasses();
  bool apply(const Strategy &strategy);
  ReduceCounts getCounts() const { return counts; }

private:
  /// Takes the candidate if it is valid and shows the failure.
  bool tryCandidate(Reproducer candidate);

  Reproducer &best;
  const Judge &judge;
  ReduceCounts counts;
};

} // namespace

bool Reducer::tryCandidate(Reproducer candidate) {
  {
    ScopedDiagnosticHandler quiet(candidate.module->getContext(),
                                  [](Diagnostic &) { return success(); });
    if (failed(verify(*candidate.module)))
      return false;
  }
  ++counts.tests;
  if (!judge(candidate))
    return false;
  ++counts.kept;
  best = std::move(candidate);
  return true;
}

/// Tries every run of `size` things, from the last to the first, for sizes that
/// halve. `attempt` says whether [begin, end) went.
static bool inHalves(llvm::function_ref<size_t()> count,
                     llvm::function_ref<bool(size_t, size_t)> attempt) {
  bool changed = false;
  for (size_t size = count(); size > 0; size /= 2)
    for (size_t end = count(); end > 0;) {
      size_t begin = end > size ? end - size : 0;
      changed |= attempt(begin, end);
      end = std::min(begin, count());
    }
  return changed;
}

bool Reducer::dropPasses() {
  return inHalves([&] { return best.passes.size(); },
                  [&](size_t begin, size_t end) {
                    if (end - begin == best.passes.size())
                      return false; // without any pass nothing can fail
                    Reproducer candidate{best.module->clone(), best.passes};
                    candidate.passes.erase(candidate.passes.begin() + begin,
                                           candidate.passes.begin() + end);
                    return tryCandidate(std::move(candidate));
                  });
}

bool Reducer::apply(const Strategy &strategy) {
  return inHalves([&] { return strategy.count(*best.module); },
                  [&](size_t begin, size_t end) {
                    Reproducer candidate{best.module->clone(), best.passes};
                    strategy.remove(*candidate.module, begin, end);
                    return tryCandidate(std::move(candidate));
                  });
}

//===----------------------------------------------------------------------===//
// Things.
//===----------------------------------------------------------------------===//

static SmallVector<Operation *> listSymbols(ModuleOp module) {
  return llvm::map_to_vector(*module.getBody(),
                             [](Operation &op) { return &op; });
}

/// Everything in functions but terminators, outer before inner.
static SmallVector<Operation *> listOperations(ModuleOp module) {
  SmallVector<Operation *> operations;
  for (Operation &symbol : *module.getBody())
    symbol.walk<WalkOrder::PreOrder>([&](Operation *op) {
      if (op != &symbol && !op->hasTrait<OpTrait::IsTerminator>())
        operations.push_back(op);
    });
  return operations;
}

/// An operand of the result's type, else a new argument of the function.
static void replaceResult(OpResult result) {
  if (result.use_empty())
    return;
  for (Value operand : result.getOwner()->getOperands())
    if (operand.getType() == result.getType() && operand != result)
      return result.replaceAllUsesWith(operand);
  auto function = result.getOwner()->getParentOfType<FunctionOpInterface>();
  if (!function)
    return;
  unsigned index = function.getNumArguments();
  if (succeeded(function.insertArgument(index, result.getType(), {},
                                        result.getLoc())))
    result.replaceAllUsesWith(function.getArgument(index));
}

static void removeOperations(ModuleOp module, size_t begin, size_t end) {
  SmallVector<Operation *> operations = listOperations(module);
  for (size_t i = end; i-- > begin;) {
    for (OpResult result : operations[i]->getResults())
      replaceResult(result);
    if (operations[i]->use_empty())
      operations[i]->erase();
  }
}

static void removeSymbols(ModuleOp module, size_t begin, size_t end) {
  SmallVector<Operation *> symbols = listSymbols(module);
  for (size_t i = end; i-- > begin;)
    symbols[i]->erase();
}

using Slot = std::pair<FunctionOpInterface, unsigned>;

static SmallVector<Slot> listResults(ModuleOp module) {
  SmallVector<Slot> slots;
  for (auto function : module.getOps<FunctionOpInterface>())
    if (!function.isExternal() &&
        function.getFunctionBody().back().mightHaveTerminator())
      for (unsigned i = 0; i < function.getNumResults(); ++i)
        slots.emplace_back(function, i);
  return slots;
}

static void removeResults(ModuleOp module, size_t begin, size_t end) {
  SmallVector<Slot> slots = listResults(module);
  for (size_t i = end; i-- > begin;) {
    auto [function, index] = slots[i];
    Operation *terminator = function.getFunctionBody().back().getTerminator();
    if (terminator->getNumOperands() != function.getNumResults() ||
        failed(function.eraseResult(index)))
      continue;
    terminator->eraseOperand(index);
  }
}

static SmallVector<Slot> listUnusedArguments(ModuleOp module) {
  SmallVector<Slot> slots;
  for (auto function : module.getOps<FunctionOpInterface>())
    if (!function.isExternal())
      for (BlockArgument argument : function.getArguments())
        if (argument.use_empty())
          slots.emplace_back(function, argument.getArgNumber());
  return slots;
}

static void removeArguments(ModuleOp module, size_t begin, size_t end) {
  SmallVector<Slot> slots = listUnusedArguments(module);
  for (size_t i = end; i-- > begin;)
    (void)slots[i].first.eraseArgument(slots[i].second);
}

using NamedSlot = std::pair<Operation *, StringAttr>;

static SmallVector<NamedSlot> listAttributes(ModuleOp module) {
  SmallVector<NamedSlot> slots;
  module->walk<WalkOrder::PreOrder>([&](Operation *op) {
    for (NamedAttribute attribute : op->getDiscardableAttrs())
      slots.emplace_back(op, attribute.getName());
  });
  return slots;
}

static void removeAttributes(ModuleOp module, size_t begin, size_t end) {
  SmallVector<NamedSlot> slots = listAttributes(module);
  for (size_t i = end; i-- > begin;)
    slots[i].first->removeDiscardableAttr(slots[i].second);
}

/// Constants of many different elements, which could all be the first one.
static SmallVector<NamedSlot> listConstants(ModuleOp module) {
  SmallVector<NamedSlot> slots;
  module->walk<WalkOrder::PreOrder>([&](Operation *op) {
    for (NamedAttribute attribute : op->getAttrs())
      if (auto dense = dyn_cast<DenseElementsAttr>(attribute.getValue());
          dense && !dense.empty() && !dense.isSplat())
        slots.emplace_back(op, attribute.getName());
  });
  return slots;
}

static void removeConstants(ModuleOp module, size_t begin, size_t end) {
  SmallVector<NamedSlot> slots = listConstants(module);
  for (size_t i = end; i-- > begin;) {
    auto [op, name] = slots[i];
    auto dense = cast<DenseElementsAttr>(op->getAttr(name));
    Attribute first = *dense.getValues<Attribute>().begin();
    op->setAttr(name, DenseElementsAttr::get(dense.getType(), first));
  }
}

/// The count of a list.
template <auto list> static size_t countOf(ModuleOp module) {
  return list(module).size();
}

static constexpr Strategy kStrategies[] = {
    {countOf<listSymbols>, removeSymbols},
    {countOf<listResults>, removeResults},
    {countOf<listOperations>, removeOperations},
    {countOf<listUnusedArguments>, removeArguments},
    {countOf<listAttributes>, removeAttributes},
    {countOf<listConstants>, removeConstants}};

ReduceCounts mlir::fdpp::reduce(Reproducer &reproducer, const Judge &judge) {
  Reducer reducer(reproducer, judge);
  for (bool changed = true; changed;) {
    changed = reducer.dropPasses();
    for (const Strategy &strategy : kStrategies)
      changed |= reducer.apply(strategy);
  }
  return reducer.getCounts();
}
