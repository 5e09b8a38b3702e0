// RUN: %python %source/utils/make_step.py --layers 2 --bias all --softcap 5 --windows 0 3 > %t.mlir
// RUN: fdpp-opt %t.mlir --fdpp-check-each --fdpp-to-rolled --fdpp-to-fused -o /dev/null
// RUN: not fdpp-opt %t.mlir --fdpp-check-each --cse --fdpp-inject-fault=kind=eps --fdpp-to-rolled -o /dev/null 2>&1 | FileCheck %s
// RUN: not fdpp-opt %t.mlir --fdpp-check-each --cse --fdpp-inject-fault=kind=bias --fdpp-to-rolled -o /dev/null 2>&1 | FileCheck %s
// RUN: not fdpp-opt %t.mlir --fdpp-check-each --cse --fdpp-inject-fault=kind=gqa-group --fdpp-to-rolled -o /dev/null 2>&1 | FileCheck %s
// RUN: not fdpp-opt %t.mlir --fdpp-check-each --cse --fdpp-inject-fault=kind=layer --fdpp-to-rolled -o /dev/null 2>&1 | FileCheck %s
// RUN: not fdpp-opt %t.mlir --fdpp-check-each --fdpp-to-rolled --fdpp-to-fused --fdpp-inject-fault=kind=eps -o /dev/null 2>&1 | FileCheck %s
// RUN: not fdpp-opt %t.mlir --fdpp-check-each --fdpp-to-rolled --fdpp-to-fused --fdpp-inject-fault=kind=stored-halves -o /dev/null 2>&1 | FileCheck %s
// RUN: not fdpp-opt %t.mlir --fdpp-check-each --fdpp-to-rolled --fdpp-to-fused --fdpp-inject-fault=kind=old -o /dev/null 2>&1 | FileCheck %s

// Mistakes of the kinds that compilers make, put between two passes: the check
// names the pass that made each, whether the model computes other numbers or
// reads what it must not. (test/unit/InjectedFaultsTest.cpp has all kinds.)

// CHECK: error: check-each: {{.*}}'fdpp-inject-fault'
// CHECK-NOT: error:
