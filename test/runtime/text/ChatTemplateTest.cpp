// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Rendering by hand-written forms; test/python/test_chat.py compares with
// jinja2.

#include "text/ChatTemplate.h"

#include <nlohmann/json.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

using namespace fdpp::text;
using nlohmann::json;
using testing::HasSubstr;

static json turn(const char *Prefix, const char *Suffix, const char *Trim) {
  return {{"prefix", Prefix}, {"suffix", Suffix}, {"trim", Trim}};
}

static json llama2() {
  json System = turn("<<SYS>>\n", "\n<</SYS>>\n\n", "none");
  System["mode"] = "in_user";
  return {{"format", 1},
          {"start", ""},
          {"system", System},
          {"later_system", nullptr},
          {"user", turn("<s>[INST] ", " [/INST]", "both")},
          {"assistant", turn(" ", " </s>", "both")},
          {"alternate", true},
          {"generation_prompt", ""}};
}

static json chatMl() {
  json System = turn("<system>", "\n", "none");
  json Later = System;
  System["mode"] = "turn";
  return {{"format", 1},
          {"start", {"<system>It is ", {{"strftime", "%d %b %Y"}}, "\n"}},
          {"system", System},
          {"later_system", Later},
          {"user", turn("<user>", "\n", "none")},
          {"assistant", turn("<assistant>", "\n", "left")},
          {"alternate", false},
          {"generation_prompt", "<assistant>"}};
}

using Messages = std::vector<ChatMessage>;

static Expected<std::string> render(const json &Form, const Messages &M,
                                    bool Generate) {
  auto Chat = ChatTemplate::parse(Form.dump(), "chat.json");
  if (!Chat)
    return Error{Chat.error()};
  std::tm Day{};
  Day.tm_year = 125;
  Day.tm_mon = 10;
  Day.tm_mday = 3;
  Day.tm_hour = 12;
  return Chat->render(M, Generate, std::mktime(&Day));
}

static std::string text(const json &Form, const Messages &M, bool Generate) {
  auto Text = render(Form, M, Generate);
  return Text ? *Text : "error: " + Text.error();
}

TEST(ChatTemplate, SystemInsideTheFirstUserMessage) {
  EXPECT_EQ(text(llama2(),
                 {{"system", " be nice "},
                  {"user", " hi "},
                  {"assistant", " yes\u3000"},
                  {"user", "\x1c bye\n"}},
                 true),
            "<s>[INST] <<SYS>>\n be nice \n<</SYS>>\n\n hi [/INST] yes </s>"
            "<s>[INST] bye [/INST]");
  // The trim sees the system message too.
  EXPECT_EQ(text(llama2(), {{"system", "x"}, {"user", " "}}, false),
            "<s>[INST] <<SYS>>\nx\n<</SYS>> [/INST]");
}

TEST(ChatTemplate, SystemAsATurnAndDefault) {
  EXPECT_EQ(text(chatMl(), {{"user", "a"}}, true),
            "<system>It is 03 Nov 2025\n<user>a\n<assistant>");
  EXPECT_EQ(text(chatMl(),
                 {{"system", "s"}, {"assistant", " b "}, {"system", ""}},
                 false),
            "<system>s\n<assistant>b \n<system>\n");
}

TEST(ChatTemplate, RefusesWhatTheTemplateRefuses) {
  auto Message = [](const json &Form, const Messages &M) {
    auto Text = render(Form, M, false);
    return Text ? "rendered " + *Text : Text.error();
  };
  EXPECT_THAT(Message(llama2(), {}), HasSubstr("at least one message"));
  EXPECT_THAT(Message(llama2(), {{"user", ""}, {"user", ""}}),
              HasSubstr("in turn, the user first"));
  EXPECT_THAT(Message(llama2(), {{"system", ""}}),
              HasSubstr("needs a user message behind the system message"));
  EXPECT_THAT(Message(chatMl(), {{"tool", ""}}), HasSubstr("the role 'tool'"));
  EXPECT_THAT(Message(chatMl(), {{"user", "\xFF"}}), HasSubstr("not UTF-8"));
  json NoSystem = llama2();
  NoSystem["system"] = nullptr;
  EXPECT_THAT(Message(NoSystem, {{"system", ""}}),
              HasSubstr("takes no system message"));
  json NoLater = chatMl();
  NoLater["later_system"] = nullptr;
  EXPECT_THAT(Message(NoLater, {{"user", ""}, {"system", ""}}),
              HasSubstr("only at the start"));
}

TEST(ChatTemplate, RefusesFormsItDoesNotKnow) {
  auto Message = [](const char *Pointer, json Value) {
    json Form = chatMl();
    Form[json::json_pointer(Pointer)] = std::move(Value);
    auto Chat = ChatTemplate::parse(Form.dump(), "c.json");
    return Chat ? std::string("loaded") : Chat.error();
  };
  EXPECT_EQ(Message("/format", 1), "loaded");
  EXPECT_EQ(Message("/format", 2),
            "c.json: 'format' is 2; this runtime reads 1");
  EXPECT_EQ(Message("/new", 2), "c.json: 'new' is not supported");
  EXPECT_EQ(Message("/user/trim", "all"),
            "c.json: 'user.trim' is 'all', which is not supported");
  EXPECT_EQ(Message("/system/mode", "x"),
            "c.json: 'system.mode' is 'x', which is not supported");
  EXPECT_EQ(Message("/user", nullptr), "c.json: 'user' must be an object");
  EXPECT_EQ(Message("/start/1", {{"date", ""}}),
            "c.json: 'start[1].date' is not supported");
  EXPECT_THAT(ChatTemplate::load("/nonexistent/chat.json").error(),
              HasSubstr("/nonexistent/chat.json: cannot be read"));
}
