// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "fdpp/Target/Common/EpiloguePrinter.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace mlir::fdpp;
using ::fdpp::binary;
using ::fdpp::Capture;
using ::fdpp::CommentedLines;
using ::fdpp::elementType;
using ::fdpp::Expr;
using ::fdpp::printCall;
using ::fdpp::scaled;

namespace fdpp {

std::string valueName(Value value) {
  if (Operation *def = value.getDefiningOp())
    if (auto name = def->getAttrOfType<StringAttr>("fdpp.name"))
      return name.str();
  if (auto weight = value.getDefiningOp<WeightAtOp>())
    return weight.getWeight().str();
  auto argument = dyn_cast<BlockArgument>(value);
  auto func = argument
                  ? dyn_cast<func::FuncOp>(argument.getOwner()->getParentOp())
                  : func::FuncOp();
  // What is not in memory is the number of the layer, or computed from it.
  if (!func)
    return "layer";
  return func.getArgAttrOfType<StringAttr>(argument.getArgNumber(), kRoleAttr)
      .str();
}

SmallVector<Capture> epilogueCaptures(EpilogueInterface op, unsigned i) {
  Region &region = op.getEpilogues()[i];
  SmallVector<Capture> captures;
  // What the body calls its own values and the functions that it calls.
  llvm::StringSet<> names;
  for (StringRef reserved : {"value", "partner", "row", "column", "columns",
                             "lanes", "old", "at", "v", "load", "store"})
    names.insert(reserved);
  auto add = [&](Value value) {
    if (region.isAncestor(value.getParentRegion()) ||
        llvm::any_of(captures, [&](auto &c) { return c.value == value; }))
      return;
    // Constants outside of the region print as literals.
    if (value.getDefiningOp<arith::ConstantOp>())
      return;
    std::string base = valueName(value), name = base;
    for (unsigned n = 2; !names.insert(name).second; ++n)
      name = base + std::to_string(n);
    captures.push_back({value, name});
  };
  add(op.getOuts()[op.getSegment(i).getDest()]);
  for (Operation &inner : region.front())
    for (Value operand : inner.getOperands())
      add(operand);
  return captures;
}

} // namespace fdpp

namespace {

/// Prints one epilogue's body. Values used more than once get a local name,
/// all others stand where they are used.
class BodyPrinter {
public:
  BodyPrinter(EpilogueInterface op, unsigned i, raw_ostream &os)
      : op(op), segment(op.getSegment(i)), body(op.getEpilogues()[i].front()),
        os(os), captures(::fdpp::epilogueCaptures(op, i)) {
    const char *names[] = {"value", "partner", "row", "column"};
    for (auto [argument, name] : llvm::zip(body.getArguments(), names))
      known[argument] = Expr{name};
    for (const Capture &capture : captures)
      known[capture.value] = Expr{capture.name};
    known[body.getArguments().back()] = Expr{"old"};
  }

  void print() {
    Value old = body.getArguments().back();
    if (placeIsNamed())
      os << "    " << elementType(destinationType().getElementType())
         << " *at = " << destination() << ";\n";
    if (!old.use_empty())
      known[old] = Expr{"load(at, lanes)"};
    if (!old.use_empty() && !old.hasOneUse()) {
      os << "    V old = load(at, lanes);\n";
      known[old] = Expr{"old"};
    }
    for (Operation &inner : body.without_terminator())
      if (inner.getNumResults() == 1 && needsName(inner))
        name(inner);
    TypeSwitch<Operation *>(body.getTerminator())
        .Case([&](StoreOp store) { printStore(store); })
        .Case([&](KVStoreOp store) { printKVStore(store); });
  }

private:
  /// Loads used twice and arithmetic on vectors used twice.
  static bool needsName(Operation &op) {
    return !op.getResult(0).use_empty() && !op.getResult(0).hasOneUse() &&
           !isa<arith::ConstantOp, arith::TruncFOp>(op) &&
           !op.getResult(0).getType().isIndex();
  }

  void name(Operation &inner) {
    Value result = inner.getResult(0);
    Expr text = expression(result);
    std::string base = "v";
    if (auto loaded = dyn_cast<memref::LoadOp>(inner))
      base = known.lookup(loaded.getMemRef()).text + "_at";
    std::string local = base;
    for (unsigned n = 2; !locals.insert(local).second; ++n)
      local = base + std::to_string(n);
    StringRef type = isVector(result)           ? "V"
                     : result.getType().isF32() ? "float"
                                                : "int";
    os << "    " << type << " " << local << " = " << text.text << ";\n";
    known[result] = Expr{local};
  }

  /// True if the value differs between the columns of a vector.
  bool isVector(Value value) {
    if (value == body.getArgument(0) || value == body.getArgument(1) ||
        value == body.getArgument(3) || value == body.getArgument(4))
      return true;
    Operation *def = value.getDefiningOp();
    return def && def->getBlock() == &body &&
           llvm::any_of(def->getOperands(),
                        [&](Value operand) { return isVector(operand); });
  }

  Expr expression(Value value) {
    if (auto found = known.find(value); found != known.end())
      return found->second;
    Operation *def = value.getDefiningOp();
    auto operand = [&](Value v) { return expression(v); };
    if (auto text = ::fdpp::arithmetic(def, operand))
      return *text;
    if (auto activation = dyn_cast<ScalarActivationOp>(def))
      return {stringifyActivationKind(activation.getActivation()).str() + "(" +
              expression(activation.getInput()).text + ")"};
    return loadExpression(cast<memref::LoadOp>(def));
  }

