// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Options.h"

#include "Arguments.h"

namespace fdpp::eval {

static const char *const kExamples =
    R"(Perplexity is exp of the mean loss of the scored tokens; all but the first of
each window are scored. Errors are standard errors over windows. A reference
holds the tokens, losses and, unless --store=none, all log-probabilities of
another engine (or of Hugging Face, docs/evaluating.md).

Examples:
  fdpp-eval model.fdpp --text book.txt
  fdpp-eval f32.fdpp --text book.txt --windows 16 --save f32.safetensors
  fdpp-eval bf16.fdpp --reference f32.safetensors
  fdpp-eval bf16.fdpp --reference f32.safetensors \
      --max-perplexity-change 0.005 --max-kl 0.01      exits with 1 if missed)";

static void checkOptions(const Options &o) {
  if (o.text.empty() && o.reference.empty())
    tools::fail("nothing to evaluate; give --text, --reference or both");
  if (o.window < 0 || o.most < 0)
    tools::fail("-c and --windows must be 1 or more");
  if (o.text.empty() && (o.window || o.most))
    tools::fail("-c and --windows cut a text; the windows of a reference are "
                "given");
  if (o.stored != "f16" && o.stored != "f32" && o.stored != "none")
    tools::fail("--store takes f16, f32 or none, not '" + o.stored + "'");
  if (o.reference.empty() && (o.maxChange || o.maxKl || o.minSameTop))
    tools::fail("the gates compare with a reference; give --reference");
}

std::optional<int> parseOptions(int argc, char **argv, Options &o) {
  CLI::App app{"Perplexity of an engine, and how its probabilities differ from "
               "a reference's.",
               "fdpp-eval"};
  app.get_formatter()->column_width(34);
  app.footer(kExamples);
  app.add_option("DIR", o.folder, "Engine folder, as fdpp-compile wrote it")
      ->required()
      ->type_name("");
  app.add_option("--text", o.text, "Text to evaluate; -: stdin")
      ->type_name("FILE");
  app.add_option("--reference", o.reference,
                 "Compare with this; without --text its tokens are used")
      ->type_name("FILE");
  app.add_option("--save", o.save, "Write a reference of this engine")
      ->type_name("FILE");
  app.add_option("--store", o.stored,
                 "Log-probabilities in that file: f16, f32 or none [f16]")
      ->type_name("DTYPE");
  app.add_option("-c", o.window, "Tokens of a window [512]")->type_name("N");
  app.add_option("--windows", o.most, "Windows at most [all]")->type_name("N");
  app.add_option("-t", o.threads, "Threads [physical cores]")->type_name("N");
  app.add_flag("--json", o.json, "Print JSON");
  app.add_option("--max-perplexity-change", o.maxChange,
                 "Fail if the perplexity differs by more than this share")
      ->type_name("X");
  app.add_option("--max-kl", o.maxKl, "Fail if the mean KL is more, in nats")
      ->type_name("X");
  app.add_option("--min-same-top", o.minSameTop,
                 "Fail if the most likely token agrees less often")
      ->type_name("X");
  if (auto code = tools::parseArguments(app, argc, argv))
    return code;
  checkOptions(o);
  return std::nullopt;
}

} // namespace fdpp::eval
