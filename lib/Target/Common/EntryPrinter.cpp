// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "EntryPrinter.h"

#include "EntryValues.h"
#include "KernelCalls.h"
#include "fdpp/Target/Common/EpiloguePrinter.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace mlir::fdpp;
using ::fdpp::Call;
using ::fdpp::elementType;
using ::fdpp::EntryPrinter;
using ::fdpp::valueText;

//===----------------------------------------------------------------------===//
// Headings.
//===----------------------------------------------------------------------===//

/// True for the linear that a layer begins with.
static bool writesCache(Operation *op) {
  return op->walk([](KVStoreOp) { return WalkResult::interrupt(); })
      .wasInterrupted();
}

static bool addsToDestination(EpilogueInterface op) {
  return llvm::any_of(op.getEpilogues(), [](Region &region) {
    return !region.front().getArguments().back().use_empty();
  });
}

/// The rows that a linear, or its decomposition, reads.
static Value inputOf(EpilogueInterface op) {
  if (auto linear = dyn_cast<FusedLinearOp>(*op))
    return linear.getInput();
  for (Operation &part : *op->getBlock())
    if (auto prologue = dyn_cast<PrologueOp>(part))
      return prologue.getInput();
  return {};
}

static bool readsAttention(EpilogueInterface op) {
  Value input = inputOf(op);
  return input && llvm::any_of(input.getUsers(), [](Operation *user) {
           return isa<PrefillAttentionOp, DecodeAttentionOp, RecomputeRowsOp>(
               user);
         });
}

static bool hasGate(EpilogueInterface op) {
  for (unsigned i = 0; i < op.getSegments().size(); ++i)
    if (op.getSegment(i).getPartner() == PartnerKind::GateUp)
      return true;
  return false;
}

/// What part of the model begins with an operation, in a reader's words.
static StringRef headingOf(Operation *op) {
  if (auto dispatch = dyn_cast<DispatchOp>(op))
    for (Operation &inner : dispatch.getVariants()[0].front())
      if (isa<EpilogueInterface>(inner))
        return headingOf(&inner);
  if (isa<PrefillAttentionOp, AsyncSoftmaxPrefillAttentionOp>(op) &&
      !isa<DecodeAttentionOp, RecomputeRowsOp>(op->getPrevNode()))
    return "Attention.";
  if (isa<DecodeAttentionOp, AsyncSoftmaxDecodeAttentionOp>(op))
    return "Attention.";
  if (isa<SelectRowsOp>(op))
    return "Logits of the wanted rows.";
  auto linear = dyn_cast<EpilogueInterface>(op);
  if (!linear)
    return "";
  if (writesCache(linear))
    return "Queries; keys and values, into the cache.";
  if (hasGate(linear))
    return "Feed-forward: gate and up.";
  if (readsAttention(linear))
    return addsToDestination(linear)
               ? "Output of attention, onto the residual stream."
               : "Output of attention.";
  return addsToDestination(linear) ? "Down, onto the residual stream." : "";
}

//===----------------------------------------------------------------------===//
// Structure.
//===----------------------------------------------------------------------===//

/// The number of rows, what becomes of them on their way in, the weights, and
/// each epilogue: a line each.
void EntryPrinter::printLinear(FusedLinearOp op, StringRef kernel,
                               unsigned indent) {
  os.indent(indent) << kernel << "(" << target.context << ", "
                    << rowsText(op.getInput()) << ",\n";
  Call rows = prologueObject(op);
  printCall(os, indent + 4, rows.head, rows.arguments, ",", "{}");
  os.indent(indent + 4) << valueText(op.getWeight()).text
                        << ", step.scratch,\n";
  printEpilogues(op, indent);
}

void EntryPrinter::printEpilogues(EpilogueInterface op, unsigned indent) {
  unsigned last = op.getEpilogues().size() - 1;
  for (unsigned i = 0; i <= last; ++i) {
    Call epilogue = epilogueObject(op, i);
    printCall(os, indent + 4, epilogue.head, epilogue.arguments,
              i < last ? "," : ");", "{}");
  }
}

void EntryPrinter::printLoop(scf::ForOp loop, unsigned indent) {
  os << "\n";
  os.indent(indent) << "for (int layer = "
                    << valueText(loop.getLowerBound()).text << "; layer < "
                    << valueText(loop.getUpperBound()).text << "; ";
  std::string step = valueText(loop.getStep()).text;
  os << (step == "1" ? "++layer" : "layer += " + step) << ") {\n";
  printBlock(*loop.getBody(), indent + 2);
  os.indent(indent) << "}\n\n";
}

