// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "fdpp/Target/CPU/EmitCPU.h"

#include "EntryPrinter.h"
#include "fdpp/Target/Common/EpiloguePrinter.h"
#include "kernels/common/cache_layout.h"

#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/StringSet.h"

using namespace mlir;
using namespace mlir::fdpp;
using ::fdpp::elementType;

namespace {

StringRef dtypeName(Type type) {
  if (type.isBF16())
    return "FDPP_BF16";
  if (type.isF16())
    return "FDPP_F16";
  return type.isF32() ? "FDPP_F32" : "FDPP_I32";
}

class ModulePrinter {
public:
  ModulePrinter(ModuleOp module, raw_ostream &os) : module(module), os(os) {
    for (auto func : module.getOps<func::FuncOp>())
      if (func->hasAttr(kEntryAttr))
        entries.push_back(func);
    module.walk([&](WeightAtOp at) {
      if (at->getParentOfType<func::FuncOp>())
        used.insert(at.getWeight());
    });
    for (auto weight : module.getOps<WeightOp>())
      if (used.contains(weight.getSymName()))
        weights.push_back(weight);
  }

  LogicalResult print() {
    model = module->getAttrOfType<ModelAttr>(kModelAttr);
    if (!model)
      return module.emitError("has no 'fdpp.model' attribute");
    if (entries.empty())
      return module.emitError("has no entry to print");
    printHead();
    printWeights();
    printEpilogues();
    for (func::FuncOp entry : entries) {
      ::fdpp::EntryPrinter(entry, os).print();
      os << "\n";
    }
    printModel();
    return success();
  }

private:
  /// The argument of the first entry that has one with this role.
  BlockArgument argument(StringRef role) {
    for (func::FuncOp entry : entries)
      for (BlockArgument arg : entry.getArguments())
        if (auto name = entry.getArgAttrOfType<StringAttr>(arg.getArgNumber(),
                                                           kRoleAttr);
            name && name.getValue() == role)
          return arg;
    return {};
  }

  /// The largest bound that any entry has for arguments with this role.
  int64_t bound(StringRef role) {
    int64_t most = 1;
    for (func::FuncOp entry : entries)
      for (unsigned i = 0; i < entry.getNumArguments(); ++i) {
        auto name = entry.getArgAttrOfType<StringAttr>(i, kRoleAttr);
        auto max = entry.getArgAttrOfType<IntegerAttr>(i, kMaxAttr);
        if (name && max && name.getValue() == role)
          most = std::max(most, max.getInt());
      }
    return most;
  }

  MemRefType cacheType() {
    return cast<MemRefType>(argument("cache").getType());
  }

  std::string text(StringRef attr) {
    auto value = module->getAttrOfType<StringAttr>(attr);
    return value ? value.str() : std::string();
  }

  int64_t number(StringRef attr, int64_t otherwise) {
    auto value = module->getAttrOfType<IntegerAttr>(attr);
    return value ? value.getInt() : otherwise;
  }

  void printHead() {
    os << "// Emitted by fdpp-compile. " << model.getLayers()
       << " layers, hidden " << model.getHidden() << ", "
       << model.getQueryHeads() << " query and " << model.getKvHeads()
       << " KV heads of " << model.getHeadDim() << ", vocabulary "
       << model.getVocab() << ".\n"
       << "#include \"kernels/cpu/model.h\"\n\n"
       << "namespace {\n\nusing namespace fdpp;\nusing namespace fdpp::cpu;\n\n"
       << "using KvCache = Cache<" << elementType(cacheType().getElementType())
       << ", " << model.getKvHeads() << " /*heads*/, " << model.getHeadDim()
       << " /*dims*/, " << model.getPageTokens() << " /*tokens a page*/>;\n\n";
  }

  void printWeights() {
    os << "/// Weights as the engine stores them, one layer after another.\n"
       << "struct Weights {\n";
    for (WeightOp weight : weights) {
      os << "  const " << elementType(weight.getTensorType().getElementType())
         << " *" << weight.getSymName() << "; // ";
      if (weight.isBank())
        os << weight.getLayers() << " x ";
      llvm::interleave(weight.getTensorType().getShape(), os, " x ");
      os << (weight.getLayout() ? ", packed" : "") << "\n";
    }
    os << "\n  explicit Weights(const void *const *table)\n      : ";
    llvm::ListSeparator comma(",\n        ");
    for (auto [i, weight] : llvm::enumerate(weights))
      os << comma << weight.getSymName() << "(static_cast<const "
         << elementType(weight.getTensorType().getElementType()) << " *>(table["
         << i << "]))";
    os << " {}\n};\n\n";
  }

  void printEpilogues() {
    llvm::StringSet<> done;
    for (func::FuncOp entry : entries)
      entry.walk([&](FusedLinearOp op) {
        auto names = op->getAttrOfType<ArrayAttr>("fdpp.epilogues");
        for (unsigned i = 0; i < names.size(); ++i)
          if (done.insert(cast<StringAttr>(names[i]).getValue()).second) {
            ::fdpp::printEpilogue(op, i, os);
            os << "\n";
          }
      });
  }

