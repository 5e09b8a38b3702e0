// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "Taps.h"

#include "EntryValues.h"
#include "fdpp/Dialect/FDPP/IR/Provenance.h"
#include "fdpp/Target/Common/EpiloguePrinter.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace mlir::fdpp;
using ::fdpp::Call;
using ::fdpp::Taps;

//===----------------------------------------------------------------------===//
// What an operation is.
//===----------------------------------------------------------------------===//

/// The end of the linear that an operation of an entry is, whatever its
/// variant.
static EpilogueInterface linearOf(Operation *op) {
  if (auto dispatch = dyn_cast<DispatchOp>(op))
    for (Operation &inner : dispatch.getVariants()[0].front())
      if (auto linear = dyn_cast<EpilogueInterface>(inner))
        return linear;
  return dyn_cast<EpilogueInterface>(op);
}

/// The weight of a linear, or of its decomposition; null if that has no GEMM.
static Value weightOf(EpilogueInterface linear) {
  if (auto fused = dyn_cast<FusedLinearOp>(*linear))
    return fused.getWeight();
  for (Operation &part : *linear->getBlock())
    if (auto gemm = dyn_cast<LibraryGemmOp>(part))
      return gemm.getWeight();
  return {};
}

static Value layerOfAttention(Operation *op) {
  return TypeSwitch<Operation *, Value>(op)
      .Case<PrefillAttentionOp, DecodeAttentionOp,
            AsyncSoftmaxDecodeAttentionOp, AsyncSoftmaxPrefillAttentionOp,
            RecomputeRowsOp, KVAppendOp>(
          [](auto typed) -> Value { return typed.getLayer(); })
      .Default([](Operation *) { return Value(); });
}

static bool addsToDestination(EpilogueInterface op) {
  return llvm::any_of(op.getEpilogues(), [](Region &region) {
    return !region.front().getArguments().back().use_empty();
  });
}

/// The text of the layer of the next attention, "-1" without one.
static std::string nextLayer(Block::iterator at, Block &block) {
  for (; at != block.end(); ++at)
    if (Value layer = layerOfAttention(&*at))
      return ::fdpp::valueText(layer).text;
  return "-1";
}

/// The result of a kernel that is no linear: what it stores in one buffer.
static Value storedBy(Operation *op) {
  if (isa<PrefillAttentionOp, DecodeAttentionOp, RecomputeRowsOp>(op)) {
    // The attention of decoding sequences leaves the others' rows to the next.
    Value out = op->getOperands().back();
    Operation *next = op->getNextNode();
    bool isPart = isa_and_nonnull<PrefillAttentionOp>(next) &&
                  next->getOperands().back() == out;
    if (auto async = dyn_cast_or_null<AsyncSoftmaxPrefillAttentionOp>(next))
      isPart = async.getOuts()[0] == out;
    return isPart ? Value() : out;
  }
  return TypeSwitch<Operation *, Value>(op)
      .Case<EmbedOp, RMSNormOp, LayerNormOp, RopeOp, AddOp, GluOp, ActivationOp,
            ScaleOp, SoftcapOp>(
          [](auto typed) -> Value { return typed.getOuts()[0]; })
      .Default([](Operation *) { return Value(); });
}

//===----------------------------------------------------------------------===//
// Collecting.
//===----------------------------------------------------------------------===//

Taps::Taps(ModuleOp module) {
  if (!module->hasAttr(kTapsAttr))
    return;
  for (auto func : module.getOps<func::FuncOp>())
    if (func->hasAttr(kEntryAttr))
      visit(func.front());
}

/// A layer ends with its second sum onto the residual stream.
void Taps::visit(Block &block) {
  bool isLoop = isa<scf::ForOp>(block.getParentOp());
  std::string layer = isLoop ? nextLayer(block.begin(), block) : "-1";
  int sums = 2;
  for (Operation &op : block) {
    if (auto loop = dyn_cast<scf::ForOp>(op))
      visit(*loop.getBody());
    EpilogueInterface linear = linearOf(&op);
    if (linear && sums == 2 && op.getBlock() == &block) {
      layer = nextLayer(Block::iterator(op), block);
      sums = 0;
    }
    if (linear)
      addLinear(&op, linear, layer);
    else if (Value buffer = storedBy(&op))
      addStored(&op, buffer, ::fdpp::valueName(buffer), op.getLoc(), layer);
    sums += linear && addsToDestination(linear);
  }
}

