// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- StepDriver.cpp - Scripts on steps over a paged cache ---------------===//
#include "Drivers.h"

#include "fdpp/Dialect/FDPP/IR/FDPP.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringMap.h"

#include <numeric>
#include <random>

using namespace mlir;
using namespace mlir::fdpp;
using llvm::createStringError;
using llvm::Expected;

/// The roles of a step's arguments in the order that the raised phase fixes.
static constexpr StringLiteral kRoles[] = {
    "tokens", "positions", "seq_offsets", "context",
    "pages",  "rows",      "cache",       "logits"};

static StringRef roleOf(func::FuncOp func, unsigned i) {
  if (auto role = func.getArgAttrOfType<StringAttr>(i, kRoleAttr))
    return role.getValue();
  return i < std::size(kRoles) ? StringRef(kRoles[i]) : StringRef();
}

static std::optional<unsigned> argumentWithRole(func::FuncOp func,
                                                StringRef role) {
  for (unsigned i = 0; i < func.getNumArguments(); ++i)
    if (roleOf(func, i) == role)
      return i;
  return std::nullopt;
}

/// Entries by kind: "step", "prefill", "decode", "mixed".
static llvm::StringMap<func::FuncOp> entriesOf(ModuleOp module) {
  llvm::StringMap<func::FuncOp> entries;
  for (auto func : module.getOps<func::FuncOp>()) {
    if (func.isExternal())
      continue;
    if (auto kind = func->getAttrOfType<StringAttr>(kEntryAttr))
      entries[kind.getValue()] = func;
    else if (func.getName() == "step")
      entries["step"] = func;
  }
  return entries;
}

std::optional<int64_t> mlir::fdpp::stepVocabulary(ModuleOp module) {
  auto entries = entriesOf(module);
  if (entries.empty())
    return std::nullopt;
  func::FuncOp func = entries.begin()->second;
  std::optional<unsigned> logits = argumentWithRole(func, "logits");
  if (!logits)
    return std::nullopt;
  return cast<ShapedType>(func.getArgumentTypes()[*logits]).getDimSize(1);
}

namespace {
class StepDriver {
public:
  StepDriver(ModuleOp module, const Script &script, WeightSource &weights,
             InterpreterOptions options)
      : script(script), interpreter(module, weights, options),
        entries(entriesOf(module)), engine(script.seed) {}

  Expected<Logits> run();

private:
  llvm::Error prepareCache();
  llvm::Error step(ArrayRef<Chunk> planned);
  llvm::Error rows(func::FuncOp entry, ArrayRef<int64_t> wanted);
  func::FuncOp pick(ArrayRef<Chunk> chunks, int64_t decodes);
  Expected<Datum> argument(func::FuncOp entry, unsigned i,
                           ArrayRef<int64_t> wanted);

  template <typename Container> void shuffle(Container &items) {
    for (size_t i = items.size(); i > 1; --i)
      std::swap(items[i - 1], items[engine() % i]);
  }

  const Script &script;
  Interpreter interpreter;
  llvm::StringMap<func::FuncOp> entries;
  std::mt19937_64 engine;
  Logits logits;
  Array cache;
  int64_t pageTokens = 0, stepsDone = 0;
  std::vector<std::vector<int64_t>> pagesOf; ///< Page ids of each sequence.
  std::vector<int64_t> done;                 ///< Tokens of each sequence.

  // The step at hand.
  llvm::StringMap<Array> fields;
  int64_t decodeSeqs = 0;
  std::vector<std::pair<unsigned, int64_t>> places; ///< (sequence, position).
};
} // namespace

/// Gives each sequence enough pages, in random order among spare ones.
llvm::Error StepDriver::prepareCache() {
  func::FuncOp func = entries.begin()->second;
  std::optional<unsigned> index = argumentWithRole(func, "cache");
  if (!index)
    return createStringError("@" + func.getName() + " has no cache");
  auto type = cast<ShapedType>(func.getArgumentTypes()[*index]);
  pageTokens = type.getDimSize(4);
  int64_t spare = 3, total = spare;
  for (const auto &tokens : script.sequences)
    total += llvm::divideCeil(tokens.size(), pageTokens);
  std::vector<int64_t> ids(total);
  std::iota(ids.begin(), ids.end(), 0);
  shuffle(ids);
  for (const auto &tokens : script.sequences) {
    auto &pages = pagesOf.emplace_back();
    for (size_t i = 0; i < llvm::divideCeil(tokens.size(), pageTokens); ++i) {
      pages.push_back(ids.back());
      ids.pop_back();
    }
  }
  Array::Shape shape(type.getShape());
  shape[1] = total;
  // Nobody may read what nobody has stored.
  cache = Array::filled(shape, kPoison);
  return llvm::Error::success();
}

/// Any entry that may run this step; prefill takes every kind, so it also gets
/// some of the steps that have an entry of their own.
func::FuncOp StepDriver::pick(ArrayRef<Chunk> chunks, int64_t decodes) {
  if (auto it = entries.find("step"); it != entries.end())
    return it->second;
  bool anyDecode = decodes > 0;
  bool allDecode = decodes == static_cast<int64_t>(chunks.size());
  StringRef kind = allDecode ? "decode" : anyDecode ? "mixed" : "prefill";
  if (stepsDone % 4 == 3 || !entries.contains(kind))
    kind = "prefill";
  return entries.lookup(kind);
}

static bool decodes(Chunk chunk) { return chunk.tokens == 1; }

static Array integers(ArrayRef<int64_t> shape, std::vector<double> values) {
  return Array::of(shape, std::move(values));
}

llvm::Error StepDriver::step(ArrayRef<Chunk> planned) {
  // Decoding sequences stand first.
  std::vector<Chunk> chunks;
  llvm::copy_if(planned, std::back_inserter(chunks), decodes);
  decodeSeqs = chunks.size();
  llvm::copy_if(planned, std::back_inserter(chunks),
                [](Chunk chunk) { return !decodes(chunk); });
  int64_t columns = 1;
  for (const auto &pages : pagesOf)
    columns = std::max<int64_t>(columns, pages.size() + 1);
  std::vector<double> tokens, positions, offsets{0}, context, pages;
  places.clear();
  for (Chunk chunk : chunks) {
    unsigned s = chunk.sequence;
    for (int64_t i = 0; i < chunk.tokens; ++i, ++done[s]) {
      tokens.push_back(script.sequences[s][done[s]]);
      positions.push_back(done[s]);
      places.emplace_back(s, done[s]);
    }
    offsets.push_back(tokens.size());
    context.push_back(done[s]);
    for (int64_t p = 0; p < columns; ++p)
      pages.push_back(p < int64_t(pagesOf[s].size()) ? pagesOf[s][p] : -1);
  }
  auto t = static_cast<int64_t>(tokens.size());
  auto s = static_cast<int64_t>(chunks.size());
  fields["tokens"] = integers({t}, std::move(tokens));
  fields["positions"] = integers({t}, std::move(positions));
  fields["seq_offsets"] = integers({s + 1}, std::move(offsets));
  fields["context"] = integers({s}, std::move(context));
  fields["pages"] = integers({s, columns}, std::move(pages));
  func::FuncOp entry = pick(chunks, decodeSeqs);
  if (!entry)
    return createStringError("the module has no entry for a step");
  ++stepsDone;
  std::vector<int64_t> order(t);
  std::iota(order.begin(), order.end(), 0);
  shuffle(order);
  // A step that gives fewer rows is repeated: it stores the same once more.
  int64_t most = t;
  if (auto i = argumentWithRole(entry, "rows"))
    if (auto max = entry.getArgAttrOfType<IntegerAttr>(*i, kMaxAttr))
      most = std::max<int64_t>(1, max.getInt());
  for (int64_t first = 0; first < t; first += most)
    if (llvm::Error error = rows(
            entry, ArrayRef(order).slice(first, std::min(most, t - first))))
      return error;
  return llvm::Error::success();
}

Expected<Datum> StepDriver::argument(func::FuncOp entry, unsigned i,
                                     ArrayRef<int64_t> wanted) {
  StringRef role = roleOf(entry, i);
  Type type = entry.getArgumentTypes()[i];
  auto count = static_cast<int64_t>(wanted.size());
  if (role == "cache")
    return cache;
  if (role == "rows")
    return integers({count}, {wanted.begin(), wanted.end()});
  if (role == "logits")
    return Array::filled({count, logits.vocab}, kPoison);
  if (role == "workspace") {
    auto bytes = entry->getAttrOfType<IntegerAttr>("fdpp.arena");
    return Array::filled({bytes ? bytes.getInt() : 0}, kPoison);
  }
  if (role == "decode_seqs") {
    if (!isa<ShapedType>(type))
      return Datum(decodeSeqs);
    return integers(cast<ShapedType>(type).getShape(), {double(decodeSeqs)});
  }
  auto field = fields.find(role);
  if (field == fields.end())
    return createStringError("argument " + Twine(i) + " of @" +
                             entry.getName() + " has no known role");
  return field->second;
}

/// Runs the step for the logits of the `wanted` tokens.
llvm::Error StepDriver::rows(func::FuncOp entry, ArrayRef<int64_t> wanted) {
  std::vector<Datum> arguments;
  for (unsigned i = 0; i < entry.getNumArguments(); ++i) {
    auto datum = argument(entry, i, wanted);
    if (!datum)
      return datum.takeError();
    arguments.push_back(std::move(*datum));
  }
  auto results = interpreter.call(entry.getName(), arguments);
  if (!results)
    return results.takeError();
  std::optional<unsigned> index = argumentWithRole(entry, "logits");
  Array given = std::get<Array>(arguments[*index]);
  if (!results->empty()) {
    given = std::get<Array>((*results)[0]);
    cache = std::get<Array>((*results)[1]);
  }
  std::vector<double> storage;
  ArrayRef<double> values = given.dense(storage);
  for (auto [r, token] : llvm::enumerate(wanted)) {
    auto [sequence, position] = places[token];
    llvm::copy(values.slice(r * logits.vocab, logits.vocab),
               logits.sequences[sequence].begin() + position * logits.vocab);
  }
  return llvm::Error::success();
}

Expected<Logits> StepDriver::run() {
  func::FuncOp func = entries.begin()->second;
  unsigned index = *argumentWithRole(func, "logits");
  logits.vocab = cast<ShapedType>(func.getArgumentTypes()[index]).getDimSize(1);
  for (const auto &tokens : script.sequences)
    logits.sequences.emplace_back(tokens.size() * logits.vocab, kPoison);
  done.assign(script.sequences.size(), 0);
  if (llvm::Error error = prepareCache())
    return error;
  for (const auto &chunks : script.steps)
    if (llvm::Error error = step(chunks))
      return error;
  return std::move(logits);
}

Expected<Logits> mlir::fdpp::runSteps(ModuleOp module, const Script &script,
                                      WeightSource &weights,
                                      InterpreterOptions options) {
  return StepDriver(module, script, weights, options).run();
}
