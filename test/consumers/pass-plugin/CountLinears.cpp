// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// An example of a pass plugin: says how many linears each function has, and
// refuses models with more than --count-linears=limit=N of them.

#include "fdpp/Dialect/FDPP/IR/FDPP.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Remarks.h"
#include "mlir/Pass/Pass.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Tools/Plugins/PassPlugin.h"

using namespace mlir;

namespace {
struct CountLinearsPass
    : public PassWrapper<CountLinearsPass, OperationPass<ModuleOp>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(CountLinearsPass)

  CountLinearsPass() = default;
  CountLinearsPass(const CountLinearsPass &other) : PassWrapper(other) {}

  StringRef getArgument() const final { return "count-linears"; }
  StringRef getDescription() const final {
    return "Count the linears of each function";
  }

  void runOnOperation() final {
    for (auto function : getOperation().getOps<func::FuncOp>()) {
      int64_t count = 0;
      function.walk([&](fdpp::LinearOp) { ++count; });
      remark::analysis(function.getLoc(),
                       remark::RemarkOpts::name("count-linears")
                           .category("example")
                           .function(function.getName()))
          << remark::metric("linears", count);
      if (limit == 0 || count <= limit)
        continue;
      function.emitError("has ")
          << count << " linears, more than " << limit.getValue();
      signalPassFailure();
    }
  }

  Option<int64_t> limit{*this, "limit", llvm::cl::init(0),
                        llvm::cl::desc("Most linears of a function; 0: any")};
};
} // namespace

extern "C" LLVM_ATTRIBUTE_WEAK PassPluginLibraryInfo mlirGetPassPluginInfo() {
  return {MLIR_PLUGIN_API_VERSION, "count-linears", "1",
          [] { PassRegistration<CountLinearsPass>(); }};
}
