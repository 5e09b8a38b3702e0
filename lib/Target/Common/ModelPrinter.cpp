// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "fdpp/Target/Common/ModelPrinter.h"

#include "CheckEntry.h"
#include "EntryPrinter.h"
#include "KernelCalls.h"
#include "fdpp/Engine/ModelInfo.h"
#include "fdpp/Target/Common/EpiloguePrinter.h"

#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/StringSet.h"

using namespace mlir;
using namespace mlir::fdpp;
using ::fdpp::elementType;

namespace {

class ModulePrinter {
public:
  ModulePrinter(ModuleOp module, const ModelInfo &info,
                const ::fdpp::TargetText &target, raw_ostream &os)
      : module(module), info(info), target(target), taps(module), os(os) {}

  void print() {
    printHead();
    printWeights();
    printLayerConstants();
    printVariants();
    printEpilogues();
    taps.printNodes(os);
    for (func::FuncOp entry : info.entries) {
      ::fdpp::EntryPrinter(entry, target, taps, os).print();
      os << "\n";
    }
    printModel();
  }

private:
  std::string text(StringRef attr) {
    auto value = module->getAttrOfType<StringAttr>(attr);
    return value ? value.str() : std::string();
  }

  void printHead() {
    ModelAttr model = info.model;
    std::string summary;
    llvm::raw_string_ostream(summary)
        << "Emitted by fdpp-compile. " << model.getLayers()
        << " layers, hidden " << model.getHidden() << ", "
        << model.getQueryHeads() << " query and " << model.getKvHeads()
        << " KV heads of " << model.getHeadDim() << ", vocabulary "
        << model.getVocab() << ".";
    ::fdpp::printComment(os, 0, summary);
    os << "#include \"kernels/" << target.name << "/model.h\"\n";
    if (!taps.empty())
      os << "#include \"kernels/" << target.name << "/taps.h\"\n";
    os << "\nnamespace " << target.enclosing
       << "{\n\nusing namespace fdpp;\nusing namespace fdpp::" << target.name
       << ";\n\n"
       << "using KvCache = Cache<" << elementType(info.cacheType) << ", "
       << model.getKvHeads() << " /*heads*/, " << model.getHeadDim()
       << " /*dims*/, " << model.getPageTokens() << " /*tokens a page*/>;\n\n";
  }

  void printWeights() {
    os << "/// Weights as the engine stores them, one layer after another.\n"
       << "struct Weights {\n";
    ::fdpp::CommentedLines fields(2);
    for (WeightOp weight : info.weights) {
      RankedTensorType type = weight.getTensorType();
      std::string shape =
          weight.isBank() ? "[" + std::to_string(weight.getLayers()) + "]" : "";
      for (int64_t size : type.getShape())
        shape += "[" + std::to_string(size) + "]";
      fields.add("const " + elementType(type.getElementType()).str() + " *" +
                     weight.getSymName().str() + ";",
                 shape + (weight.getLayout() ? ", packed" : ""));
    }
    fields.print(os);
    os << "\n  explicit Weights(const void *const *table)\n      : ";
    llvm::ListSeparator comma(",\n        ");
    for (auto [i, stored] : llvm::enumerate(info.weights)) {
      WeightOp weight = stored;
      os << comma << weight.getSymName() << "(static_cast<const "
         << elementType(weight.getTensorType().getElementType()) << " *>(table["
         << i << "]))";
    }
    os << " {}\n};\n\n";
  }

  /// Scalars that differ between layers, by name.
  void printLayerConstants() {
    llvm::StringSet<> done;
    for (func::FuncOp entry : info.entries)
      entry.walk([&](LayerConstantOp op) {
        std::string name = ::fdpp::valueName(op.getResult());
        if (!done.insert(name).second)
          return;
        if (done.size() == 1)
          os << "// What differs between layers.\n";
        bool isFloat = isa<FloatType>(op.getResult().getType());
        StringRef type = isFloat ? "float " : "int ";
        os << target.anyContext << "constexpr " << type << name
           << "(int layer) {\n  constexpr " << type << "of_layer[] = {";
        printElements(cast<DenseElementsAttr>(op.getValues()));
        os << "};\n  return of_layer[layer];\n}\n";
      });
    if (!done.empty())
      os << "\n";
  }

  /// As many to a line as fit.
  void printElements(DenseElementsAttr values) {
    std::string line;
    unsigned width = 40;
    for (auto [i, value] : llvm::enumerate(values.getValues<Attribute>())) {
      auto real = dyn_cast<FloatAttr>(value);
      std::string text =
          real ? ::fdpp::floatLiteral(real.getValueAsDouble())
               : std::to_string(cast<IntegerAttr>(value).getInt());
      if (i)
        line += ",";
      if (line.size() + text.size() + 2 > width) {
        os << line << "\n   ";
        line.clear();
        width = 70;
      }
      line += (i ? " " : "") + text;
    }
    os << line;
  }

  /// The choices of kernels that linears make, by name.
  void printVariants() {
    llvm::StringSet<> done;
    for (func::FuncOp entry : info.entries)
      entry.walk([&](DispatchOp op) {
        auto name = op->getAttrOfType<StringAttr>("fdpp.name");
        SmallVector<std::string> ranges = ::fdpp::rangesOf(op);
        if (!name || ranges.empty() || !done.insert(name.getValue()).second)
          return;
        if (done.size() == 1)
          os << "// Kernels of linears by the number of tokens.\n";
        os << "using " << name.getValue() << " =\n    ByTokens<";
        llvm::interleave(ranges, os, ",\n             ");
        os << ">;\n";
      });
    if (!done.empty())
      os << "\n";
  }

  void printEpilogues() {
    llvm::StringSet<> done;
    for (func::FuncOp entry : info.entries)
      entry.walk([&](EpilogueInterface op) {
        auto names = op->getAttrOfType<ArrayAttr>("fdpp.epilogues");
        for (unsigned i = 0; i < names.size(); ++i)
          if (done.insert(cast<StringAttr>(names[i]).getValue()).second) {
            ::fdpp::printEpilogue(op, i, target.qualifier, os);
            os << "\n";
          }
      });
  }

  void printWeightTable() {
    os << "  static constexpr fdpp_weight_entry weight_table[] = {\n";
    for (WeightOp weight : info.weights) {
      const StoredType *type =
          getStoredType(weight.getTensorType().getElementType());
      os << "      {\"" << weight.getSymName() << "\", "
         << getStoredBytes(weight) << "u, " << type->constant << ", "
         << weight.getLayers() << "},\n";
    }
    os << "  };\n";
  }

  void printLimits() {
    const fdpp_model_limits &limits = info.limits;
    os << "  static constexpr fdpp_model_limits limits = {\n"
       << "      .struct_size = sizeof(fdpp_model_limits),\n"
       << "      .vocab_size = " << limits.vocab_size << ",\n"
       << "      .layers = " << limits.layers << ",\n"
       << "      .query_heads = " << limits.query_heads << ",\n"
       << "      .kv_heads = " << limits.kv_heads << ",\n"
       << "      .head_dim = " << limits.head_dim << ",\n"
       << "      .page_tokens = " << limits.page_tokens << ",\n"
       << "      .cache_dtype = " << getStoredType(info.cacheType)->constant
       << ",\n"
       << "      .max_context = " << limits.max_context << ",\n"
       << "      .max_tokens = " << limits.max_tokens << ",\n"
       << "      .max_sequences = " << limits.max_sequences << ",\n"
       << "      .max_rows = " << limits.max_rows << ",\n"
       << "      .decode_tokens = " << limits.decode_tokens << ",\n"
       << "      .entries = " << limits.entries << ",\n"
       << "      .page_bytes = " << limits.page_bytes << "};\n";
  }

