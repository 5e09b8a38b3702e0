// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "fdpp/Engine/ModelInfo.h"

#include "kernels/common/cache_layout.h"

#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/StringSwitch.h"

using namespace mlir;
using namespace mlir::fdpp;
using llvm::createStringError;

StringRef mlir::fdpp::getEntryName(fdpp_entry entry) {
  switch (entry) {
  case FDPP_PREFILL:
    return "prefill";
  case FDPP_DECODE:
    return "decode";
  case FDPP_MIXED:
    return "mixed";
  case FDPP_ENTRY_COUNT:
    break;
  }
  llvm_unreachable("no entry");
}

/// Bit of an entry in the limits, or 0 for a name that is none.
static int32_t entryBit(StringRef name) {
  return llvm::StringSwitch<int32_t>(name)
      .Case("prefill", 1 << FDPP_PREFILL)
      .Case("decode", 1 << FDPP_DECODE)
      .Case("mixed", 1 << FDPP_MIXED)
      .Default(0);
}

static int64_t integerOf(Operation *op, StringRef attribute,
                         int64_t otherwise) {
  auto value = op->getAttrOfType<IntegerAttr>(attribute);
  return value ? value.getInt() : otherwise;
}

/// Calls `visit` for every argument of the entries that has the role.
static void forEachArgument(ArrayRef<func::FuncOp> entries, StringRef role,
                            llvm::function_ref<void(BlockArgument)> visit) {
  for (func::FuncOp entry : entries)
    for (BlockArgument argument : entry.getArguments()) {
      auto name = entry.getArgAttrOfType<StringAttr>(argument.getArgNumber(),
                                                     kRoleAttr);
      if (name && name.getValue() == role)
        visit(argument);
    }
}

/// The largest bound that any entry has for arguments with this role.
static int32_t boundOf(ArrayRef<func::FuncOp> entries, StringRef role) {
  int64_t most = 1;
  forEachArgument(entries, role, [&](BlockArgument argument) {
    auto func = cast<func::FuncOp>(argument.getOwner()->getParentOp());
    if (auto max = func.getArgAttrOfType<IntegerAttr>(argument.getArgNumber(),
                                                      kMaxAttr))
      most = std::max(most, max.getInt());
  });
  return most;
}

static void setLimits(ModuleOp module, ModelInfo &info) {
  fdpp_model_limits &limits = info.limits;
  ModelAttr model = info.model;
  limits.struct_size = sizeof(limits);
  limits.vocab_size = model.getVocab();
  limits.layers = model.getLayers();
  limits.query_heads = model.getQueryHeads();
  limits.kv_heads = model.getKvHeads();
  limits.head_dim = model.getHeadDim();
  limits.page_tokens = model.getPageTokens();
  limits.cache_dtype = getStoredType(info.cacheType)->dtype;
  limits.max_context = integerOf(module, kMaxContextAttr, kDefaultMaxContext);
  limits.max_tokens = boundOf(info.entries, "tokens");
  limits.max_sequences = boundOf(info.entries, "context");
  limits.max_rows = boundOf(info.entries, "rows");
  limits.decode_tokens = 1;
  for (func::FuncOp entry : info.entries) {
    limits.entries |=
        entryBit(entry->getAttrOfType<StringAttr>(kEntryAttr).getValue());
    limits.decode_tokens = std::max<int64_t>(
        limits.decode_tokens, integerOf(entry, kDecodeTokensAttr, 1));
  }
  limits.page_bytes =
      ::fdpp::cache_page_elements(limits.kv_heads, limits.head_dim,
                                  limits.page_tokens) *
      getStoredType(info.cacheType)->bytes;
}

/// What the functions do with a weight.
struct WeightUse {
  bool gathered = false; // rows of it, by token
  bool streamed = false; // all of it
  bool table = false;    // an input of rotary angles, no parameter
};