void EntryPrinter::printDispatch(DispatchOp dispatch, unsigned indent) {
  ArrayRef<int64_t> limits = dispatch.getLimits();
  if (limits.empty())
    return printBlock(dispatch.getVariants()[0].front(), indent);
  if (auto variants = dispatch->getAttrOfType<StringAttr>("fdpp.name");
      variants && !rangesOf(dispatch).empty())
    return printLinear(
        cast<FusedLinearOp>(dispatch.getVariants()[0].front().front()),
        "linear_by_tokens<" + variants.str() + ">", indent);
  for (auto [i, region] : llvm::enumerate(dispatch.getVariants())) {
    if (i == 0)
      os.indent(indent);
    else
      os << " else ";
    if (i < limits.size())
      os << "if (" << valueText(dispatch.getRows()).text << " <= " << limits[i]
         << ") ";
    os << "{\n";
    printBlock(region.front(), indent + 2);
    os.indent(indent) << "}";
  }
  os << "\n";
}

/// What a kernel is called in profiles: the weight that a linear reads, else
/// what it does. Of a dispatch, which is a linear in any of its variants.
static StringRef kernelName(Operation *op) {
  if (auto dispatch = dyn_cast<DispatchOp>(op)) {
    for (Operation &inner : dispatch.getVariants()[0].front())
      if (isa<FusedLinearOp, LibraryGemmOp>(inner))
        return kernelName(&inner);
  }
  if (auto linear = dyn_cast<FusedLinearOp>(op))
    return linear.getWeight().getDefiningOp<WeightAtOp>().getWeight();
  if (auto gemm = dyn_cast<LibraryGemmOp>(op))
    return gemm.getWeight().getDefiningOp<WeightAtOp>().getWeight();
  if (isa<EmbedOp>(op))
    return "embedding"; // its table may be a linear's weight, too
  StringRef name = op->getName().stripDialect();
  name.consume_front("async_softmax_");
  return name;
}

/// Says that a kernel is done, to who measures them.
void EntryPrinter::printDone(Operation *op, unsigned indent) {
  Operation *loop = op->getParentOfType<scf::ForOp>();
  os.indent(indent) << target.context << ".done(\"" << kernelName(op) << "\", "
                    << (loop ? "layer" : "-1") << ");\n";
}

void EntryPrinter::printBlock(Block &block, unsigned indent) {
  bool printed = false;
  for (Operation &op : block) {
    // What the regions of a dispatch compute stands above it, and is one
    // kernel.
    bool isPart = isa<DispatchOp>(block.getParentOp());
    bool isKernel = !isPart;
    if (StringRef heading = headingOf(&op); !isPart && !heading.empty()) {
      if (writesCache(&op) && printed)
        os << "\n";
      os.indent(indent) << "// " << heading << "\n";
      printed = true;
    }
    TypeSwitch<Operation *>(&op)
        .Case([&](scf::ForOp loop) {
          printLoop(loop, indent);
          isKernel = false;
        })
        .Case([&](DispatchOp dispatch) { printDispatch(dispatch, indent); })
        .Case([&](FusedLinearOp linear) {
          printLinear(linear,
                      "linear<" + variantText(*linear.getVariant()) + ">",
                      indent);
        })
        .Case([&](EpilogueOp epilogue) {
          os.indent(indent) << "epilogue(" << target.context << ", "
                            << rowsText(epilogue.getSums()) << ", "
                            << valueText(epilogue.getSums()).text << ",\n";
          printEpilogues(epilogue, indent);
        })
        .Default([&](Operation *other) {
          if (std::optional<Call> call = kernelCall(other, target))
            printCall(os, indent, call->head, call->arguments);
          else
            isKernel = false;
        });
    if (isKernel)
      printDone(&op, indent);
    taps.printCalls(&op, target.context, os, indent);
  }
}

/// Declares every buffer, by its place in the workspace.
void EntryPrinter::printBuffers() {
  CommentedLines lines(2);
  func.walk([&](memref::ViewOp view) {
    StringRef type = elementType(view.getType().getElementType());
    std::string shape = "[" + valueText(view.getSizes().front()).text + "]";
    for (int64_t size : view.getType().getShape().drop_front())
      shape += "[" + std::to_string(size) + "]";
    lines.add(type.str() + " *" + valueName(view) + " = step.at<" + type.str() +
                  ">(" + valueText(view.getByteShift()).text + ");",
              shape);
  });
  lines.print(os);
}

void EntryPrinter::print() {
  bool anyContext = !target.anyContext.empty();
  if (anyContext)
    os << "template <class Context>\n";
  printCall(
      os, 0, (target.anyContext + "void " + func.getName()).str(),
      {((anyContext ? "Context &" : target.contextType) + target.context).str(),
       "const Weights &weights", "const Step<KvCache> &step"},
      " {");
  os << "  const int tokens = step.num_tokens;\n";
  printBuffers();
  os << "\n";
  printBlock(func.front(), 2);
  os << "}\n";
}
