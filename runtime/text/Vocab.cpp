// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "Vocab.h"

#include <functional>

namespace fdpp::text {

size_t Vocab::slotOf(std::string_view Token) const {
  size_t Mask = Slots.size() - 1;
  size_t Slot = std::hash<std::string_view>()(Token) & Mask;
  while (Slots[Slot] && textOf(Entries[Slots[Slot] - 1]) != Token)
    Slot = (Slot + 1) & Mask;
  return Slot;
}

void Vocab::grow() {
  Slots.assign(Slots.empty() ? 1024 : Slots.size() * 2, 0);
  for (uint32_t I = 0; I != Entries.size(); ++I)
    Slots[slotOf(textOf(Entries[I]))] = I + 1;
}

bool Vocab::add(std::string_view Token, int32_t Id) {
  if ((Entries.size() + 1) * 2 > Slots.size())
    grow();
  size_t Slot = slotOf(Token);
  auto Index = static_cast<size_t>(Id);
  if (EntryOf.size() <= Index)
    EntryOf.resize(Index + 1, -1);
  if (uint32_t Old = Slots[Slot]) {
    if (Entries[Old - 1].Id == Id)
      return true;
    if (EntryOf[Index] >= 0)
      return false;
    EntryOf[static_cast<size_t>(Entries[Old - 1].Id)] = -1;
    Entries[Old - 1].Id = Id;
    EntryOf[Index] = static_cast<int32_t>(Old - 1);
    return true;
  }
  if (EntryOf[Index] >= 0)
    return false;
  EntryOf[Index] = static_cast<int32_t>(Entries.size());
  Entries.push_back({Arena.size(), static_cast<uint32_t>(Token.size()), Id});
  Arena += Token;
  Slots[Slot] = static_cast<uint32_t>(Entries.size());
  ++Live;
  return true;
}

std::optional<int32_t> Vocab::find(std::string_view Token) const {
  if (Slots.empty())
    return std::nullopt;
  uint32_t Found = Slots[slotOf(Token)];
  if (!Found)
    return std::nullopt;
  return Entries[Found - 1].Id;
}

std::optional<std::string_view> Vocab::tokenOf(int32_t Id) const {
  if (Id < 0 || static_cast<size_t>(Id) >= EntryOf.size() ||
      EntryOf[static_cast<size_t>(Id)] < 0)
    return std::nullopt;
  return textOf(Entries[static_cast<size_t>(EntryOf[static_cast<size_t>(Id)])]);
}

} // namespace fdpp::text
