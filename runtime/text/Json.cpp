// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "Json.h"
#include "Utf8.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

namespace fdpp::text {

static std::string fieldPath(const std::string &Where, const std::string &Key) {
  return Where.empty() ? Key : Where + "." + Key;
}

void JsonNode::refuse(const std::string &What) const {
  fail("'" + Where + "' " + What);
}

bool JsonNode::has(const char *Key) const {
  return Value->is_object() && Value->contains(Key);
}

JsonNode JsonNode::get(const char *Key) const {
  static const nlohmann::json Null;
  if (!Value->is_object())
    refuse("must be an object");
  auto It = Value->find(Key);
  return JsonNode(It == Value->end() ? Null : *It, fieldPath(Where, Key));
}

JsonNode JsonNode::at(const char *Key) const {
  JsonNode Field = get(Key);
  if (!has(Key))
    Field.refuse("is missing");
  return Field;
}

const std::string &JsonNode::string() const {
  if (!Value->is_string())
    refuse("must be a string");
  return Value->get_ref<const std::string &>();
}

bool JsonNode::boolean() const {
  if (!Value->is_boolean())
    refuse("must be true or false");
  return Value->get<bool>();
}

bool JsonNode::boolean(const char *Key, bool Default) const {
  JsonNode Field = get(Key);
  return Field.isNull() ? Default : Field.boolean();
}

int64_t JsonNode::integer(int64_t Low, int64_t High) const {
  bool Fits = Value->is_number_integer();
  if (Fits && Value->is_number_unsigned())
    Fits = Value->get<uint64_t>() <= static_cast<uint64_t>(INT64_MAX);
  int64_t N = Fits ? Value->get<int64_t>() : 0;
  if (!Fits || N < Low || N > High)
    refuse("must be an integer from " + std::to_string(Low) + " to " +
           std::to_string(High));
  return N;
}

char32_t JsonNode::character() const {
  const std::string &S = string();
  if (S.empty() || utf8Length(static_cast<unsigned char>(S[0])) != S.size())
    refuse("must be one character");
  size_t Pos = 0;
  return nextCodePoint(S, Pos);
}

size_t JsonNode::size() const {
  if (!Value->is_array())
    refuse("must be an array");
  return Value->size();
}

JsonNode JsonNode::at(size_t Index) const {
  return JsonNode((*Value)[Index], Where + "[" + std::to_string(Index) + "]");
}

void JsonNode::only(std::initializer_list<std::string_view> Known) const {
  if (!Value->is_object())
    refuse("must be an object");
  for (const auto &Field : Value->items())
    if (std::find(Known.begin(), Known.end(), Field.key()) == Known.end())
      JsonNode(Field.value(), fieldPath(Where, Field.key()))
          .refuse("is not supported");
}

std::string readFile(const std::string &Path) {
  std::unique_ptr<std::FILE, int (*)(std::FILE *)> File(
      std::fopen(Path.c_str(), "rb"), &std::fclose);
  if (!File)
    fail("cannot be read: " + std::string(std::strerror(errno)));
  std::string Text;
  char Buffer[1 << 16];
  while (size_t N = std::fread(Buffer, 1, sizeof(Buffer), File.get()))
    Text.append(Buffer, N);
  if (std::ferror(File.get()))
    fail("cannot be read: " + std::string(std::strerror(errno)));
  return Text;
}

std::string describeJsonError(const std::exception &E) {
  std::string What = E.what();
  // nlohmann's "[json.exception.parse_error.101] parse error at ..."
  if (size_t Bracket = What.find("] "); Bracket != std::string::npos)
    What.erase(0, Bracket + 2);
  // The offending text may hold anything; a message is one printable line.
  for (char &C : What)
    if (static_cast<unsigned char>(C) < 0x20 || C == 0x7F)
      C = ' ';
  if (What.size() > 200)
    What.resize(200);
  std::string Clean;
  LossyUtf8 Lossy;
  Lossy.push(What, Clean);
  Lossy.finish(Clean);
  return "is not JSON: " + Clean;
}

nlohmann::json parseJson(std::string_view Text) {
  try {
    return nlohmann::json::parse(Text.begin(), Text.end());
  } catch (const nlohmann::json::exception &E) {
    fail(describeJsonError(E));
  }
}

} // namespace fdpp::text
