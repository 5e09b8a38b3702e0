// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- StepDriver.cpp - Scripts on steps over a paged cache ---------------===//
#include "Dice.h"
#include "Drivers.h"

#include "fdpp/Dialect/FDPP/IR/FDPP.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/Support/FormatVariadic.h"

#include <cmath>
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
      : script(script), watched(options.onValue != nullptr),
        interpreter(module, weights, options), entries(entriesOf(module)),
        engine(script.seed), tolerance(defaultTolerance(options.rounding)) {
    module.walk([&](DispatchOp op) {
      variants = std::max<unsigned>(variants, op.getRegions().size());
    });
  }

  Expected<Logits> run();

private:
  llvm::Error prepareCache();
  Array phiOf(ArrayRef<int64_t> shape);
  llvm::Error step(ArrayRef<Chunk> planned);
  llvm::Error runEntries(int64_t tokens, int64_t sequences);
  llvm::Error runOnce(func::FuncOp entry, int64_t tokens);
  llvm::Error rows(func::FuncOp entry, ArrayRef<int64_t> wanted);
  llvm::Error keep(func::FuncOp entry, int64_t token, ArrayRef<double> row);
  std::vector<func::FuncOp> entriesFor(int64_t sequences);
  Expected<Datum> argument(func::FuncOp entry, unsigned i,
                           ArrayRef<int64_t> wanted);

  template <typename Container> void shuffle(Container &items) {
    for (size_t i = items.size(); i > 1; --i)
      std::swap(items[i - 1], items[engine() % i]);
  }

  const Script &script;
  /// Somebody looks at each value: steps run as an engine runs them, once.
  const bool watched;
  Interpreter interpreter;
  llvm::StringMap<func::FuncOp> entries;
  std::mt19937_64 engine;
  Logits logits;
  Array cache;
  double tolerance;
  unsigned variants = 1;          ///< Most regions of a dispatch.
  llvm::StringMap<unsigned> runs; ///< Of each entry.
  int64_t pageTokens = 0;
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

/// Every entry that may run this step.
std::vector<func::FuncOp> StepDriver::entriesFor(int64_t sequences) {
  std::vector<func::FuncOp> result;
  for (StringRef kind : {"step", "prefill", "mixed", "decode"})
    if (auto it = entries.find(kind); it != entries.end())
      if (kind != "decode" || decodeSeqs == sequences)
        result.push_back(it->second);
  return result;
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
  return runEntries(t, s);
}

/// Runs the step on every entry that takes it, from one state of the cache; the
/// first time also with every variant. All give the same logits.
llvm::Error StepDriver::runEntries(int64_t tokens, int64_t sequences) {
  std::vector<func::FuncOp> runnable = entriesFor(sequences);
  if (runnable.empty())
    return createStringError("the module has no entry for a step");
  if (watched) {
    // As an engine runs it: @decode, which comes last, else @prefill.
    if (runnable.size() > 1 && runnable.back() == entries.lookup("mixed"))
      runnable.pop_back();
    return runOnce(runnable.back(), tokens);
  }
  Array before = cache;
  for (func::FuncOp entry : runnable) {
    unsigned &count = runs[entry.getName()];
    unsigned end = count == 0 ? variants : count + 1;
    for (; count < end; ++count) {
      cache = before.copy();
      interpreter.chooseVariant(count);
      if (llvm::Error error = runOnce(entry, tokens))
        return error;
    }
  }
  return llvm::Error::success();
}

llvm::Error StepDriver::runOnce(func::FuncOp entry, int64_t tokens) {
  std::vector<int64_t> order(tokens);
  std::iota(order.begin(), order.end(), 0);
  if (!watched)
    shuffle(order);
  // A step that gives fewer rows is repeated: it stores the same once more.
  int64_t most = tokens;
  if (auto i = argumentWithRole(entry, "rows"))
    if (auto max = entry.getArgAttrOfType<IntegerAttr>(*i, kMaxAttr))
      most = std::max<int64_t>(1, max.getInt());
  for (int64_t first = 0; first < tokens; first += most)
    if (llvm::Error error =
            rows(entry,
                 ArrayRef(order).slice(first, std::min(most, tokens - first))))
      return error;
  return llvm::Error::success();
}

/// The same in every step and entry.
Array StepDriver::phiOf(ArrayRef<int64_t> shape) {
  std::vector<double> values = script.phi;
  values.resize(shape[0] * shape[1], std::nan(""));
  Dice dice(script.seed);
  if (script.phi.empty() && script.randomPhi)
    for (double &value : values)
      value = dice.oneIn(4) ? std::nan("")
                            : (dice.oneIn(3) ? 100.0 : 5.0) *
                                  (double(dice.below(2001)) / 1000 - 1);
  return Array::of(shape, std::move(values));
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
  if (role == "phi") {
    auto shaped = cast<ShapedType>(type);
    auto given = static_cast<int64_t>(script.phi.size());
    if (given != 0 && given != shaped.getNumElements())
      return createStringError("phi has " + Twine(given) + " numbers and not " +
                               Twine(shaped.getNumElements()));
    return phiOf(shaped.getShape());
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
    ArrayRef<double> row = values.slice(r * logits.vocab, logits.vocab);
    if (llvm::Error error = keep(entry, token, row))
      return error;
  }
  return llvm::Error::success();
}

/// Keeps the logits of a token, which no other entry may have given otherwise.
llvm::Error StepDriver::keep(func::FuncOp entry, int64_t token,
                             ArrayRef<double> row) {
  auto [sequence, position] = places[token];
  MutableArrayRef<double> kept(logits.sequences[sequence]);
  kept = kept.slice(position * logits.vocab, logits.vocab);
  double largest = 1;
  for (double value : kept)
    largest = std::max(largest, std::fabs(value));
  for (auto [i, value] : llvm::enumerate(row)) {
    bool isFirst = std::isnan(kept[i]);
    if (!isFirst && !(std::fabs(value - kept[i]) <= tolerance * largest))
      return createStringError(
          "@" + entry.getName() + ", variant " +
          Twine(runs[entry.getName()] % variants) +
          llvm::formatv(" gives {0} for token {1} of sequence {2}, position "
                        "{3}, and another entry or variant {4}",
                        value, i, sequence, position, kept[i])
              .str());
    kept[i] = value;
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
