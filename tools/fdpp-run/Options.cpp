// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Options.h"

#include "Arguments.h"

namespace fdpp::tools {
namespace {

const char *const kExamples = R"(Examples:
  fdpp-run model.fdpp                             chat, on a terminal
  fdpp-run model.fdpp --chat "Name three rivers"  one answer
  fdpp-run model.fdpp -p "Once upon a time" -n 64 --temp 0.8 --top-p 0.95
  echo "Once upon a time" | fdpp-run model.fdpp   prompt from stdin
  fdpp-run model.fdpp -p "One" -p "Two"           both in one batch
  fdpp-run model.fdpp --tokens 1,2,3 -n 0 --logits out.npy
  fdpp-run model.fdpp --plan -c 4096              what memory it takes)";

void addSampling(CLI::App &app, fdpp_sampling &sampling) {
  app.add_option("--temp", sampling.temperature, "Temperature; 0: greedy [0]")
      ->type_name("F");
  app.add_option("--top-k", sampling.top_k, "Keep the K best; 0: all [0]")
      ->type_name("K");
  app.add_option("--top-p", sampling.top_p,
                 "Keep the best that share P of the probability [1]")
      ->type_name("P");
  app.add_option("--min-p", sampling.min_p,
                 "Drop what is less than P times as likely as the best [0]")
      ->type_name("P");
  app.add_option("--repeat-penalty", sampling.repeat_penalty,
                 "Divide the logits of tokens already there [1]")
      ->type_name("F");
  app.add_option("--seed", sampling.seed, "Of the random numbers [0]")
      ->type_name("N");
}

void checkTogether(const RunOptions &o) {
  if (o.listDevices)
    return;
  if (o.folder.empty())
    fail("no engine given; name the folder that fdpp-compile wrote, see "
         "--help");
  int ways = !o.prompts.empty() + !o.file.empty() + !o.promptsFile.empty() +
             o.hasChat + !o.tokenLists.empty();
  if (ways > 1)
    fail("-p, -f, --prompts, --chat and --tokens exclude each other; give one "
         "of them");
  if (!o.taps.empty() && (o.maxNew.value_or(0) != 0 || !o.logits.empty()))
    fail("--taps only reads the prompt; leave -n and --logits out");
  if (o.prefill < 0)
    fail("--prefill must be 1 or more");
}

} // namespace

std::optional<int> parseRunOptions(int argc, char **argv, RunOptions &o) {
  CLI::App app{"Runs an engine: completes text, answers, chats.", "fdpp-run"};
  app.get_formatter()->column_width(28);
  app.footer(kExamples);
  app.add_option("DIR", o.folder, "Engine folder, as fdpp-compile wrote it")
      ->type_name("");
  app.add_option("-p,--prompt", o.prompts, "Text to go on with; repeatable")
      ->type_name("TEXT")
      ->take_all()
      ->allow_extra_args(false);
  app.add_option("-f,--file", o.file, "Read the prompt from a file")
      ->type_name("FILE");
  app.add_option("--prompts", o.promptsFile,
                 "A prompt a line, all in one batch")
      ->type_name("FILE");
  auto *chat =
      app.add_option("--chat", o.chat, "Answer one message")->type_name("TEXT");
  app.add_option("--tokens", o.tokenLists,
                 "Token ids as they are, no BOS added; repeatable")
      ->type_name("IDS")
      ->take_all()
      ->allow_extra_args(false);
  app.add_option(
         "-n", o.maxNew,
         "Tokens to generate at most; -1: until the model ends [256, no "
         "limit in a chat]")
      ->type_name("N");
  app.add_option("-c", o.session.context, "Context, prompt included [8192]")
      ->type_name("CTX");
  app.add_option("-t", o.session.threads, "Threads [physical cores]")
      ->type_name("N");
  app.add_flag("--batch-invariant", o.session.batch_invariant,
               "Decode steps give the same bits in every batch");
  addSampling(app, o.sampling);
  app.add_option("--prefill", o.prefill,
                 "Prefill M tokens, feed the rest one at a time")
      ->type_name("M");
  app.add_option("--logits", o.logits,
                 "Write float32 [tokens, vocab] of the prompt")
      ->type_name("F.npy");
  app.add_option("--taps", o.taps,
                 "Stream the intermediate values of the prompt to F, - for "
                 "stdout; engines of fdpp-compile --taps")
      ->type_name("F");
  app.add_flag("--stats", o.stats,
               "Tokens, times, bytes and recomputed rows, to stderr");
  app.add_flag("--plan", o.plan, "Say what memory it takes and what fits");
  app.add_flag("--list-devices", o.listDevices, "Say what can run engines");
  app.add_flag("--json", o.json, "Results as JSON");
  app.add_flag("--verify", o.verify, "Check the SHA-256 of every file first");
  if (auto code = parseArguments(app, argc, argv))
    return code;
  o.hasChat = chat->count() > 0;
  checkTogether(o);
  return std::nullopt;
}

} // namespace fdpp::tools
