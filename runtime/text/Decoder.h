// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The `decoder` of a tokenizer.json, one token at a time: ByteLevel, Replace,
// ByteFallback, Fuse, Strip, Metaspace and Sequence of them.

#ifndef FDPP_RUNTIME_TEXT_DECODER_H
#define FDPP_RUNTIME_TEXT_DECODER_H

#include "Json.h"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace fdpp::text {

class DecodePipeline;

/// One step of decoding with its state. It hands on tokens, or pieces of the
/// one token that Fuse and ByteLevel make of all.
class DecodeStage {
public:
  virtual ~DecodeStage() = default;
  /// Takes the next token; gives what is certain to Next.
  virtual void push(std::string_view Token, DecodePipeline &Next) = 0;
  /// Gives what was held back to Next, and starts anew.
  virtual void finish(DecodePipeline &Next) = 0;
  /// The same step, at its start.
  virtual std::unique_ptr<DecodeStage> fresh() const = 0;
};

/// The steps of a file's decoder; the prototype that streams are made from.
class DecoderSpec {
public:
  /// From the file's value; null puts a space between tokens. Throws Failure.
  static DecoderSpec parse(const JsonNode &Node);
  std::unique_ptr<DecodePipeline> start() const;

private:
  void add(const JsonNode &Node, int Depth);
  std::vector<std::unique_ptr<DecodeStage>> Stages;
  bool Fused = false; // some step so far makes one token of all
};

/// The steps in a row, ending in a string.
class DecodePipeline {
public:
  explicit DecodePipeline(std::vector<std::unique_ptr<DecodeStage>> Stages)
      : Stages(std::move(Stages)) {}

  /// Runs a token through the steps; appends what is certain to Out.
  void push(std::string_view Token, std::string &Out);
  /// Ends the text: appends what the steps held back.
  void finish(std::string &Out);

  /// For a stage: hands Token to the step behind it.
  void pass(std::string_view Token);

private:
  std::vector<std::unique_ptr<DecodeStage>> Stages;
  size_t Current = 0; // the stage that pass() goes to
  std::string *Sink = nullptr;
};

} // namespace fdpp::text

#endif // FDPP_RUNTIME_TEXT_DECODER_H
