// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "StepBuilder.h"

#include <algorithm>

namespace fdpp::runtime {

StepBuilder::StepBuilder(const fdpp_model_limits &limits, int32_t items,
                         int32_t maxPages)
    : limits(limits), maxPages(maxPages), done(items),
      tokens(limits.max_tokens), positions(limits.max_tokens) {
  int32_t sequences = std::min(items, limits.max_sequences);
  chosen.reserve(sequences);
  wanted.reserve(limits.max_rows);
  offsets.resize(sequences + 1);
  context.resize(sequences);
  pages.resize(static_cast<size_t>(sequences) * maxPages);
  rowIndex.resize(limits.max_rows);
}

void StepBuilder::begin(const StepItem *newItems, int32_t count) {
  items = newItems;
  numItems = count;
  std::fill(done.begin(), done.begin() + count, 0);
}

int32_t StepBuilder::total() const {
  int32_t sum = 0;
  for (int32_t i = 0; i < numItems; ++i)
    sum += items[i].count;
  return sum;
}

bool StepBuilder::next(fdpp_step &step) {
  choose();
  if (chosen.empty())
    return false;
  listRows();
  layOut(step);
  for (const StepPart &part : chosen)
    done[part.item] += part.count;
  return true;
}

void StepBuilder::choose() {
  chosen.clear();
  Budget budget{limits.max_tokens, limits.max_sequences, limits.max_rows};
  // Sequences that decode stand first, as FDPP_MIXED wants them. They are
  // taken alone when the model cannot mix, and fit FDPP_DECODE then.
  if (has(FDPP_DECODE) || has(FDPP_MIXED))
    for (int32_t i = 0; i < numItems; ++i)
      if (left(i) > 0 && decodes(i))
        take(i, limits.decode_tokens, budget);
  decodeParts = static_cast<int32_t>(chosen.size());
  if (decodeParts > 0 && !has(FDPP_MIXED))
    return;
  bool onlyDecode = !has(FDPP_PREFILL) && !has(FDPP_MIXED);
  for (int32_t i = 0; i < numItems; ++i)
    if (left(i) > 0 && (decodeParts == 0 || !decodes(i)))
      take(i, onlyDecode ? limits.decode_tokens : limits.max_tokens, budget);
  if (onlyDecode)
    decodeParts = static_cast<int32_t>(chosen.size());
}

/// Takes up to `most` tokens of an item, as far as the budget reaches.
void StepBuilder::take(int32_t index, int32_t most, Budget &budget) {
  const StepItem &item = items[index];
  int32_t count = std::min({left(index), most, budget.tokens});
  if (item.allLogits)
    count = std::min(count, budget.rows);
  bool finishes = count == left(index);
  // A finishing part needs a row for its last token: leave it to the next step
  // when there is none.
  int32_t rows = item.allLogits ? count : finishes && item.lastLogits;
  if (count <= 0 || budget.sequences == 0 || rows > budget.rows)
    return;
  chosen.push_back({index, done[index], count, finishes});
  budget.tokens -= count;
  budget.rows -= rows;
  --budget.sequences;
}

void StepBuilder::listRows() {
  wanted.clear();
  for (const StepPart &part : chosen)
    if (part.finishes && items[part.item].lastLogits)
      wanted.push_back({part.item, part.begin + part.count - 1, true});
  for (const StepPart &part : chosen) {
    const StepItem &item = items[part.item];
    if (!item.allLogits)
      continue;
    bool lastKept = part.finishes && item.lastLogits;
    for (int32_t i = 0; i < part.count - lastKept; ++i)
      wanted.push_back({part.item, part.begin + i, false});
  }
}

int32_t StepBuilder::entry() const {
  int32_t parts = static_cast<int32_t>(chosen.size());
  if (decodeParts == parts && has(FDPP_DECODE))
    return FDPP_DECODE;
  if (decodeParts == 0 && has(FDPP_PREFILL))
    return FDPP_PREFILL;
  return FDPP_MIXED;
}

void StepBuilder::layOut(fdpp_step &step) {
  int32_t at = 0, slot = 0;
  offsets[0] = 0;
  for (const StepPart &part : chosen) {
    const StepItem &item = items[part.item];
    int32_t start = item.sequence->length();
    for (int32_t i = 0; i < part.count; ++i) {
      tokens[at + i] = item.tokens[part.begin + i];
      positions[at + i] = start + i;
    }
    const std::vector<int32_t> &own = item.sequence->pages();
    std::copy(own.begin(), own.end(),
              pages.begin() + static_cast<size_t>(slot) * maxPages);
    at += part.count;
    context[slot] = start + part.count;
    offsets[++slot] = at;
  }
  for (size_t r = 0; r < wanted.size(); ++r)
    for (int32_t s = 0; s < slot; ++s)
      if (chosen[s].item == wanted[r].item)
        rowIndex[r] = offsets[s] + wanted[r].token - chosen[s].begin;

  step.entry = entry();
  step.num_tokens = at;
  step.num_seqs = slot;
  step.num_rows = static_cast<int32_t>(wanted.size());
  step.max_pages = maxPages;
  step.decode_seqs = decodeParts;
  step.tokens = tokens.data();
  step.positions = positions.data();
  step.seq_offsets = offsets.data();
  step.context = context.data();
  step.pages = pages.data();
  step.rows = rowIndex.data();
}

} // namespace fdpp::runtime
