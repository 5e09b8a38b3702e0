// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Text <-> token ids, from the `tokenizer.json` that Hugging Face models carry.
//
// Supported is what Llama-family models use: BPE, byte-level (SmolLM, Llama-3,
// Qwen2) or SentencePiece style with byte fallback (Llama-2), with their
// normalizers, pre-tokenizers, added tokens, post-processors and decoders.
// Everything else in the file is refused by load(), never ignored. Ids and
// text are those of Hugging Face `tokenizers` (compared with 0.23.3) for all
// characters that both sides' Unicode tables know: there Unicode 16 in regular
// expressions and 9 in normalization, here those of the installed PCRE2 and
// utf8proc (14 and 15 on Debian 12).
//
// Format: https://github.com/huggingface/tokenizers

#ifndef FDPP_RUNTIME_TEXT_TOKENIZER_H
#define FDPP_RUNTIME_TEXT_TOKENIZER_H

#include "Expected.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace fdpp::text {

class TokenizerImpl;
class DecodePipeline;

/// An immutable tokenizer. Copies share it; every method is thread safe.
class Tokenizer {
public:
  /// Reads a tokenizer.json. The error names the file and the part of it that
  /// is missing, wrong or not supported.
  static Expected<Tokenizer> load(const std::string &Path);

  /// The same from memory; Name stands for the file in messages.
  static Expected<Tokenizer> parse(std::string_view Json,
                                   const std::string &Name);

  /// The ids of Text. AddSpecial runs the post-processor's template (BOS and
  /// the like); special tokens written inside Text are recognised either way.
  /// Bytes that are no UTF-8 count as U+FFFD. Fails only where the file allows
  /// it: an unknown character whose unk_token is not in the vocabulary, or a
  /// Split regex that runs out of its match limit.
  Expected<std::vector<int32_t>> encode(std::string_view Text,
                                        bool AddSpecial) const;

  /// The text of Ids, always valid UTF-8: broken bytes become U+FFFD.
  /// SkipSpecial leaves special tokens out. Ids without a token are skipped.
  std::string decode(std::span<const int32_t> Ids, bool SkipSpecial) const;

  /// One more than the largest id; there may be ids without a token below it.
  size_t vocabSize() const;

  std::optional<int32_t> idOf(std::string_view Token) const;

  /// The token's spelling in the file (byte-level: 'Ġthe'), not its text. The
  /// view lives as long as any copy of this tokenizer.
  std::optional<std::string_view> tokenOf(int32_t Id) const;

  /// True for the file's special tokens: those that SkipSpecial leaves out.
  bool isSpecial(int32_t Id) const;

private:
  friend class StreamDecoder;
  explicit Tokenizer(std::shared_ptr<const TokenizerImpl> Impl);
  std::shared_ptr<const TokenizerImpl> Impl;
};

/// Decodes one token at a time and gives text out as soon as it is certain.
/// What push() and flush() return, one after another, is exactly what
/// Tokenizer::decode returns for all the ids, and each part is valid UTF-8.
class StreamDecoder {
public:
  StreamDecoder(const Tokenizer &Tok, bool SkipSpecial);
  ~StreamDecoder();
  StreamDecoder(StreamDecoder &&) noexcept;
  StreamDecoder &operator=(StreamDecoder &&) noexcept;

  /// The text that Id makes certain; often empty inside a character.
  std::string push(int32_t Id);

  /// The rest, with U+FFFD for bytes that never became a character. Afterwards
  /// the decoder is as new.
  std::string flush();

private:
  std::shared_ptr<const TokenizerImpl> Impl;
  std::unique_ptr<DecodePipeline> Pipeline;
  bool SkipSpecial;
};

} // namespace fdpp::text

#endif // FDPP_RUNTIME_TEXT_TOKENIZER_H
