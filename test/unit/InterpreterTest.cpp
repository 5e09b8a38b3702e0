// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The step interpreter: its rounding, its memory, and that the way a script
// cuts sequences into steps does not matter.

#include "fdpp/Interpreter/Interpreter.h"
#include "fdpp/Interpreter/Script.h"
#include "fdpp/Interpreter/Tensor.h"
#include "fdpp/Interpreter/Testing.h"
#include "fdpp/Pipelines/Registration.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/Parser/Parser.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include <cmath>
#include <random>

using namespace mlir;
using namespace mlir::fdpp;
using testing::ElementsAre;
using testing::HasSubstr;

namespace {

class InterpreterTest : public testing::Test {
protected:
  InterpreterTest() : context(registry()) {
    context.loadAllAvailableDialects();
  }

  static DialectRegistry registry() {
    DialectRegistry result;
    ::fdpp::registerAllDialects(result);
    return result;
  }
  OwningOpRef<ModuleOp> parse(StringRef text) {
    auto module = parseSourceString<ModuleOp>(text, &context);
    EXPECT_TRUE(module);
    return module;
  }
  OwningOpRef<ModuleOp> randomModel(uint64_t seed) {
    OwningOpRef<ModuleOp> module = ModuleOp::create(UnknownLoc::get(&context));
    buildRandomModel(*module, seed);
    return module;
  }
  /// The only result of @f, or the error.
  std::string error(StringRef text, ArrayRef<Datum> arguments) {
    auto module = parse(text);
    auto results = Interpreter(*module, weights).call("f", arguments);
    return results ? "" : llvm::toString(results.takeError());
  }
  std::vector<double> call(StringRef text, ArrayRef<Datum> arguments,
                           InterpreterOptions options = {}) {
    auto module = parse(text);
    auto results = Interpreter(*module, weights, options).call("f", arguments);
    if (!results) {
      ADD_FAILURE() << llvm::toString(results.takeError());
      return {};
    }
    std::vector<double> storage;
    return std::get<Array>((*results)[0]).dense(storage).vec();
  }

