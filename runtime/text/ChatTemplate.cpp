// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "ChatTemplate.h"
#include "Json.h"
#include "Utf8.h"

#include <new>
#include <optional>
#include <vector>

namespace fdpp::text {

namespace {

/// Fixed text in which some parts are the date.
struct Literal {
  struct Part {
    std::string Text; // or a strftime format
    bool IsDate;
  };
  std::vector<Part> Parts;

  void print(const std::tm &Now, std::string &Out) const {
    for (const Part &P : Parts) {
      char Date[256];
      if (!P.IsDate)
        Out += P.Text;
      else
        Out.append(Date,
                   std::strftime(Date, sizeof(Date), P.Text.c_str(), &Now));
    }
  }
};

/// What stands around a message's content.
struct Turn {
  Literal Prefix, Suffix;
  bool TrimLeft = false, TrimRight = false;
};

enum class SystemMode { Refused, Turn, InUser };

/// The white space that Python's str.strip() removes.
bool isPythonSpace(char32_t C) {
  return isWhiteSpace(C) || (C >= 0x1C && C <= 0x1F);
}

std::string_view trim(std::string_view Text, const Turn &T) {
  while (T.TrimLeft && !Text.empty()) {
    size_t Next = 0;
    if (!isPythonSpace(nextCodePoint(Text, Next)))
      break;
    Text.remove_prefix(Next);
  }
  while (T.TrimRight && !Text.empty()) {
    size_t Start = previousStart(Text, Text.size()), Next = Start;
    if (!isPythonSpace(nextCodePoint(Text, Next)))
      break;
    Text = Text.substr(0, Start);
  }
  return Text;
}

} // namespace

struct ChatForm {
  Literal Start; // before the first turn when no system message leads
  SystemMode Mode = SystemMode::Refused;
  Turn System; // of a leading system message
  std::optional<Turn> LaterSystem;
  Turn User, Assistant;
  bool Alternate = false; // user, assistant, user, ... or refuse
  Literal GenerationPrompt;
};

namespace {

Literal parseLiteral(const JsonNode &Node) {
  Literal Out;
  if (Node.isString()) {
    Out.Parts.push_back({Node.string(), false});
    return Out;
  }
  for (size_t I = 0, E = Node.size(); I != E; ++I) {
    JsonNode Part = Node.at(I);
    if (Part.isString()) {
      Out.Parts.push_back({Part.string(), false});
      continue;
    }
    Part.only({"strftime"});
    Out.Parts.push_back({Part.at("strftime").string(), true});
  }
  return Out;
}

Turn parseTurn(const JsonNode &Node) {
  Turn Out;
  Out.Prefix = parseLiteral(Node.at("prefix"));
  Out.Suffix = parseLiteral(Node.at("suffix"));
  const std::string &Trim = Node.at("trim").string();
  if (Trim != "none" && Trim != "left" && Trim != "right" && Trim != "both")
    Node.at("trim").refuse("is '" + Trim + "', which is not supported");
  Out.TrimLeft = Trim == "left" || Trim == "both";
  Out.TrimRight = Trim == "right" || Trim == "both";
  return Out;
}

std::shared_ptr<const ChatForm> parseForm(const JsonNode &Root) {
  auto Form = std::make_shared<ChatForm>();
  int64_t Format = Root.at("format").integer(0, INT32_MAX);
  if (Format != 1)
    Root.at("format").refuse("is " + std::to_string(Format) +
                             "; this runtime reads 1");
  Root.only({"format", "start", "system", "later_system", "user", "assistant",
             "alternate", "generation_prompt"});
  Form->Start = parseLiteral(Root.at("start"));
  if (JsonNode System = Root.at("system"); !System.isNull()) {
    System.only({"mode", "prefix", "suffix", "trim"});
    Form->System = parseTurn(System);
    const std::string &Mode = System.at("mode").string();
    if (Mode != "turn" && Mode != "in_user")
      System.at("mode").refuse("is '" + Mode + "', which is not supported");
    Form->Mode = Mode == "turn" ? SystemMode::Turn : SystemMode::InUser;
  }
  if (JsonNode Later = Root.at("later_system"); !Later.isNull()) {
    Later.only({"prefix", "suffix", "trim"});
    Form->LaterSystem = parseTurn(Later);
  }
  Root.at("user").only({"prefix", "suffix", "trim"});
  Form->User = parseTurn(Root.at("user"));
  Root.at("assistant").only({"prefix", "suffix", "trim"});
  Form->Assistant = parseTurn(Root.at("assistant"));
  Form->Alternate = Root.at("alternate").boolean();
  Form->GenerationPrompt = parseLiteral(Root.at("generation_prompt"));
  return Form;
}

/// One rendering.
class Renderer {
public:
  Renderer(const ChatForm &Form, const std::tm &Now) : Form(Form), Now(Now) {}