  /// buffer[row] for a number, load(buffer + row * 8 + column, lanes) for the
  /// columns of a vector.
  Expr loadExpression(memref::LoadOp load) {
    std::string base = known.lookup(load.getMemRef()).text;
    Expr offset{"0"};
    int64_t stride = 1;
    auto shape = load.getMemRefType().getShape();
    for (int64_t i = shape.size() - 1; i >= 0; --i) {
      Expr index = scaled(expression(load.getIndices()[i]), stride);
      offset = binary(index, "+", offset);
      if (i > 0) // the outermost extent may be unknown and is not needed
        stride *= shape[i];
    }
    if (!isVector(load.getResult()))
      return {base + "[" + offset.text + "]"};
    return {"load(" + binary(Expr{base}, "+", offset).text + ", lanes)"};
  }

  MemRefType destinationType() {
    return cast<MemRefType>(op.getOuts()[segment.getDest()].getType());
  }

  /// True if the destination's element is named, since it is used twice.
  bool placeIsNamed() {
    auto store = dyn_cast<StoreOp>(body.getTerminator());
    return store && (store.getValues().size() > 1 ||
                     !body.getArguments().back().use_empty());
  }

  /// Pointer to the destination's element.
  std::string destination() {
    Expr row = scaled(Expr{"row"}, destinationType().getDimSize(1));
    return captures[0].name + " + " + row.text + " + column";
  }

  std::string halfFurther() {
    return " + " + std::to_string(segment.getGroup() / 2);
  }

  void printStore(StoreOp store) {
    std::string place = placeIsNamed() ? "at" : destination();
    for (auto [i, value] : llvm::enumerate(store.getValues()))
      printCall(
          os, 4, "store",
          {place + (i ? halfFurther() : ""), expression(value).text, "lanes"});
  }

  void printKVStore(KVStoreOp store) {
    bool key = store.getPlane() == CachePlane::Key;
    std::string call = key ? "kv_store_key" : "kv_store_value";
    SmallVector<std::string> place = {captures[0].name,
                                      expression(store.getLayer()).text,
                                      expression(store.getSlot()).text};
    std::string dims = std::to_string(destinationType().getDimSize(5));
    bool columns = segment.getPartner() == PartnerKind::None;
    for (auto [i, value] : llvm::enumerate(store.getValues())) {
      SmallVector<std::string> arguments = place;
      if (columns) {
        arguments.push_back("column");
      } else {
        arguments.push_back("column / " + dims);
        arguments.push_back("column % " + dims + (i ? halfFurther() : ""));
      }
      arguments.append({expression(value).text, "lanes"});
      printCall(os, 4, call + (columns ? "_columns" : ""), arguments);
    }
  }

  EpilogueInterface op;
  SegmentAttr segment;
  Block &body;
  raw_ostream &os;
  SmallVector<Capture> captures;
  DenseMap<Value, Expr> known;
  llvm::StringSet<> locals;
};

void addField(CommentedLines &fields, const Capture &capture, bool written) {
  auto type = dyn_cast<MemRefType>(capture.value.getType());
  if (!type) {
    bool isFloat = isa<FloatType>(capture.value.getType());
    fields.add((isFloat ? "float " : "int ") + capture.name + ";", "");
    return;
  }
  if (type.getRank() == 6) {
    fields.add("KvCache " + capture.name + ";", "");
    return;
  }
  std::string shape;
  for (int64_t size : type.getShape())
    shape +=
        "[" + (ShapedType::isDynamic(size) ? "T" : std::to_string(size)) + "]";
  fields.add((written ? "" : "const ") +
                 elementType(type.getElementType()).str() + " *" +
                 capture.name + ";",
             shape);
}

} // namespace

namespace fdpp {

/// What becomes of the values, in a reader's words; "" for a plain store.
static StringRef summaryOf(SegmentAttr segment, Block &body) {
  bool rotates = segment.getPartner() == PartnerKind::Half;
  if (auto store = dyn_cast<KVStoreOp>(body.getTerminator())) {
    if (store.getPlane() == CachePlane::Value)
      return "Values, into the cache.";
    return rotates ? "Rotated keys, into the cache." : "Keys, into the cache.";
  }
  if (rotates)
    return "Rotates the halves of each head.";
  if (segment.getPartner() == PartnerKind::GateUp)
    return "Gate and up become one value.";
  if (!body.getArguments().back().use_empty())
    return "Adds to what the destination holds.";
  return "";
}

void printEpilogue(EpilogueInterface op, unsigned i, StringRef qualifier,
                   raw_ostream &os) {
  SegmentAttr segment = op.getSegment(i);
  bool paired = segment.getPartner() == PartnerKind::GateUp;
  auto names = op->getAttrOfType<ArrayAttr>("fdpp.epilogues");
  Block &body = op.getEpilogues()[i].front();
  if (StringRef summary = summaryOf(segment, body); !summary.empty())
    os << "/// " << summary << "\n";
  os << "struct " << cast<StringAttr>(names[i]).getValue() << " {\n"
     << "  static constexpr Partner partner = Partner::"
     << stringifyPartnerKind(segment.getPartner()) << ";\n"
     << "  static constexpr int columns = "
     << segment.getColumns() / (paired ? 2 : 1);
  if (segment.getPartner() == PartnerKind::Half)
    os << ", group = " << segment.getGroup();
  os << ";\n";
  CommentedLines fields(2);
  for (auto [n, capture] : llvm::enumerate(epilogueCaptures(op, i)))
    addField(fields, capture, /*written=*/n == 0);
  fields.print(os);
  bool partner = segment.getPartner() != PartnerKind::None;
  os << "\n  template <class V>\n";
  printCall(os, 2, (qualifier + "void operator()").str(),
            {"V value", partner ? "V partner" : "V", "int row", "int column",
             "auto lanes"},
            " const {");
  BodyPrinter(op, i, os).print();
  os << "  }\n};\n";
}

} // namespace fdpp
