// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Reducing: what a failing, a crashing and an endless pass look like from
// outside, and what stays of a module that one of them fails on.

#include "fdpp/Reduce/Reduce.h"

#include "fdpp/Dialect/FDPP/IR/FDPP.h"
#include "fdpp/Interpreter/Testing.h"
#include "fdpp/Pipelines/Registration.h"

#include "mlir/IR/MLIRContext.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Pass/Pass.h"
#include "mlir/Pass/PassRegistry.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/raw_ostream.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include <csignal>
#include <unistd.h>

using namespace mlir;
using namespace mlir::fdpp;
using testing::ElementsAre;
using testing::HasSubstr;

namespace {

/// Fails where the model has a GLU: with an error, a crash, or by never ending.
struct BrokenPass : public PassWrapper<BrokenPass, OperationPass<ModuleOp>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(BrokenPass)

  BrokenPass() = default;
  BrokenPass(const BrokenPass &other) : PassWrapper(other) {}

  StringRef getArgument() const final { return "test-broken"; }
  StringRef getDescription() const final { return "Fails on a GLU"; }
  void runOnOperation() final {
    int64_t number = 0;
    getOperation().walk([&](Operation *op) {
      ++number;
      if (!isa<GluOp>(op))
        return;
      if (how == "crash")
        std::raise(SIGSEGV);
      while (how == "hang")
        pause();
      op->emitOpError("is number ") << number;
      signalPassFailure();
    });
  }

  Option<std::string> how{*this, "how", llvm::cl::init("error")};
};

class ReduceTest : public testing::Test {
protected:
  ReduceTest() : context(registry(), MLIRContext::Threading::DISABLED) {
    context.loadAllAvailableDialects();
  }

  static void SetUpTestSuite() {
    ::fdpp::registerAllPasses();
    PassRegistration<BrokenPass>();
  }
  static DialectRegistry registry() {
    DialectRegistry result;
    ::fdpp::registerAllDialects(result);
    return result;
  }
  Reproducer broken(std::string how) {
    OwningOpRef<ModuleOp> module = ModuleOp::create(UnknownLoc::get(&context));
    buildRandomModel(*module, /*seed=*/1);
    return {std::move(module),
            {"canonicalize", "test-broken{how=" + how + "}", "cse"}};
  }
  /// The names of what is left in the functions, without terminators.
  static std::vector<std::string> names(ModuleOp module) {
    std::vector<std::string> result;
    for (Operation &symbol : *module.getBody())
      symbol.walk([&](Operation *op) {
        if (op != &symbol && !op->hasTrait<OpTrait::IsTerminator>())
          result.push_back(op->getName().getStringRef().str());
      });
    return result;
  }

  MLIRContext context;
};

TEST_F(ReduceTest, SeesFailures) {
  EXPECT_EQ(observeFailure(broken("error"), 60),
            "error: 'fdpp.glu' op is number #");
  EXPECT_EQ(observeFailure(broken("crash"), 60), "signal 11");
  EXPECT_EQ(observeFailure(broken("hang"), 1), "signal 14");
  Reproducer fine = broken("error");
  fine.passes = {"cse"};
  EXPECT_EQ(observeFailure(fine, 60), "");
}

TEST_F(ReduceTest, KeepsWhatTheFailureNeeds) {
  for (const char *how : {"error", "crash"}) {
    Reproducer reproducer = broken(how);
    std::string failure = observeFailure(reproducer, 60);
    ReduceCounts counts = reduce(reproducer, [&](const Reproducer &candidate) {
      return observeFailure(candidate, 60) == failure;
    });
    EXPECT_THAT(names(*reproducer.module), ElementsAre("fdpp.glu"));
    EXPECT_THAT(reproducer.passes,
                ElementsAre("test-broken{how=" + std::string(how) + "}"));
    EXPECT_TRUE(succeeded(verify(*reproducer.module)));
    EXPECT_TRUE((*reproducer.module)->getDiscardableAttrs().empty());
    EXPECT_GT(counts.kept, 0u);
    EXPECT_LT(counts.tests, 400u); // halves, not one by one
  }
}

TEST_F(ReduceTest, KeepsAllWhenEverythingMatters) {
  Reproducer reproducer = broken("error");
  size_t before = names(*reproducer.module).size();
  reduce(reproducer, [](const Reproducer &) { return false; });
  EXPECT_EQ(names(*reproducer.module).size(), before);
  EXPECT_EQ(reproducer.passes.size(), 3u);
}

TEST_F(ReduceTest, WritesWhatItReads) {
  SmallString<128> path;
  ASSERT_FALSE(llvm::sys::fs::createTemporaryFile("reduce", "mlir", path));
  Reproducer reproducer = broken("error");
  {
    std::error_code error;
    llvm::raw_fd_ostream os(path, error);
    writeReproducer(reproducer, os);
  }
  llvm::Expected<Reproducer> read = readReproducer(path, "", context);
  ASSERT_TRUE(bool(read)) << llvm::toString(read.takeError());
  EXPECT_EQ(names(*read->module), names(*reproducer.module));
  EXPECT_EQ(read->passes.size(), 3u);
  EXPECT_EQ(observeFailure(*read, 60), "error: 'fdpp.glu' op is number #");

  llvm::Expected<Reproducer> other =
      readReproducer(path, "builtin.module(nonsense)", context);
  EXPECT_THAT(llvm::toString(other.takeError()), HasSubstr("nonsense"));
  llvm::sys::fs::remove(path);
}

} // namespace
