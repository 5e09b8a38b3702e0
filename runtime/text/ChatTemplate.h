// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Conversations -> prompt text, from the `chat.json` that fdpp-export writes
// beside a model. chat.json is a small declarative form of the model's Jinja
// template; export writes it only after it rendered its test conversations
// byte for byte as the template does. There is no Jinja interpreter here. The
// form is described in python/src/fdpp/chat.py.

#ifndef FDPP_RUNTIME_TEXT_CHATTEMPLATE_H
#define FDPP_RUNTIME_TEXT_CHATTEMPLATE_H

#include "Expected.h"

#include <ctime>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace fdpp::text {

struct ChatForm;

struct ChatMessage {
  std::string Role;    ///< "system", "user" or "assistant"
  std::string Content; ///< UTF-8
};

/// An immutable chat template. Copies share it; every method is thread safe.
class ChatTemplate {
public:
  /// Reads a chat.json; the error names the file and the field.
  static Expected<ChatTemplate> load(const std::string &Path);
  static Expected<ChatTemplate> parse(std::string_view Json,
                                      const std::string &Name);

  /// The prompt. It spells special tokens (BOS too) as text: encode it with
  /// AddSpecial = false. AddGenerationPrompt opens the assistant's turn. Now is
  /// for templates that state the date (local time).
  /// Fails for a conversation that the model's template refuses too, such as
  /// turns that do not alternate, and for other roles than the three.
  Expected<std::string> render(std::span<const ChatMessage> Messages,
                               bool AddGenerationPrompt,
                               std::time_t Now = std::time(nullptr)) const;

private:
  explicit ChatTemplate(std::shared_ptr<const ChatForm> Form);
  std::shared_ptr<const ChatForm> Form;
};

} // namespace fdpp::text

#endif // FDPP_RUNTIME_TEXT_CHATTEMPLATE_H