/// Each epilogue stores a value: in a buffer, in the logits or in the cache.
void Taps::addLinear(Operation *op, EpilogueInterface linear,
                     const std::string &layer) {
  for (unsigned i = 0; i < linear.getEpilogues().size(); ++i) {
    Operation *end = linear.getEpilogues()[i].front().getTerminator();
    if (auto store = dyn_cast<KVStoreOp>(end)) {
      bool keys = store.getPlane() == CachePlane::Key;
      Value slots = store.getSlot().getDefiningOp<memref::LoadOp>().getMemref();
      std::string ofCache = valueText(store.getLayer()).text;
      calls[op].push_back(
          {keys ? "tap_keys" : "tap_values",
           {"step", label(keys ? "key" : "value", end->getLoc(), ofCache),
            ofCache, valueText(slots).text}});
      continue;
    }
    Value buffer = linear.getOuts()[linear.getSegment(i).getDest()];
    std::string name = ::fdpp::valueName(buffer);
    if (Value weight = weightOf(linear); weight && addsToDestination(linear))
      name = ::fdpp::valueName(weight) + "_sum";
    addStored(op, buffer, name, end->getLoc(), layer);
  }
}

void Taps::addStored(Operation *op, Value buffer, std::string name,
                     Location value, const std::string &layer) {
  int64_t columns = cast<MemRefType>(buffer.getType()).getShape().back();
  if (isa<EmbedOp>(op))
    name = "embed";
  calls[op].push_back({"tap",
                       {"step", label(name, value, layer), rowsText(buffer),
                        std::to_string(columns), valueText(buffer).text}});
}

static std::string quoted(StringRef text) {
  std::string result;
  llvm::raw_string_ostream os(result);
  os << '"';
  os.write_escaped(text);
  os << '"';
  return result;
}

/// {name, node, layer}. The nodes of a loop stand in an array.
std::string Taps::label(const std::string &name, Location value,
                        const std::string &layer) {
  if (!llvm::is_contained(names, name))
    names.push_back(name);
  SmallVector<StringRef> nodes = nodesOf(value);
  std::string node = quoted(nodes.empty() ? "" : nodes.front());
  if (nodes.size() > 1) {
    std::vector<std::string> list(nodes.begin(), nodes.end());
    auto known = llvm::find_if(
        lists, [&](const auto &other) { return other.first == list; });
    if (known == lists.end()) {
      unsigned same = llvm::count_if(lists, [&](const auto &other) {
        return StringRef(other.second).starts_with(name + "_nodes");
      });
      lists.push_back(
          {list, name + "_nodes" + (same ? std::to_string(same + 1) : "")});
      known = std::prev(lists.end());
    }
    node = known->second + "[layer]";
  }
  return "{" + quoted(name) + ", " + node + ", " + layer + "}";
}

//===----------------------------------------------------------------------===//
// Printing.
//===----------------------------------------------------------------------===//

void Taps::printNodes(raw_ostream &os) const {
  if (!lists.empty())
    os << "// Nodes of the graph whose values are tapped, by iteration.\n";
  for (const auto &[nodes, name] : lists) {
    os << "constexpr const char *" << name << "[] = {\n    ";
    llvm::interleave(
        nodes, os, [&](const std::string &node) { os << quoted(node); },
        ",\n    ");
    os << "};\n";
  }
  if (!lists.empty())
    os << "\n";
}

void Taps::printNames(raw_ostream &os) const {
  std::vector<std::string> texts;
  for (const std::string &name : names)
    texts.push_back(quoted(name));
  texts.push_back("nullptr");
  printCall(os, 2, "static constexpr const char *tap_names[] = ", texts, ";",
            "{}");
}

void Taps::printCalls(Operation *op, StringRef context, raw_ostream &os,
                      unsigned indent) const {
  auto found = calls.find(op);
  if (found == calls.end())
    return;
  for (Call call : found->second) {
    call.arguments.insert(call.arguments.begin(), context.str());
    printCall(os, indent, call.head, call.arguments);
  }
}