  void printSizes() {
    int64_t widest = 1;
    bool library = false;
    for (func::FuncOp entry : info.entries) {
      entry.walk([&](FusedLinearOp op) {
        widest = std::max(
            widest, cast<ShapedType>(op.getInput().getType()).getDimSize(1));
      });
      entry.walk([&](LibraryGemmOp) { library = true; });
    }
    os << "  static constexpr int64_t arena_bytes = " << info.arenaBytes
       << ";\n"
       << "  static int64_t scratch_bytes(int threads) {\n"
       << "    return largest(linear_scratch_bytes(limits.max_tokens, "
       << widest << ", threads),\n"
       << "                   decode_attention_scratch_bytes(\n"
       << "                       limits.max_sequences, limits.query_heads,\n"
       << "                       limits.head_dim, limits.decode_tokens)"
       << (library ? ",\n                   library_scratch_bytes(threads)"
                   : "")
       << (taps.empty() ? ""
                        : ",\n                   tap_scratch_bytes("
                          "limits.max_tokens, KvCache())")
       << ");\n"
       << "  }\n";
    if (!taps.empty())
      taps.printNames(os);
    if (info.readsPhi)
      os << "  static constexpr bool reads_phi = true;\n";
    if (info.prefillReadsPhi)
      os << "  static constexpr bool prefill_reads_phi = true;\n";
    if (library)
      os << "  static constexpr bool calls_sgemm = true;\n";
  }

  /// A string of words with commas, as literals that fit their lines.
  void printLongText(StringRef words) {
    while (words.size() > 70) {
      size_t end = words.rfind(',', 70) + 1;
      if (end == 0)
        break;
      os << '"' << words.take_front(end) << "\"\n      ";
      words = words.drop_front(end);
    }
    os << '"' << words << '"';
  }

  /// The decode step for any context.
  void printDecode(StringRef scope) {
    for (func::FuncOp entry : info.entries) {
      if (entry->getAttrOfType<StringAttr>(kEntryAttr).getValue() != "decode")
        continue;
      os << "\n  static constexpr bool decodes = true;\n"
         << "  template <class Context>\n";
      ::fdpp::printCall(os, 2, target.anyContext.str() + "static void decode",
                        {"Context &" + target.context.str(),
                         "const Weights &weights", "const Step<KvCache> &step"},
                        " {");
      os << "    " << scope << entry.getName() << "(" << target.context
         << ", weights, step);\n  }\n";
    }
  }

  void printModel() {
    std::string scope = target.enclosing.rtrim().str() + "::";
    os << "struct Model {\n  using KvCache = " << scope << "KvCache;\n"
       << "  using Weights = " << scope << "Weights;\n"
       << "  static constexpr const char *arch = \"" << text(kArchAttr)
       << "\";\n  static constexpr const char *features =\n      ";
    printLongText(text(kFeaturesAttr));
    os << ";\n";
    printWeightTable();
    printLimits();
    printSizes();
    os << "\n  static void run(int entry, " << target.contextType
       << target.context << ", const Weights &weights,\n"
       << "                  const Step<KvCache> &step) {\n"
       << "    switch (entry) {\n";
    for (func::FuncOp entry : info.entries)
      os << "    case FDPP_"
         << entry->getAttrOfType<StringAttr>(kEntryAttr).getValue().upper()
         << ":\n      return " << entry.getName() << "(" << target.context
         << ", weights, step);\n";
    os << "    }\n  }\n";
    if (!target.anyContext.empty())
      printDecode(scope);
    os << "};\n\n} // namespace" << (target.enclosing.empty() ? "" : " ")
       << target.enclosing.rtrim() << "\n\n"
       << "extern \"C\" __attribute__((visibility(\"default\")))\n"
       << "const fdpp_model_table *fdpp_model_query(uint32_t abi_version) {\n"
       << "  return ";
    if (target.enclosing.empty())
      os << "query<Model>";
    else
      os << "fdpp::" << target.name << "::query<" << scope << "Model>";
    os << "(abi_version);\n}\n";
  }

  ModuleOp module;
  const ModelInfo &info;
  const ::fdpp::TargetText &target;
  ::fdpp::Taps taps;
  raw_ostream &os;
};

} // namespace

namespace fdpp {

LogicalResult printModel(ModuleOp module, const TargetText &target,
                         raw_ostream &os) {
  llvm::Expected<ModelInfo> info = describeModel(module);
  if (!info)
    return module.emitError(llvm::toString(info.takeError()));
  for (func::FuncOp entry : info->entries)
    if (failed(checkEntry(entry)))
      return failure();
  ModulePrinter(module, *info, target, os).print();
  return success();
}

} // namespace fdpp
