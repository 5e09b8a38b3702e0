// An operation of the graph that came back late is all that stays, with the
// one pass that refuses it.
// RUN: %python %source/utils/make_step.py --layers 3 | sed 's|%1 = fdpp.embed \(.*\)|%e = fdpp.embed \1\n    %1 = "onnx.Identity"(%e) : (tensor<?x16xf32>) -> tensor<?x16xf32>|' > %t.mlir
// RUN: fdpp-reduce %t.mlir --pipeline='builtin.module(cse,fdpp-verify-phase{raised=true},fdpp-name-weights)' -o %t.out 2>&1 | FileCheck %s --check-prefix=SAYS
// RUN: FileCheck %s < %t.out
// RUN: not fdpp-opt --run-reproducer %t.out 2>&1 | FileCheck %s --check-prefix=AGAIN

// SAYS-DAG: keeping: error: 'onnx.Identity' has no place in phase 'raised'
// SAYS-DAG: operations: {{[0-9]+}} to 3, passes: 3 to 1; {{[0-9]+}} candidates
// SAYS-DAG: next: fdpp-opt --run-reproducer {{.*}}.out

// CHECK: module {
// CHECK-NEXT: func.func @step(%[[X:.*]]: tensor<?x16xf32>)
// CHECK-NEXT: onnx.Identity{{.*}}%[[X]]
// CHECK-NEXT: return
// CHECK: pipeline: "builtin.module(fdpp-verify-phase{{.*}}raised=true
// AGAIN: 'onnx.Identity' has no place in phase 'raised'

// What is interesting may be a command's business.
// RUN: fdpp-reduce %t.mlir --test='grep -q fdpp.glu' -o %t.glu 2>/dev/null
// RUN: FileCheck %s --check-prefix=GLU < %t.glu
// GLU-NOT: fdpp.attention
// GLU: fdpp.glu
// GLU-NOT: fdpp.linear
// GLU-NOT: mlir_reproducer

// RUN: not fdpp-reduce %t.mlir -o %t.no 2>&1 | FileCheck %s --check-prefix=NONE
// NONE: {{^}}fdpp-reduce: {{.*}}: names no passes; give --pipeline, or --test with a command
// RUN: not fdpp-reduce %t.mlir --pipeline='builtin.module(cse)' -o %t.no 2>&1 | FileCheck %s --check-prefix=FINE
// FINE: {{^}}fdpp-reduce: {{.*}}: its passes do not fail on it
// RUN: not fdpp-reduce %t.mlir --pipeline='builtin.module(nonsense)' -o %t.no 2>&1 | FileCheck %s --check-prefix=NONSENSE
// NONSENSE: {{^}}fdpp-reduce: cannot read the pipeline: {{.*}}nonsense
// RUN: not fdpp-reduce %t.mlir --test=false -o %t.no 2>&1 | FileCheck %s --check-prefix=NOTHING
// NOTHING: {{^}}fdpp-reduce: {{.*}}: 'false' does not exit with 0 on it, there is nothing to keep
// RUN: not fdpp-reduce %t.none -o %t.no 2>&1 | FileCheck %s --check-prefix=MISSING
// MISSING: {{^}}fdpp-reduce: {{.*}}.none: no such file
