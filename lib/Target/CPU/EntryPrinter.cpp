// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "EntryPrinter.h"

#include "fdpp/Engine/StoredWeight.h"
#include "fdpp/Target/Common/EpiloguePrinter.h"
#include "kernels/common/packing.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/StringSwitch.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace mlir::fdpp;
using ::fdpp::elementType;
using ::fdpp::EntryPrinter;
using ::fdpp::Expr;
using ::fdpp::floatLiteral;
using ::fdpp::Precedence;

static MemRefType bufferType(Value value) {
  return cast<MemRefType>(value.getType());
}

static std::string width(Value value) {
  return std::to_string(bufferType(value).getShape().back());
}

//===----------------------------------------------------------------------===//
// Values.
//===----------------------------------------------------------------------===//

/// The field of the step that an argument with this role is.
static std::string stepField(StringRef role) {
  return llvm::StringSwitch<std::string>(role)
      .Case("decode_seqs", "step.decode_seqs")
      .Case("seq_offsets", "step.batch.seq_offsets")
      .Case("context", "step.batch.context")
      .Case("pages", "step.batch.pages")
      .Default("step." + role.str());
}

static std::string countOf(StringRef role) {
  return llvm::StringSwitch<std::string>(role)
      .Cases({"tokens", "positions"}, "step.num_tokens")
      .Cases({"rows", "logits"}, "step.num_rows")
      .Default("step.num_seqs");
}

static StringRef roleOf(BlockArgument argument) {
  auto func = cast<func::FuncOp>(argument.getOwner()->getParentOp());
  return func.getArgAttrOfType<StringAttr>(argument.getArgNumber(), kRoleAttr)
      .getValue();
}

static bool isEntryArgument(Value value) {
  auto argument = dyn_cast<BlockArgument>(value);
  return argument && isa<func::FuncOp>(argument.getOwner()->getParentOp());
}

Expr EntryPrinter::value(Value v) {
  if (isEntryArgument(v))
    return {stepField(roleOf(cast<BlockArgument>(v)))};
  if (isa<BlockArgument>(v))
    return {"layer"};
  Operation *def = v.getDefiningOp();
  if (auto text = ::fdpp::arithmetic(
          def, [&](Value operand) { return value(operand); }))
    return *text;
  if (auto dim = dyn_cast<memref::DimOp>(def))
    return {rows(dim.getSource())};
  if (auto at = dyn_cast<WeightAtOp>(def)) {
    Expr base{"weights." + at.getWeight().str()};
    if (!at.getLayer())
      return base;
    auto weight =
        SymbolTable::lookupNearestSymbolFrom<WeightOp>(at, at.getWeightAttr());
    // 64 bits: a bank is larger than an int counts.
    Expr stride{std::to_string(getStoredLayerElements(weight)) + "l"};
    return binary(base, "+", binary(value(at.getLayer()), "*", stride));
  }
  return {::fdpp::valueName(v)};
}

std::string EntryPrinter::rows(Value v) {
  if (isEntryArgument(v))
    return countOf(roleOf(cast<BlockArgument>(v)));
  auto view = v.getDefiningOp<memref::ViewOp>();
  return value(view.getSizes().front()).text;
}

std::string EntryPrinter::batch(Value firstSeq, Value endSeq) {
  if (!firstSeq)
    return "step.batch";
  return "step.batch.range(" + value(firstSeq).text + ", " +
         value(endSeq).text + ")";
}

//===----------------------------------------------------------------------===//
// Kernels.
//===----------------------------------------------------------------------===//

std::string EntryPrinter::prologue(FusedLinearOp op) {
  Value x = op.getInput();
  StringRef type = elementType(bufferType(x).getElementType());
  std::string text = (op.getGamma() ? "RmsNorm<" : "Rows<") + width(x) +
                     (type == "float" ? "" : ", " + type.str()) + ">{" +
                     value(x).text;
  if (op.getGamma())
    text += ", " + value(op.getGamma()).text + ", " +
            floatLiteral(op.getEps()->convertToDouble());
  return text + "}";
}

std::string EntryPrinter::epilogue(FusedLinearOp op, unsigned i) {
  auto names = op->getAttrOfType<ArrayAttr>("fdpp.epilogues");
  std::string text = cast<StringAttr>(names[i]).str() + "{";
  llvm::ListSeparator comma;
  for (const ::fdpp::Capture &capture : ::fdpp::epilogueCaptures(op, i)) {
    text += StringRef(comma);
    text += value(capture.value).text;
  }
  return text + "}";
}

void EntryPrinter::printLinear(FusedLinearOp op, unsigned indent) {
  VariantAttr variant = *op.getVariant();
  std::string pad(indent + 4, ' ');
  os.indent(indent) << "linear<Variant<" << variant.getTokens() << ", "
                    << variant.getPrefetch() << ">>(team, "
                    << rows(op.getInput()) << ",\n"
                    << pad << prologue(op) << ",\n"
                    << pad << value(op.getWeight()).text << ", step.scratch";
  for (unsigned i = 0; i < op.getEpilogues().size(); ++i)
    os << ",\n" << pad << epilogue(op, i);
  os << ");\n";
}

