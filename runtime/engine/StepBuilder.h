// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Cuts what a caller wants done in one step into steps the model can take, and
// lays each out as the step ABI wants it.
#ifndef FDPP_RUNTIME_ENGINE_STEPBUILDER_H
#define FDPP_RUNTIME_ENGINE_STEPBUILDER_H

#include "Sequence.h"
#include "fdpp-runtime/model_abi.h"

#include <cstdint>
#include <vector>

namespace fdpp::runtime {

/// Tokens one sequence brings, and the logits it wants.
struct StepItem {
  Sequence *sequence = nullptr;
  const int32_t *tokens = nullptr;
  int32_t count = 0;
  bool lastLogits = false;    // keep those of the last token
  float *allLogits = nullptr; // count x vocab, or null
};

/// The part of an item that goes into one model step.
struct StepPart {
  int32_t item;  // index among the items
  int32_t begin; // first token within the item
  int32_t count;
  bool finishes; // it holds the item's last token
};

/// Where a row of logits goes after the step.
struct LogitsRow {
  int32_t item;
  int32_t token; // within the item
  bool keep;     // the last row, wanted until the next call
};

class StepBuilder {
public:
  /// `items` and `maxPages` bound what a call brings; all arrays are set aside
  /// here, nothing later.
  StepBuilder(const fdpp_model_limits &limits, int32_t items, int32_t maxPages);

  void begin(const StepItem *items, int32_t count);

  /// Chooses and lays out the next model step into `step` (counts, entry and
  /// the [device] arrays). Returns false when every token has had its turn.
  bool next(fdpp_step &step);

  /// Tokens of all items.
  int32_t total() const;

  /// What the last `next` chose, in the order of the step.
  const std::vector<StepPart> &parts() const { return chosen; }
  /// One for each row of its logits: the kept ones first.
  const std::vector<LogitsRow> &rows() const { return wanted; }

private:
  struct Budget {
    int32_t tokens, sequences, rows;
  };
  int32_t left(int32_t item) const { return items[item].count - done[item]; }
  bool decodes(int32_t item) const {
    return left(item) <= limits.decode_tokens;
  }
  bool has(fdpp_entry entry) const { return limits.entries >> entry & 1; }
  void choose();
  void take(int32_t item, int32_t most, Budget &budget);
  void listRows();
  int32_t entry() const;
  void layOut(fdpp_step &step);

  const fdpp_model_limits limits;
  const int32_t maxPages;
  const StepItem *items = nullptr;
  int32_t numItems = 0;
  int32_t decodeParts = 0;

  std::vector<int32_t> done; // tokens of each item that had their turn
  std::vector<StepPart> chosen;
  std::vector<LogitsRow> wanted;
  std::vector<int32_t> tokens, positions, offsets, context, pages, rowIndex;
};

} // namespace fdpp::runtime

#endif // FDPP_RUNTIME_ENGINE_STEPBUILDER_H
