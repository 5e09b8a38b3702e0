// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- MainDriver.cpp - Scripts on graphs with a cache by Concat ----------===//
//
// A graph takes [batch, sequence] token ids and the past keys and values, and
// gives the logits and what the past is next time. Sequences of different
// lengths run as one batch, with holes that the attention mask hides, or each
// as a batch of its own.
//
//===----------------------------------------------------------------------===//
#include "Drivers.h"

#include "fdpp/Dialect/FDPP/IR/FDPP.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringSwitch.h"

using namespace mlir;
using namespace mlir::fdpp;
using llvm::createStringError;
using llvm::Expected;

namespace {
enum class Role { Tokens, Positions, Mask, Past, Unknown };
} // namespace

/// What an input of the graph is: by its name in the graph, else by its use.
static Role roleOf(func::FuncOp main, unsigned i) {
  auto type = dyn_cast<RankedTensorType>(main.getArgumentTypes()[i]);
  if (!type)
    return Role::Unknown;
  if (type.getRank() == 4)
    return Role::Past;
  if (auto name = main.getArgAttrOfType<StringAttr>(i, "onnx.name"))
    return llvm::StringSwitch<Role>(name)
        .Case("input_ids", Role::Tokens)
        .Case("position_ids", Role::Positions)
        .Case("attention_mask", Role::Mask)
        .Default(Role::Unknown);
  for (Operation *user : main.getArgument(i).getUsers()) {
    if (isa<EmbedOp>(user))
      return Role::Tokens;
    if (isa<RopeTableOp>(user))
      return Role::Positions;
  }
  return Role::Mask;
}

static func::FuncOp mainOf(ModuleOp module) {
  auto main = module.lookupSymbol<func::FuncOp>("main");
  return main && !main.isExternal() && main.getNumResults() ? main
                                                            : func::FuncOp();
}

std::optional<int64_t> mlir::fdpp::graphVocabulary(ModuleOp module) {
  func::FuncOp main = mainOf(module);
  if (!main)
    return std::nullopt;
  auto type = dyn_cast<RankedTensorType>(main.getResultTypes()[0]);
  if (!type || type.getRank() != 3 || type.isDynamicDim(2))
    return std::nullopt;
  return type.getDimSize(2);
}

namespace {
/// Some of the script's sequences, run as one batch.
class Batch {
public:
  Batch(func::FuncOp main, const GraphFunction &function, const Script &script,
        std::vector<unsigned> members, Logits &logits)
      : main(main), function(function), script(script),
        members(std::move(members)), logits(logits),
        done(this->members.size(), 0), seen(this->members.size()) {}

  llvm::Error run() {
    for (const auto &chunks : script.steps)
      if (llvm::Error error = step(chunks))
        return error;
    return llvm::Error::success();
  }

private:
  llvm::Error step(ArrayRef<Chunk> chunks);
  Expected<Array> argument(unsigned i);
  Array emptyPast(unsigned i);

  int64_t size() const { return members.size(); }

  func::FuncOp main;
  const GraphFunction &function;
  const Script &script;
  std::vector<unsigned> members;
  Logits &logits;
  std::vector<int64_t> done;
  /// Of each member, whether each slot of the past and the step is a token.
  std::vector<std::vector<double>> seen;
  std::vector<Array> past;
  std::vector<double> tokens, positions; ///< Of the step at hand.
  int64_t columns = 0;
};
} // namespace

Array Batch::emptyPast(unsigned i) {
  auto type = cast<RankedTensorType>(main.getArgumentTypes()[i]);
  return Array::filled({size(), type.getDimSize(1), 0, type.getDimSize(3)}, 0);
}

Expected<Array> Batch::argument(unsigned i) {
  switch (roleOf(main, i)) {
  case Role::Tokens:
    return Array::of({size(), columns}, tokens);
  case Role::Positions:
    return Array::of({size(), columns}, positions);
  case Role::Mask: {
    std::vector<double> mask;
    for (const auto &row : seen)
      llvm::append_range(mask, row);
    int64_t total = seen.front().size();
    return Array::of({size(), total}, std::move(mask));
  }
  case Role::Past: {
    unsigned index = 0;
    for (unsigned j = 0; j < i; ++j)
      index += roleOf(main, j) == Role::Past;
    return index < past.size() ? past[index] : emptyPast(i);
  }
  case Role::Unknown:
    break;
  }
  return createStringError("input " + Twine(i) + " of @main is not known");
}

llvm::Error Batch::step(ArrayRef<Chunk> chunks) {
  std::vector<int64_t> counts(size(), 0);
  columns = 0;
  for (Chunk chunk : chunks)
    if (auto it = llvm::find(members, chunk.sequence); it != members.end()) {
      counts[it - members.begin()] = chunk.tokens;
      columns = std::max(columns, chunk.tokens);
    }
  if (columns == 0)
    return llvm::Error::success();
  tokens.assign(size() * columns, 0);
  positions.assign(size() * columns, 0);
  for (int64_t b = 0; b < size(); ++b) {
    // Odd members have their holes on the left.
    int64_t first = b % 2 ? columns - counts[b] : 0;
    seen[b].resize(seen[b].size() + columns, 0);
    for (int64_t i = 0; i < counts[b]; ++i) {
      int64_t at = b * columns + first + i;
      tokens[at] = script.sequences[members[b]][done[b] + i];
      positions[at] = done[b] + i;
      seen[b][seen[b].size() - columns + first + i] = 1;
    }
  }
  std::vector<Array> arguments;
  for (unsigned i = 0; i < main.getNumArguments(); ++i) {
    auto array = argument(i);
    if (!array)
      return array.takeError();
    arguments.push_back(*array);
  }
  auto results = function(arguments);
  if (!results)
    return results.takeError();
  past.assign(results->begin() + 1, results->end());
  std::vector<double> storage;
  ArrayRef<double> values = results->front().dense(storage);
  for (int64_t b = 0; b < size(); ++b) {
    int64_t first = b * columns + (b % 2 ? columns - counts[b] : 0);
    llvm::copy(values.slice(first * logits.vocab, counts[b] * logits.vocab),
               logits.sequences[members[b]].begin() + done[b] * logits.vocab);
    done[b] += counts[b];
  }
  return llvm::Error::success();
}

Expected<Logits> mlir::fdpp::runGraph(ModuleOp module, const Script &script,
                                      const GraphFunction &function) {
  func::FuncOp main = mainOf(module);
  Logits logits;
  logits.vocab = *graphVocabulary(module);
  std::vector<std::vector<unsigned>> batches;
  for (unsigned s = 0; s < script.sequences.size(); ++s) {
    logits.sequences.emplace_back(script.sequences[s].size() * logits.vocab,
                                  kPoison);
    if (batches.empty() || !script.holes)
      batches.emplace_back();
    batches.back().push_back(s);
  }
  for (auto &members : batches)
    if (llvm::Error error =
            Batch(main, function, script, std::move(members), logits).run())
      return error;
  return logits;
}
