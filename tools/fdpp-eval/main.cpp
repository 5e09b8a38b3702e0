// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// fdpp-eval: perplexity of an engine, and its distance from a reference.
#include "Options.h"

#include <algorithm>

using namespace fdpp::tools;
using namespace fdpp::eval;

static std::vector<Window> windowsOf(const Options &options,
                                     const Engine &engine,
                                     const ReferenceReader *reference) {
  fdpp_engine_info info = infoOf(engine);
  if (options.text.empty())
    return reference->windows();
  int32_t length = options.window ? options.window : 512;
  if (!options.window)
    length = std::min(length, info.max_context);
  std::vector<Window> windows =
      cutText(engine, readFile(options.text, "the text"), length);
  if (options.most && static_cast<size_t>(options.most) < windows.size())
    windows.resize(options.most);
  if (reference && windows != reference->windows())
    fail(reference->path() +
         ": was made of another text, tokenizer, -c or --windows");
  return windows;
}

static int run(int argc, char **argv) {
  Options options;
  if (auto code = parseOptions(argc, argv, options))
    return *code;
  exitOnInterrupt();
  std::optional<ReferenceReader> reference;
  if (!options.reference.empty())
    reference.emplace(options.reference);
  Engine engine = openEngine(options.folder, /*verify=*/false);
  fdpp_engine_info info = infoOf(engine);
  if (reference && reference->vocab() > 0 &&
      reference->vocab() != info.vocab_size)
    fail(reference->path() + ": has " + std::to_string(reference->vocab()) +
         " tokens in its vocabulary, the engine " +
         std::to_string(info.vocab_size));
  Wish wish;
  wish.threads = options.threads;
  wish.reference = reference ? &*reference : nullptr;
  std::vector<Window> windows = windowsOf(options, engine, wish.reference);
  std::optional<ReferenceWriter> writer;
  if (!options.save.empty()) {
    Stored stored = options.stored == "f16"   ? Stored::F16
                    : options.stored == "f32" ? Stored::F32
                                              : Stored::None;
    wish.writer = &writer.emplace(options.save, windows, describe(engine),
                                  info.vocab_size, stored);
  }
  InterruptGuard guard;
  Evaluation evaluation = evaluate(engine, windows, wish);
  if (writer)
    writer->finish();
  print(options, engine, wish.reference, evaluation);
  checkGates(options, evaluation);
  return 0;
}

int main(int argc, char **argv) {
  return runTool("fdpp-eval", [&] { return run(argc, argv); });
}