static void setWeightTraffic(ModelInfo &info) {
  llvm::DenseMap<StringAttr, WeightUse> uses;
  for (func::FuncOp entry : info.entries)
    entry.walk([&](WeightAtOp at) {
      WeightUse &use = uses[at.getWeightAttr().getAttr()];
      for (Operation *user : at->getUsers()) {
        bool table = isa<RopeTableOp>(user);
        (isa<EmbedOp>(user) ? use.gathered : use.streamed) = true;
        use.table |= table;
      }
    });
  llvm::DenseMap<Type, int64_t> bytesOfType;
  for (WeightOp weight : info.weights) {
    WeightUse use = uses.lookup(weight.getSymNameAttr());
    RankedTensorType type = weight.getTensorType();
    int64_t bytes = getStoredBytes(weight);
    info.weightBytes += bytes;
    if (!use.table)
      info.parameters += weight.getLayers() * type.getNumElements();
    if (use.streamed)
      info.stepWeightBytes += bytes;
    if (use.gathered)
      info.stepTokenBytes += type.getDimSize(type.getRank() - 1) *
                             getStoredType(type.getElementType())->bytes;
    int64_t &sum = bytesOfType[type.getElementType()];
    sum += bytes;
    if (!info.weightType || sum > bytesOfType[info.weightType])
      info.weightType = type.getElementType();
  }
}

/// From the metadata of the graph, which fdpp-export writes; empty if absent.
static StringRef metadataOf(ModuleOp module, StringRef key) {
  auto metadata = module->getAttrOfType<DictionaryAttr>("onnx.metadata");
  auto value = metadata ? metadata.getAs<StringAttr>(key) : StringAttr();
  return value ? value.getValue() : StringRef();
}

static void setNames(ModuleOp module, ModelInfo &info) {
  info.name = metadataOf(module, "fdpp.name").str();
  // A class of transformers, such as LlamaForCausalLM.
  StringRef family = metadataOf(module, "fdpp.architecture");
  family.consume_back("ForCausalLM");
  info.family = family.lower();
}

std::optional<int64_t> mlir::fdpp::getTrainedContext(ModuleOp module) {
  int64_t positions;
  if (metadataOf(module, "fdpp.max_position_embeddings")
          .getAsInteger(10, positions) ||
      positions < 1 || positions > std::numeric_limits<int32_t>::max())
    return std::nullopt;
  return positions;
}

llvm::Expected<ModelInfo> mlir::fdpp::describeModel(ModuleOp module) {
  ModelInfo info;
  info.model = module->getAttrOfType<ModelAttr>(kModelAttr);
  if (!info.model)
    return createStringError("the module has no 'fdpp.model' attribute");
  for (auto func : module.getOps<func::FuncOp>()) {
    auto entry = func->getAttrOfType<StringAttr>(kEntryAttr);
    if (entry && entryBit(entry.getValue()) == 0)
      return createStringError("@" + func.getName() + " is a '" +
                               entry.getValue() +
                               "' entry, which no engine has");
    if (entry)
      info.entries.push_back(func);
  }
  if (info.entries.empty())
    return createStringError(
        "the module has no entry (prefill, decode, mixed)");
  forEachArgument(info.entries, "cache", [&](BlockArgument argument) {
    info.cacheType = getElementTypeOrSelf(argument.getType());
  });
  if (!info.cacheType || !getStoredType(info.cacheType))
    return createStringError("no entry has a cache that an engine can hold");
  info.weights = getStoredWeights(module);
  for (WeightOp weight : info.weights)
    if (!getStoredType(weight.getTensorType().getElementType()))
      return createStringError("weight @" + weight.getSymName() +
                               " has elements that no engine stores");
  setNames(module, info);
  setLimits(module, info);
  setWeightTraffic(info);
  for (func::FuncOp entry : info.entries)
    info.arenaBytes =
        std::max(info.arenaBytes, integerOf(entry, kArenaAttr, 0));
  module.walk([&](AsyncSoftmaxDecodeAttentionOp) { info.readsPhi = true; });
  module.walk([&](AsyncSoftmaxPrefillAttentionOp) {
    info.readsPhi = info.prefillReadsPhi = true;
  });
  return info;
}