  MLIRContext context;
  WeightSource weights;
};

TEST_F(InterpreterTest, RoundsLikeTheFormats) {
  std::mt19937_64 engine(1);
  FloatType types[] = {BFloat16Type::get(&context), Float16Type::get(&context),
                       Float32Type::get(&context)};
  for (FloatType type : types) {
    Rounder round = Rounder::to(type);
    for (int i = 0; i < 20000; ++i) {
      // Every exponent that matters, and ties among the significands.
      double x = std::ldexp(double(int64_t(engine()) >> (11 + i % 52)),
                            int(engine() % 300) - 200);
      ASSERT_EQ(round(x), roundTo(type, x)) << x;
    }
    for (double x : {0.0, -0.0, 65519.9, 65520.0, 0x1p-24, 0x1p-25, 0x1.8p-25,
                     0x1p-133, 0x1p-134, 3.3895313892515355e38, 3.4e38, 1e300})
      ASSERT_EQ(round(x), roundTo(type, x)) << x;
    EXPECT_TRUE(std::isnan(round(kPoison)));
  }
}

/// All of a script's sequences, in steps of at most `chunk` tokens, one
/// sequence a step.
Script inChunks(const Script &script, int64_t chunk) {
  Script result = script;
  result.steps.clear();
  for (unsigned s = 0; s < script.sequences.size(); ++s)
    for (int64_t left = script.sequences[s].size(); left > 0; left -= chunk)
      result.steps.push_back({{s, std::min(left, chunk)}});
  return result;
}

TEST_F(InterpreterTest, SplitsDoNotMatter) {
  for (uint64_t seed = 1; seed <= 12; ++seed) {
    auto module = randomModel(seed);
    Script script = makeScript(seed, *vocabularyOf(*module));
    auto expected = runScript(*module, script, weights);
    ASSERT_TRUE(bool(expected)) << llvm::toString(expected.takeError());
    for (int64_t chunk : {1, 2, 5, 100}) {
      auto actual = runScript(*module, inChunks(script, chunk), weights);
      ASSERT_TRUE(bool(actual)) << llvm::toString(actual.takeError());
      Comparison result = compare(*expected, *actual, 1e-12);
      EXPECT_TRUE(result.equal) << "seed " << seed << ", chunks of " << chunk
                                << ": " << result.maxError;
      EXPECT_GT(result.maxLogit, 0.01);
    }
  }
}

TEST_F(InterpreterTest, LogitsDependOnEveryToken) {
  auto module = randomModel(3);
  Script script = makeScript(5, *vocabularyOf(*module), 1);
  auto expected = runScript(*module, script, weights);
  ASSERT_TRUE(bool(expected));
  for (size_t i = 0; i < script.sequences[0].size(); ++i) {
    Script other = script;
    other.sequences[0][i] ^= 1;
    auto actual = runScript(*module, other, weights);
    ASSERT_TRUE(bool(actual));
    Comparison result = compare(*expected, *actual, 1e-9);
    EXPECT_FALSE(result.equal);
    // A token changes its own position's logits and no earlier ones.
    EXPECT_EQ(result.position, int64_t(i));
  }
}

TEST_F(InterpreterTest, RoundingIsAsLargeAsTheFormat) {
  // Of most models: some random ones, three columns wide, divide by nearly
  // nothing in a norm and amplify every error.
  for (RoundingMode mode :
       {RoundingMode::F32, RoundingMode::F16, RoundingMode::BF16}) {
    std::vector<double> errors;
    for (uint64_t seed = 1; seed <= 11; ++seed) {
      auto module = randomModel(seed);
      Script script = makeScript(seed, *vocabularyOf(*module));
      auto expected = runScript(*module, script, weights);
      InterpreterOptions options;
      options.rounding = mode;
      auto actual = runScript(*module, script, weights, options);
      ASSERT_TRUE(expected && actual);
      Comparison result = compare(*expected, *actual, 0);
      errors.push_back(result.maxError / result.maxLogit);
    }
    llvm::sort(errors);
    EXPECT_GT(errors.front(), 0) << "nothing was rounded";
    EXPECT_LT(errors[errors.size() / 2], defaultTolerance(mode));
    EXPECT_GT(errors[errors.size() / 2], defaultTolerance(mode) / 1000);
  }
}

//===----------------------------------------------------------------------===//
// Memory.
//===----------------------------------------------------------------------===//

constexpr StringLiteral kArena = R"(
func.func @f(%x: memref<4xf32>, %y: memref<4xf32>, %arena: memref<?xi8>) {
  %a = arith.constant OFFSET_A : index
  %b = arith.constant OFFSET_B : index
  %p = memref.view %arena[%a][] : memref<?xi8> to memref<4xf32>
  fdpp.scale %x outs(%p) {factor = 2.0 : f64} : (memref<4xf32>, memref<4xf32>) -> ()
  %q = memref.view %arena[%b][] : memref<?xi8> to memref<4xbf16>
  fdpp.scale %x outs(%q) {factor = 3.0 : f64} : (memref<4xf32>, memref<4xbf16>) -> ()
  fdpp.add %p, %q outs(%y) : (memref<4xf32>, memref<4xbf16>, memref<4xf32>) -> ()
  return
})";

std::string placed(StringRef a, StringRef b) {
  std::string text = kArena.str();
  text.replace(text.find("OFFSET_A"), 8, a.str());
  text.replace(text.find("OFFSET_B"), 8, b.str());
  return text;
}

class ArenaTest : public InterpreterTest {
protected:
  std::vector<double> run(StringRef a, StringRef b) {
    Array x = Array::of({4}, {1, 2, 3, 4}), y = Array::filled({4}, kPoison);
    Array arena = Array::filled({64}, kPoison);
    message = error(placed(a, b), {Datum(x), Datum(y), Datum(arena)});
    std::vector<double> storage;
    return y.dense(storage).vec();
  }
  std::string message;
};

TEST_F(ArenaTest, BuffersSideBySide) {
  EXPECT_THAT(run("0", "16"), ElementsAre(5, 10, 15, 20));
  EXPECT_THAT(run("32", "24"), ElementsAre(5, 10, 15, 20));
}

TEST_F(ArenaTest, SharedBytesAreNoticed) {
  // bf16 elements over the upper halves of f32 elements: a machine would read
  // garbage, whatever the exact offset.
  for (const char *offset : {"0", "2", "8", "14"}) {
    std::vector<double> y = run("0", offset);
    EXPECT_THAT(y, testing::Not(ElementsAre(5, 10, 15, 20))) << offset;
    EXPECT_EQ(message, "");
  }
}

TEST_F(ArenaTest, LeavingTheArenaIsAnError) {
  run("0", "60");
  EXPECT_THAT(message, HasSubstr("bytes 60 to 68 of an arena of 64"));
}

