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
using ::fdpp::Expr;
using ::fdpp::Precedence;

namespace fdpp {

std::string valueName(Value value) {
  if (auto view = value.getDefiningOp<memref::ViewOp>())
    return view->getAttrOfType<StringAttr>("fdpp.name").str();
  if (auto weight = value.getDefiningOp<WeightAtOp>())
    return weight.getWeight().str();
  auto argument = cast<BlockArgument>(value);
  if (auto func = dyn_cast<func::FuncOp>(argument.getOwner()->getParentOp()))
    return func.getArgAttrOfType<StringAttr>(argument.getArgNumber(), kRoleAttr)
        .str();
  return "layer";
}

SmallVector<Capture> epilogueCaptures(FusedLinearOp op, unsigned i) {
  Region &region = op.getEpilogues()[i];
  SmallVector<Capture> captures;
  auto add = [&](Value value) {
    if (region.isAncestor(value.getParentRegion()) ||
        llvm::any_of(captures, [&](auto &c) { return c.value == value; }))
      return;
    // Constants outside of the region print as literals.
    if (value.getDefiningOp<arith::ConstantOp>())
      return;
    captures.push_back({value, valueName(value)});
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
  BodyPrinter(FusedLinearOp op, unsigned i, raw_ostream &os)
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
    if (!body.getArguments().back().use_empty())
      os << "    V old = load(" << destination("") << ", lanes);\n";
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
           !isa<arith::ConstantOp>(op) && !op.getResult(0).getType().isIndex();
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
    bool vector = !isa<memref::LoadOp>(inner) || isVector(result);
    os << "    " << (vector ? "V " : "int ") << local << " = " << text.text
       << ";\n";
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
      Expr index = binary(expression(load.getIndices()[i]), "*",
                          Expr{std::to_string(stride)});
      offset = binary(index, "+", offset);
      stride *= shape[i];
    }
    if (!isVector(load.getResult()))
      return {base + "[" + offset.text + "]"};
    return {"load(" + binary(Expr{base}, "+", offset).text + ", lanes)"};
  }

  /// Pointer to the destination's element, `further` columns on.
  std::string destination(StringRef further) {
    auto type = cast<MemRefType>(op.getOuts()[segment.getDest()].getType());
    return captures[0].name + " + row * " + std::to_string(type.getDimSize(1)) +
           " + column" + further.str();
  }

  std::string halfFurther() {
    return " + " + std::to_string(segment.getGroup() / 2);
  }

  void printStore(StoreOp store) {
    for (auto [i, value] : llvm::enumerate(store.getValues()))
      os << "    store(" << destination(i ? halfFurther() : "") << ", "
         << expression(value).text << ", lanes);\n";
  }

  void printKVStore(KVStoreOp store) {
    bool key = store.getPlane() == CachePlane::Key;
    std::string call = key ? "kv_store_key" : "kv_store_value";
    std::string head = captures[0].name + ", " +
                       expression(store.getLayer()).text + ", " +
                       expression(store.getSlot()).text + ", ";
    auto type = cast<MemRefType>(op.getOuts()[segment.getDest()].getType());
    std::string dims = std::to_string(type.getDimSize(5));
    if (segment.getPartner() == PartnerKind::None) {
      os << "    " << call << "_columns(" << head << "column, "
         << expression(store.getValues()[0]).text << ", lanes);\n";
      return;
    }
    for (auto [i, value] : llvm::enumerate(store.getValues()))
      os << "    " << call << "(" << head << "column / " << dims
         << ", column % " << dims << (i ? halfFurther() : "") << ",\n        "
         << expression(value).text << ", lanes);\n";
  }

  FusedLinearOp op;
  SegmentAttr segment;
  Block &body;
  raw_ostream &os;
  SmallVector<Capture> captures;
  DenseMap<Value, Expr> known;
  llvm::StringSet<> locals;
};

void printField(const Capture &capture, bool written, raw_ostream &os) {
  auto type = dyn_cast<MemRefType>(capture.value.getType());
  if (!type) {
    os << "  int " << capture.name << ";\n";
    return;
  }
  if (type.getRank() == 6) {
    os << "  KvCache " << capture.name << ";\n";
    return;
  }
  os << "  " << (written ? "" : "const ")
     << ::fdpp::elementType(type.getElementType()) << " *" << capture.name
     << "; // ";
  for (int64_t size : type.getShape())
    os << "["
       << (ShapedType::isDynamic(size) ? std::string("T")
                                       : std::to_string(size))
       << "]";
  os << "\n";
}

} // namespace

namespace fdpp {

void printEpilogue(FusedLinearOp op, unsigned i, raw_ostream &os) {
  SegmentAttr segment = op.getSegment(i);
  bool paired = segment.getPartner() == PartnerKind::GateUp;
  auto names = op->getAttrOfType<ArrayAttr>("fdpp.epilogues");
  os << "struct " << cast<StringAttr>(names[i]).getValue() << " {\n"
     << "  static constexpr Partner partner = Partner::"
     << stringifyPartnerKind(segment.getPartner()) << ";\n"
     << "  static constexpr int columns = "
     << segment.getColumns() / (paired ? 2 : 1);
  if (segment.getPartner() == PartnerKind::Half)
    os << ", group = " << segment.getGroup();
  os << ";\n";
  bool first = true;
  for (const Capture &capture : epilogueCaptures(op, i)) {
    printField(capture, first, os);
    first = false;
  }
  bool partner = segment.getPartner() != PartnerKind::None;
  os << "\n  template <class V>\n  void operator()(V value, V"
     << (partner ? " partner" : "")
     << ", int row, int column, int lanes) const {\n";
  BodyPrinter(op, i, os).print();
  os << "  }\n};\n";
}

} // namespace fdpp