  std::string run(std::span<const ChatMessage> Messages, bool Generate) {
    if (Messages.empty())
      fail("a conversation needs at least one message");
    bool Led = Messages[0].Role == "system";
    if (Led)
      leadingSystem(Messages);
    else
      Form.Start.print(Now, Out);
    for (size_t I = Led; I < Messages.size(); ++I)
      turn(Messages[I], I - Led);
    if (Generate)
      Form.GenerationPrompt.print(Now, Out);
    return std::move(Out);
  }

private:
  void print(const Turn &T, std::string_view Content) {
    T.Prefix.print(Now, Out);
    Out += trim(Content, T);
    T.Suffix.print(Now, Out);
  }

  void leadingSystem(std::span<const ChatMessage> Messages) {
    if (Form.Mode == SystemMode::Refused)
      fail("this model's chat template takes no system message");
    if (Form.Mode == SystemMode::Turn)
      return print(Form.System, Messages[0].Content);
    if (Messages.size() < 2 || Messages[1].Role != "user")
      fail("this model's chat template needs a user message behind the system "
           "message");
    Form.Start.print(Now, Out);
    // It becomes a part of the first user message; that one's trim comes last.
    std::swap(Out, InUser);
    print(Form.System, Messages[0].Content);
    std::swap(Out, InUser);
  }

  void turn(const ChatMessage &M, size_t Index) {
    bool User = M.Role == "user", Assistant = M.Role == "assistant";
    if (!User && !Assistant && M.Role != "system")
      fail("a message has the role '" + M.Role +
           "'; system, user and assistant are known");
    if (Form.Alternate && (Index % 2 == 0 ? !User : !Assistant))
      fail("this model's chat template needs user and assistant messages in "
           "turn, the user first");
    if (User) {
      print(Form.User, InUser + M.Content);
      InUser.clear();
    } else if (Assistant) {
      print(Form.Assistant, M.Content);
    } else if (Form.LaterSystem) {
      print(*Form.LaterSystem, M.Content);
    } else {
      fail("this model's chat template takes a system message only at the "
           "start");
    }
  }

  const ChatForm &Form;
  const std::tm &Now;
  std::string Out;
  std::string InUser; // the system message on its way into the user's
};

} // namespace

ChatTemplate::ChatTemplate(std::shared_ptr<const ChatForm> Form)
    : Form(std::move(Form)) {}

Expected<ChatTemplate> ChatTemplate::parse(std::string_view Json,
                                           const std::string &Name) {
  try {
    nlohmann::json Document = parseJson(Json);
    return ChatTemplate(parseForm(JsonNode(Document, "")));
  } catch (const Failure &F) {
    return Error{Name + ": " + F.what()};
  } catch (const std::bad_alloc &) {
    return Error{Name + ": out of memory"};
  }
}

Expected<ChatTemplate> ChatTemplate::load(const std::string &Path) {
  try {
    return parse(readFile(Path), Path);
  } catch (const Failure &F) {
    return Error{Path + ": " + F.what()};
  }
}

Expected<std::string>
ChatTemplate::render(std::span<const ChatMessage> Messages,
                     bool AddGenerationPrompt, std::time_t Now) const {
  std::tm Local{};
  localtime_r(&Now, &Local);
  try {
    for (const ChatMessage &M : Messages)
      if (!isValidUtf8(M.Content))
        fail("a message is not UTF-8");
    return Renderer(*Form, Local).run(Messages, AddGenerationPrompt);
  } catch (const Failure &F) {
    return Error{std::string("chat: ") + F.what()};
  }
}

} // namespace fdpp::text