std::string EntryPrinter::attentionCall(Operation *op, StringRef kernel,
                                        bool scratch) {
  auto call = [&](auto attention) {
    MemRefType cache = bufferType(attention.getCache());
    int64_t heads =
        bufferType(attention.getQ()).getDimSize(1) / cache.getDimSize(5);
    std::string options =
        "{.scale = " + floatLiteral(attention.getScale().convertToDouble());
    if (attention.getWindow() != 0)
      options += ", .window = " + std::to_string(attention.getWindow());
    if (double cap = attention.getSoftcap().convertToDouble(); cap != 0)
      options += ", .softcap = " + floatLiteral(cap);
    return kernel.str() + "<" + std::to_string(heads) + ">(team, " +
           batch(attention.getFirstSeq(), attention.getEndSeq()) + ", " +
           value(attention.getLayer()).text + ", " +
           value(attention.getQ()).text + ", step.cache, " + options + "}, " +
           (scratch ? "step.scratch, " : "") +
           value(attention.getOuts()[0]).text + ")";
  };
  if (auto prefill = dyn_cast<PrefillAttentionOp>(op))
    return call(prefill);
  return call(cast<DecodeAttentionOp>(op));
}

std::string EntryPrinter::callText(Operation *op) {
  auto text = [&](Value v) { return value(v).text; };
  return TypeSwitch<Operation *, std::string>(op)
      .Case([&](TokenSlotsOp slots) {
        return "token_slots<" + std::to_string(slots.getPageTokens()) +
               ">(team, step.batch, " + text(slots.getOuts()[0]) + ")";
      })
      .Case([&](RopeTableOp table) {
        std::string call =
            "rope_table<" + width(table.getInvFreq()) + ">(team, " +
            rows(table.getPositions()) + ", " + text(table.getPositions()) +
            ", " + text(table.getInvFreq()) + ", " + text(table.getOuts()[0]) +
            ", " + text(table.getOuts()[1]);
        double magnitude = table.getMagnitude().convertToDouble();
        return call + (magnitude == 1 ? "" : ", " + floatLiteral(magnitude)) +
               ")";
      })
      .Case([&](EmbedOp embed) {
        auto at = embed.getTable().getDefiningOp<WeightAtOp>();
        auto weight = SymbolTable::lookupNearestSymbolFrom<WeightOp>(
            at, at.getWeightAttr());
        return std::string("embed<Table::") +
               (weight.getLayout() ? "packed" : "rows") + ", " +
               width(embed.getTable()) + ">(team, " + rows(embed.getTokens()) +
               ", " + text(embed.getTokens()) + ", " + text(embed.getTable()) +
               ", " + text(embed.getOuts()[0]) + ")";
      })
      .Case([&](SelectRowsOp select) {
        return "select_rows<" + width(select.getInput()) + ">(team, " +
               rows(select.getRows()) + ", " + text(select.getRows()) + ", " +
               text(select.getInput()) + ", " + text(select.getOuts()[0]) + ")";
      })
      .Case([&](RMSNormOp norm) {
        return "rms_norm<" + width(norm.getInput()) + ">(team, " +
               rows(norm.getInput()) + ", " + text(norm.getInput()) + ", " +
               text(norm.getGamma()) + ", " +
               floatLiteral(norm.getEps().convertToDouble()) + ", " +
               text(norm.getOuts()[0]) + ")";
      })
      .Case([&](PrefillAttentionOp) {
        return attentionCall(op, "prefill_attention", false);
      })
      .Case([&](DecodeAttentionOp) {
        return attentionCall(op, "decode_attention", true);
      })
      .Default([](Operation *) { return std::string(); });
}

//===----------------------------------------------------------------------===//
// Structure.
//===----------------------------------------------------------------------===//

void EntryPrinter::printLoop(scf::ForOp loop, unsigned indent) {
  os.indent(indent) << "for (int layer = " << value(loop.getLowerBound()).text
                    << "; layer < " << value(loop.getUpperBound()).text << "; ";
  std::string step = value(loop.getStep()).text;
  os << (step == "1" ? "++layer" : "layer += " + step) << ") {\n";
  printBlock(*loop.getBody(), indent + 2);
  os.indent(indent) << "}\n";
}

void EntryPrinter::printDispatch(DispatchOp dispatch, unsigned indent) {
  ArrayRef<int64_t> limits = dispatch.getLimits();
  if (limits.empty())
    return printBlock(dispatch.getVariants()[0].front(), indent);
  for (auto [i, region] : llvm::enumerate(dispatch.getVariants())) {
    if (i == 0)
      os.indent(indent);
    else
      os << " else ";
    if (i < limits.size())
      os << "if (" << value(dispatch.getRows()).text << " <= " << limits[i]
         << ") ";
    os << "{\n";
    printBlock(region.front(), indent + 2);
    os.indent(indent) << "}";
  }
  os << "\n";
}

void EntryPrinter::printBlock(Block &block, unsigned indent) {
  for (Operation &op : block)
    TypeSwitch<Operation *>(&op)
        .Case([&](scf::ForOp loop) { printLoop(loop, indent); })
        .Case([&](DispatchOp dispatch) { printDispatch(dispatch, indent); })
        .Case([&](FusedLinearOp linear) { printLinear(linear, indent); })
        .Default([&](Operation *other) {
          if (std::string call = callText(other); !call.empty())
            os.indent(indent) << call << ";\n";
        });
}

/// Declares every buffer, by its place in the workspace.
void EntryPrinter::printBuffers() {
  func.walk([&](memref::ViewOp view) {
    StringRef type = elementType(view.getType().getElementType());
    os << "  " << type << " *" << ::fdpp::valueName(view) << " = step.at<"
       << type << ">(" << value(view.getByteShift()).text << "); // ["
       << value(view.getSizes().front()).text << "]";
    for (int64_t size : view.getType().getShape().drop_front())
      os << "[" << size << "]";
    os << "\n";
  });
}

void EntryPrinter::print() {
  os << "void " << func.getName()
     << "(Team &team, const Weights &weights, const Step<KvCache> &step) {\n";
  printBuffers();
  os << "\n";
  printBlock(func.front(), 2);
  os << "}\n";
}