TEST_F(ArenaTest, DeadBuffersReadAsNaN) {
  Array y = Array::filled({4}, 0), arena = Array::filled({64}, kPoison);
  EXPECT_EQ(error(R"(
func.func @f(%y: memref<4xf32>, %arena: memref<?xi8>) {
  %c0 = arith.constant 0 : index
  %one = arith.constant 1.0 : f32
  %p = memref.view %arena[%c0][] : memref<?xi8> to memref<4xf32>
  memref.store %one, %p[%c0] : memref<4xf32>
  %q = memref.view %arena[%c0][] : memref<?xi8> to memref<4xf32>
  memref.copy %q, %y : memref<4xf32> to memref<4xf32>
  return
})",
                  {Datum(y), Datum(arena)}),
            "");
  std::vector<double> storage;
  EXPECT_TRUE(std::isnan(y.dense(storage)[0]));
}

TEST_F(InterpreterTest, ADestinationMustNotBeAnInput) {
  Array x = Array::filled({2, 2}, 1), w = Array::filled({2, 2}, 1);
  EXPECT_THAT(error(R"(
func.func @f(%x: memref<?x2xf32>, %w: memref<2x2xf32>) {
  fdpp.linear %x, %w outs(%x) : (memref<?x2xf32>, memref<2x2xf32>, memref<?x2xf32>) -> ()
  return
})",
                    {Datum(x), Datum(w)}),
              HasSubstr("destination 0 overlaps operand 0"));
}

//===----------------------------------------------------------------------===//
// Operations with a closed form.
//===----------------------------------------------------------------------===//

TEST_F(InterpreterTest, FusedLinearRunsItsEpilogues) {
  // Segment 0 adds the old element; segment 1 multiplies gate and up.
  Array x = Array::of({1, 2}, {1, 2});
  Array w = Array::of({4, 2}, {1, 0, 0, 1, 1, 1, 2, 1});
  Array d = Array::of({1, 2}, {10, 20}), e = Array::filled({1, 1}, kPoison);
  EXPECT_THAT(call(R"(
func.func @f(%x: tensor<?x2xf32>, %w: tensor<4x2xf32>, %d: tensor<?x2xf32>, %e: tensor<?x1xf32>) -> tensor<?x3xf32> {
  %r:2 = fdpp.fused_linear %x, %w outs(%d, %e) segments [#fdpp.segment<columns = 2, dest = 0>, #fdpp.segment<columns = 2, partner = gate_up, dest = 1>] ({
  ^bb0(%v: f32, %p: f32, %row: index, %col: index, %old: f32):
    %s = arith.addf %v, %old : f32
    fdpp.store %s : f32
  }, {
  ^bb0(%v: f32, %p: f32, %row: index, %col: index, %old: f32):
    %s = arith.mulf %v, %p : f32
    fdpp.store %s : f32
  }) : (tensor<?x2xf32>, tensor<4x2xf32>, tensor<?x2xf32>, tensor<?x1xf32>) -> (tensor<?x2xf32>, tensor<?x1xf32>)
  %c = tensor.concat dim(1) %r#0, %r#1 : (tensor<?x2xf32>, tensor<?x1xf32>) -> tensor<?x3xf32>
  return %c : tensor<?x3xf32>
})",
                   {Datum(x), Datum(w), Datum(d), Datum(e)}),
              ElementsAre(11, 22, 12));
}

TEST_F(InterpreterTest, MaskedAttentionSeesWhatItsMaskSays) {
  // Equal scores: the output is the mean of the visible values.
  Array q = Array::filled({1, 3, 1}, 0), v = Array::of({1, 3, 1}, {4, 8, 16});
  Array past = Array::of({1, 1, 1, 1}, {2});
  Array mask = Array::of({1, 4}, {1, 1, 0, 1});
  EXPECT_THAT(call(R"(
func.func @f(%q: tensor<?x?x1xf32>, %v: tensor<?x?x1xf32>, %past: tensor<?x1x?x1xf32>, %mask: tensor<?x?xi64>) -> tensor<?x?x1xf32> {
  %a, %k, %n = fdpp.masked_attention %q, %q, %v past(%past, %past) padding(%mask)
      {mask = #fdpp.mask<causal = true, window = 3, padding = true>, scale = 1.0 : f64, kv_heads = 1 : i64, head_dim = 1 : i64}
      : (tensor<?x?x1xf32>, tensor<?x?x1xf32>, tensor<?x?x1xf32>, tensor<?x1x?x1xf32>, tensor<?x1x?x1xf32>, tensor<?x?xi64>)
      -> (tensor<?x?x1xf32>, tensor<?x1x?x1xf32>, tensor<?x1x?x1xf32>)
  return %a : tensor<?x?x1xf32>
})",
                   {Datum(q), Datum(v), Datum(past), Datum(mask)}),
              ElementsAre(3, 3, 10));
}

} // namespace
