// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "PostProcessor.h"
#include "Vocab.h"

#include <algorithm>

namespace fdpp::text {

namespace {

/// The ids of the template's special token named Name.
void addIds(const JsonNode &SpecialTokens, const std::string &Name,
            std::vector<int32_t> &Out) {
  JsonNode Ids = SpecialTokens.at(Name.c_str()).at("ids");
  for (size_t I = 0, E = Ids.size(); I != E; ++I)
    Out.push_back(static_cast<int32_t>(Ids.at(I).integer(0, MaxTokenId)));
}

PostProcessor parseTemplate(const JsonNode &Node) {
  Node.only({"type", "single", "pair", "special_tokens"});
  JsonNode Single = Node.at("single");
  PostProcessor Out;
  bool SeenText = false;
  for (size_t I = 0, E = Single.size(); I != E; ++I) {
    JsonNode Part = Single.at(I);
    Part.only({"Sequence", "SpecialToken"});
    if (Part.has("SpecialToken")) {
      addIds(Node.at("special_tokens"),
             Part.at("SpecialToken").at("id").string(),
             SeenText ? Out.After : Out.Before);
      continue;
    }
    JsonNode Id = Part.at("Sequence").at("id");
    if (Id.string() != "A" || SeenText)
      Single.refuse("must use the sequence A exactly once");
    SeenText = true;
  }
  if (!SeenText)
    Single.refuse("must use the sequence A exactly once");
  return Out;
}

void add(const JsonNode &Node, PostProcessor &Out, int &Templates, int Depth) {
  const std::string &Type = Node.at("type").string();
  if (Type == "Sequence") {
    Node.only({"type", "processors"});
    JsonNode Parts = Node.at("processors");
    if (Depth == 8)
      Node.refuse("is nested too deeply");
    for (size_t I = 0, E = Parts.size(); I != E; ++I)
      add(Parts.at(I), Out, Templates, Depth + 1);
  } else if (Type == "TemplateProcessing") {
    if (Templates++)
      Node.refuse("is a second TemplateProcessing, which is not supported");
    Out = parseTemplate(Node);
  } else if (Type == "ByteLevel") {
    Node.only({"type", "add_prefix_space", "trim_offsets", "use_regex"});
  } else {
    Node.refuse("is a '" + Type + "', which is not supported");
  }
}

} // namespace

PostProcessor parsePostProcessor(const JsonNode &Node) {
  PostProcessor Out;
  int Templates = 0;
  if (!Node.isNull())
    add(Node, Out, Templates, 0);
  return Out;
}

} // namespace fdpp::text
