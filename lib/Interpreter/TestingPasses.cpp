// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- TestingPasses.cpp - Random models and injected faults as passes ----===//
//
// --fdpp-inject-fault=kind=K makes one of the mistakes that compilers of such
// models make. Only tests use it: a check that does not notice it is no check.
//
//===----------------------------------------------------------------------===//
#include "fdpp/Interpreter/Testing.h"

#include "Faults.h"
#include "fdpp/Dialect/FDPP/IR/FDPP.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Pass/Pass.h"
#include "mlir/Pass/PassRegistry.h"

using namespace mlir;
using namespace mlir::fdpp;

static ArrayRef<Fault> allFaults() {
  static const auto faults = [] {
    SmallVector<Fault> all;
    for (ArrayRef<Fault> some : {graphFaults(), stepFaults(), loweredFaults()})
      llvm::append_range(all, some);
    return all;
  }();
  return faults;
}

SmallVector<StringRef> mlir::fdpp::faultNames() {
  SmallVector<StringRef> names;
  for (const Fault &fault : allFaults())
    names.push_back(fault.name);
  return names;
}

namespace {
struct InjectFaultPass
    : public PassWrapper<InjectFaultPass, OperationPass<ModuleOp>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(InjectFaultPass)

  InjectFaultPass() = default;
  explicit InjectFaultPass(StringRef name) { kind = name.str(); }
  InjectFaultPass(const InjectFaultPass &other) : PassWrapper(other) {}

  StringRef getArgument() const final { return "fdpp-inject-fault"; }
  StringRef getDescription() const final {
    return "Make a mistake that --fdpp-check-each must find (for tests)";
  }
  void getDependentDialects(DialectRegistry &registry) const final {
    registry.insert<arith::ArithDialect, tensor::TensorDialect>();
  }
  void runOnOperation() final {
    for (const Fault &fault : allFaults()) {
      if (fault.name != kind)
        continue;
      if (!fault.inject(getOperation())) {
        emitError(getOperation().getLoc(), "has nothing that fault '")
            << kind << "' could break";
        signalPassFailure();
      }
      return;
    }
    InFlightDiagnostic error = emitError(getOperation().getLoc(), "no fault '")
                               << kind << "', only";
    for (const Fault &fault : allFaults())
      error << " " << fault.name;
    signalPassFailure();
  }

  Option<std::string> kind{*this, "kind", llvm::cl::desc("Which mistake")};
};

struct MakeRandomModelPass
    : public PassWrapper<MakeRandomModelPass, OperationPass<ModuleOp>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(MakeRandomModelPass)

  MakeRandomModelPass() = default;
  MakeRandomModelPass(const MakeRandomModelPass &other) : PassWrapper(other) {}

  StringRef getArgument() const final { return "fdpp-make-random-model"; }
  StringRef getDescription() const final {
    return "Fill an empty module with a random raised model (for tests)";
  }
  void getDependentDialects(DialectRegistry &registry) const final {
    registry.insert<arith::ArithDialect, func::FuncDialect, FDPPDialect>();
  }
  void runOnOperation() final {
    buildRandomModel(getOperation(), seed,
                     unusual ? ModelFamily::Unusual : ModelFamily::Llama);
  }

  Option<uint64_t> seed{*this, "seed", llvm::cl::desc("Names the model"),
                        llvm::cl::init(1)};
  Option<bool> unusual{*this, "unusual",
                       llvm::cl::desc("With forms that no engine has yet"),
                       llvm::cl::init(false)};
};
} // namespace

void mlir::fdpp::registerTestingPasses() {
  PassRegistration<InjectFaultPass>();
  PassRegistration<MakeRandomModelPass>();
}

std::unique_ptr<Pass> mlir::fdpp::createInjectFaultPass(StringRef kind) {
  return std::make_unique<InjectFaultPass>(kind);
}