  void printWeightTable() {
    os << "  static constexpr fdpp_weight_entry weight_table[] = {\n";
    for (WeightOp weight : weights) {
      Type element = weight.getTensorType().getElementType();
      int64_t bytes = ::fdpp::storedElements(weight) * weight.getLayers() *
                      element.getIntOrFloatBitWidth() / 8;
      os << "      {\"" << weight.getSymName() << "\", " << bytes << "u, "
         << dtypeName(element) << ", " << weight.getLayers() << "},\n";
    }
    os << "  };\n";
  }

  void printLimits() {
    MemRefType cache = cacheType();
    int64_t pageBytes =
        ::fdpp::cache_page_elements(model.getKvHeads(), model.getHeadDim(),
                                    model.getPageTokens()) *
        cache.getElementTypeBitWidth() / 8;
    int64_t mask = 0, decodeTokens = 1;
    for (func::FuncOp entry : entries) {
      StringRef name = entry->getAttrOfType<StringAttr>(kEntryAttr).getValue();
      mask |= name == "prefill" ? 1 : name == "decode" ? 2 : 4;
      if (auto tokens = entry->getAttrOfType<IntegerAttr>("fdpp.decode_tokens"))
        decodeTokens = tokens.getInt();
    }
    os << "  static constexpr fdpp_model_limits limits = {\n"
       << "      .struct_size = sizeof(fdpp_model_limits),\n"
       << "      .vocab_size = " << model.getVocab() << ",\n"
       << "      .layers = " << model.getLayers() << ",\n"
       << "      .query_heads = " << model.getQueryHeads() << ",\n"
       << "      .kv_heads = " << model.getKvHeads() << ",\n"
       << "      .head_dim = " << model.getHeadDim() << ",\n"
       << "      .page_tokens = " << model.getPageTokens() << ",\n"
       << "      .cache_dtype = " << dtypeName(cache.getElementType()) << ",\n"
       << "      .max_context = " << number("fdpp.max_context", 8192) << ",\n"
       << "      .max_tokens = " << bound("tokens") << ",\n"
       << "      .max_sequences = " << bound("context") << ",\n"
       << "      .max_rows = " << bound("rows") << ",\n"
       << "      .decode_tokens = " << decodeTokens << ",\n"
       << "      .entries = " << mask << ",\n"
       << "      .page_bytes = " << pageBytes << "};\n";
  }

  void printSizes() {
    int64_t arena = 0, widest = 1;
    for (func::FuncOp entry : entries) {
      if (auto bytes = entry->getAttrOfType<IntegerAttr>("fdpp.arena"))
        arena = std::max(arena, bytes.getInt());
      entry.walk([&](FusedLinearOp op) {
        widest = std::max(
            widest, cast<ShapedType>(op.getInput().getType()).getDimSize(1));
      });
    }
    os << "  static constexpr int64_t arena_bytes = " << arena << ";\n"
       << "  static int64_t scratch_bytes(int threads) {\n"
       << "    return largest(linear_scratch_bytes(limits.max_tokens, "
       << widest << ", threads),\n"
       << "                   decode_attention_scratch_bytes(\n"
       << "                       limits.max_sequences, limits.query_heads,\n"
       << "                       limits.head_dim, limits.decode_tokens));\n"
       << "  }\n";
  }

  void printModel() {
    os << "struct Model {\n  using KvCache = ::KvCache;\n"
       << "  using Weights = ::Weights;\n"
       << "  static constexpr const char *arch = \"" << text("fdpp.arch")
       << "\";\n  static constexpr const char *features = \""
       << text("fdpp.features") << "\";\n";
    printWeightTable();
    printLimits();
    printSizes();
    os << "\n  static void run(int entry, Team &team, const Weights &weights,\n"
       << "                  const Step<KvCache> &step) {\n"
       << "    switch (entry) {\n";
    for (func::FuncOp entry : entries)
      os << "    case FDPP_"
         << entry->getAttrOfType<StringAttr>(kEntryAttr).getValue().upper()
         << ":\n      return " << entry.getName() << "(team, weights, step);\n";
    os << "    }\n  }\n};\n\n} // namespace\n\n"
       << "extern \"C\" __attribute__((visibility(\"default\")))\n"
       << "const fdpp_model_table *fdpp_model_query(uint32_t abi_version) {\n"
       << "  return query<Model>(abi_version);\n}\n";
  }

  ModuleOp module;
  raw_ostream &os;
  ModelAttr model;
  SmallVector<func::FuncOp> entries;
  SmallVector<WeightOp> weights;
  llvm::StringSet<> used;
};

} // namespace

namespace fdpp {

LogicalResult emitCPU(ModuleOp module, raw_ostream &os) {
  return ModulePrinter(module, os).print();
}

} // namespace fdpp
