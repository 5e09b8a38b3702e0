// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "TokenizerFile.h"
#include "Json.h"

namespace fdpp::text {

namespace {

using nlohmann::json;

/// SAX events -> TokenizerFile.
class Reader {
public:
  explicit Reader(TokenizerFile &File) : File(File) {}

  bool null() { return value(nullptr, "null"); }
  bool boolean(bool B) { return value(B, "a boolean"); }
  bool number_float(double D, const std::string &) {
    return value(D, "a fraction");
  }
  bool number_integer(int64_t N) {
    if (Place == InVocab)
      return vocabId(N);
    return value(N, "a number");
  }
  bool number_unsigned(uint64_t N) {
    if (Place == InVocab)
      return vocabId(N > INT64_MAX ? INT64_MAX : static_cast<int64_t>(N));
    return value(N, "a number");
  }
  bool string(std::string &S) {
    if (Place == InMerges)
      return legacyMerge(S);
    if (Place == InMergePair) {
      ++PairSize;
      File.Merges.push_back(std::move(S));
      return true;
    }
    return value(std::move(S), "a string");
  }
  bool binary(json::binary_t &) { return false; }

  bool key(std::string &K) {
    Key = std::move(K);
    return true;
  }

  bool start_object(size_t) {
    if (Place == Document && Open.size() == 2 && InModel && Key == "vocab") {
      Place = InVocab;
      File.HasVocab = true;
      return true;
    }
    if (Place != Document)
      return value(nullptr, "an object");
    open(json::object());
    return true;
  }
  bool end_object() {
    if (Place == InVocab)
      Place = Document;
    else
      close();
    return true;
  }

  bool start_array(size_t) {
    if (Place == Document && Open.size() == 2 && InModel && Key == "merges") {
      Place = InMerges;
      File.HasMerges = true;
      return true;
    }
    if (Place == InMerges) {
      Place = InMergePair;
      PairSize = 0;
      return true;
    }
    if (Place != Document)
      return value(nullptr, "an array");
    open(json::array());
    return true;
  }
  bool end_array() {
    if (Place == InMergePair) {
      if (PairSize != 2)
        fail("'model.merges' has an entry of " + std::to_string(PairSize) +
             " strings instead of 2");
      Place = InMerges;
    } else if (Place == InMerges) {
      Place = Document;
    } else {
      close();
    }
    return true;
  }

  bool parse_error(size_t, const std::string &, const json::exception &E) {
    fail(describeJsonError(E));
  }

private:
  enum { Document, InVocab, InMerges, InMergePair } Place = Document;

  bool vocabId(int64_t Id) {
    if (Id < 0 || Id > MaxTokenId)
      fail("'model.vocab' gives a token the id " + std::to_string(Id) +
           ", outside 0 to " + std::to_string(MaxTokenId));
    if (!File.Tokens.add(Key, static_cast<int32_t>(Id)))
      fail("'model.vocab' gives the id " + std::to_string(Id) +
           " to two tokens");
    return true;
  }

  /// "left right", as files written before 2024 have it.
  bool legacyMerge(const std::string &S) {
    if (S.starts_with("#version"))
      return true;
    size_t Space = S.find(' ');
    if (Space == std::string::npos || S.find(' ', Space + 1) != S.npos)
      fail("'model.merges' entry " + std::to_string(File.Merges.size() / 2) +
           " is not two tokens with a space between them");
    File.Merges.push_back(S.substr(0, Space));
    File.Merges.push_back(S.substr(Space + 1));
    return true;
  }

  bool value(json V, const char *What) {
    if (Place != Document)
      fail(std::string("'model.") + (Place == InVocab ? "vocab" : "merges") +
           "' has " + What + " where it cannot be");
    *slot() = std::move(V);
    return true;
  }

  /// Where the next value belongs.
  json *slot() {
    if (Open.empty())
      return &File.Document;
    json &Parent = *Open.back();
    if (Parent.is_array()) {
      Parent.push_back(nullptr);
      return &Parent.back();
    }
    return &Parent[Key];
  }

  void open(json Container) {
    if (Open.size() == 64)
      fail("is nested too deeply");
    json *Where = slot();
    *Where = std::move(Container);
    if (Open.size() == 1)
      InModel = Open.back()->is_object() && Key == "model";
    Open.push_back(Where);
  }
  void close() { Open.pop_back(); }

  TokenizerFile &File;
  // A container's address is stable while it is open: its parent only grows
  // once it is closed.
  std::vector<json *> Open;
  std::string Key;
  bool InModel = false;
  size_t PairSize = 0;
};

} // namespace

TokenizerFile readTokenizerFile(std::string_view Text) {
  TokenizerFile File;
  Reader R(File);
  json::sax_parse(Text.begin(), Text.end(), &R);
  if (!File.Document.is_object())
    fail("is no tokenizer: its top level is not an object");
  return File;
}

static void checkModelOptions(const JsonNode &Model, Bpe &Out) {
  // The reader leaves these in the document only when they are something else.
  if (Model.has("vocab"))
    Model.at("vocab").refuse("must be an object");
  if (Model.has("merges"))
    Model.at("merges").refuse("must be an array");
  Model.only({"type", "dropout", "unk_token", "continuing_subword_prefix",
              "end_of_word_suffix", "fuse_unk", "byte_fallback",
              "ignore_merges"});
  // Files from before 2021 leave the type out; their merges say BPE.
  if (Model.has("type") && Model.at("type").string() != "BPE")
    Model.at("type").refuse("is '" + Model.at("type").string() +
                            "'; only BPE is supported");
  if (Model.has("dropout") && !Model.at("dropout").isZeroOrNull())
    Model.at("dropout").refuse("is not supported");
  for (const char *Affix : {"continuing_subword_prefix", "end_of_word_suffix"})
    if (JsonNode Field = Model.get(Affix);
        !Field.isNull() && !Field.string().empty())
      Field.refuse("is not supported");
  if (JsonNode Unk = Model.get("unk_token"); !Unk.isNull()) {
    Out.HasUnk = true;
    Out.UnkToken = Unk.string();
  }
  Out.FuseUnk = Model.boolean("fuse_unk", false);
  Out.ByteFallback = Model.boolean("byte_fallback", false);
  Out.IgnoreMerges = Model.boolean("ignore_merges", false);
}

Bpe parseBpe(TokenizerFile &File) {
  JsonNode Model = JsonNode(File.Document, "").at("model");
  Bpe Out;
  checkModelOptions(Model, Out);
  if (!File.HasVocab)
    fail("'model.vocab' is missing");
  if (!File.HasMerges)
    fail("'model.merges' is missing");
  Out.Tokens = std::move(File.Tokens);
  Out.reserveMerges(File.Merges.size() / 2);
  for (size_t I = 0; I != File.Merges.size(); I += 2)
    Out.addMerge(File.Merges[I], File.Merges[I + 1],
                 static_cast<uint32_t>(I / 2));
  Out.finish();
  return Out;
}

} // namespace fdpp::text
