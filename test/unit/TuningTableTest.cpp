// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Reading tuning tables: what they say, and one line for each way in which a
// file may be none.

#include "fdpp/Tuning/TuningTable.h"

#include <gtest/gtest.h>

using namespace mlir::fdpp;

namespace {

constexpr const char *kTable = R"({
  "magic": "fdpp-tuning", "format": 1,
  "versions": {"product": "0.1.0", "kernels": 1},
  "device": {"cpu": "A CPU", "vendor": "V", "family": 25, "model": 1,
             "kernels": "avx2", "features": ["avx2", "fma"], "threads": 2},
  "shapes": [
    {"n": 16, "k": 8, "dtype": "bf16", "ranges": [
      {"to": 1, "kind": "gemv", "tokens": 1, "prefetch": 4096},
      {"to": 6, "kind": "flat", "tokens": 6, "prefetch": 1024},
      {"kind": "large", "tokens": 6, "prefetch": 0}]},
    {"n": 16, "k": 8, "dtype": "f32", "ranges": [
      {"kind": "flat", "tokens": 4, "prefetch": 0}]}]
})";

/// kTable with the first `from` replaced by `to`.
std::string changed(llvm::StringRef from, llvm::StringRef to) {
  std::string text = kTable;
  size_t at = text.find(from.str());
  EXPECT_NE(at, std::string::npos) << from.str();
  return text.replace(at, from.size(), to.str());
}

std::string errorOf(llvm::StringRef text) {
  llvm::Expected<TuningTable> table = TuningTable::parse(text, "t.json");
  return table ? "" : llvm::toString(table.takeError());
}

TuningTable parsed() {
  return llvm::cantFail(TuningTable::parse(kTable, "folder/t.json"));
}

TEST(TuningTable, FindsExactlyItsShapes) {
  TuningTable table = parsed();
  EXPECT_EQ(table.getName(), "t.json");
  EXPECT_EQ(table.getHash().size(), 64u);
  EXPECT_EQ(table.getThreads(), 2);
  const TunedShape *shape = table.find(16, 8, "bf16");
  ASSERT_NE(shape, nullptr);
  ASSERT_EQ(shape->ranges.size(), 3u);
  EXPECT_EQ(shape->ranges[1].to, 6);
  EXPECT_EQ(shape->ranges[1].kind, "flat");
  EXPECT_EQ(shape->ranges[1].tokens, 6);
  EXPECT_EQ(shape->ranges[1].prefetch, 1024);
  EXPECT_EQ(shape->ranges[2].to, 0);
  EXPECT_EQ(table.find(16, 8, "f32")->ranges.size(), 1u);
  EXPECT_EQ(table.find(16, 8, "f16"), nullptr);
  EXPECT_EQ(table.find(8, 16, "bf16"), nullptr);
}

TEST(TuningTable, AppliesToItsDeviceOnly) {
  TuningTable table = parsed();
  EXPECT_EQ(table.whyForeign({"V-25-1", "avx2", {"avx2", "gfni"}}), "");
  EXPECT_EQ(table.whyForeign({"V-25-2", "avx2", {}}),
            "t.json is for A CPU (V-25-1), not for V-25-2");
  EXPECT_EQ(table.whyForeign({"V-25-1", "avx512", {}}),
            "t.json is for avx2 kernels, not for avx512 ones");
  // Cross compilations: the processor meant must be able to run the code.
  EXPECT_EQ(table.whyForeign({"", "avx2", {"avx2"}}), "");
  EXPECT_EQ(table.whyForeign({"", "avx2", {"avx2", "gfni"}}),
            "t.json is for A CPU, which has no gfni");
}

TEST(TuningTable, ALibraryHasNoTile) {
  std::string text = changed("\"format\": 1", "\"format\": 2");
  text.replace(text.find("\"flat\""), 6, "\"library\"");
  TuningTable table = llvm::cantFail(TuningTable::parse(text, "t.json"));
  const TunedRange &range = table.find(16, 8, "bf16")->ranges[1];
  EXPECT_EQ(range.kind, "library");
  EXPECT_EQ(range.to, 6);
  EXPECT_EQ(range.tokens, 0);
  EXPECT_EQ(range.prefetch, 0);
}

TEST(TuningTable, RefusesOtherFilesAndVersions) {
  EXPECT_EQ(errorOf("[1"),
            "t.json: no tuning table: not json ([1:2, byte=2]: Expected , or ] "
            "after array element); give a file that fdpp-tune wrote");
  for (const char *text : {"[]", "{}", "3", R"({"magic": 3})"})
    EXPECT_EQ(errorOf(text),
              "t.json: no tuning table: 'magic' is not "
              "\"fdpp-tuning\"; give a file that fdpp-tune wrote")
        << text;
  EXPECT_EQ(errorOf(changed("\"format\": 1", "\"format\": 0")),
            "t.json: tuning table of format 0, this version reads 1 to 2; run "
            "fdpp-tune again");
  for (auto [from, to] : {std::pair("\"format\": 1", "\"format\": 3"),
                          std::pair("\"kernels\": 1", "\"kernels\": 99")})
    EXPECT_EQ(errorOf(changed(from, to)),
              "t.json: a tuning table of a newer fdpp; update fdpp or run "
              "fdpp-tune of this version");
  EXPECT_EQ(errorOf(changed("\"kernels\": 1", "\"kernels\": 0")),
            "t.json: measured with kernels of generation 0, this version has "
            "1; run fdpp-tune again");
}

TEST(TuningTable, NamesWhatIsDamaged) {
  const std::tuple<const char *, const char *, const char *> cases[] = {
      {"\"device\"", "\"devise\"", "'device' must be an object"},
      {"\"family\": 25", "\"family\": \"x\"",
       "'device.family' must be an integer from 0 to 1048576"},
      {"\"kernels\": \"avx2\"", "\"kernels\": \"mmx\"",
       "'device.kernels' names no kernels that this version has"},
      {"[\"avx2\", \"fma\"]", "[3]",
       "'device.features' must be a list of texts"},
      {"\"shapes\"", "\"shape\"",
       "'shapes' must be a list of at least one shape"},
      {"\"n\": 16", "\"n\": -16",
       "'shapes[0].n' must be an integer from 1 to 2147483647"},
      {"\"bf16\"", "\"q4\"", "'shapes[0].dtype' must be f32, bf16 or f16"},
      {"\"f32\"", "\"bf16\"", "'shapes[1]' is there twice"},
      {"\"to\": 6", "\"to\": 1",
       "'shapes[0].ranges[1].to' must be an integer from 2 to 2147483647"},
      {"{\"kind\": \"large\"", "{\"to\": 9, \"kind\": \"large\"",
       "'shapes[0].ranges[2].to' must be absent: the last range has no limit"},
      {"\"flat\"", "\"vendor\"",
       "'shapes[0].ranges[1].kind' must be gemv, flat, large or library"},
      {"\"tokens\": 6", "\"tokens\": 7",
       "'shapes[0].ranges[1].tokens' must be an integer from 1 to 6"},
      {"\"prefetch\": 1024", "\"prefetch\": 1e9",
       "'shapes[0].ranges[1].prefetch' must be an integer from 0 to 65536"},
  };
  for (auto [from, to, why] : cases)
    EXPECT_EQ(errorOf(changed(from, to)), std::string("t.json: damaged tuning "
                                                      "table: ") +
                                              why + "; run fdpp-tune again");
}

} // namespace
