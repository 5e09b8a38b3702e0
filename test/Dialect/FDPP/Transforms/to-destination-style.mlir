// RUN: fdpp-opt %S/../raised.mlir --fdpp-roll-layers --fdpp-to-destination-style --mlir-print-debuginfo --mlir-print-local-scope | FileCheck %s

// Every destination has the rows of the argument its rows come from, also
// inside the loop, and is named after its value.

// CHECK-LABEL: func.func @step
// CHECK: %[[R:.*]] = tensor.dim %arg5, %{{.*}}
// CHECK: %[[T:.*]] = tensor.dim %arg0, %{{.*}}
// CHECK: tensor.empty(%[[T]]) : tensor<?x2xf32> loc("cos")
// CHECK: tensor.empty(%[[T]]) : tensor<?x2xf32> loc("sin")
// CHECK: tensor.empty(%[[T]]) : tensor<?xi32> loc("slots")
// CHECK: %[[X:.*]] = tensor.empty(%[[T]]) : tensor<?x16xf32> loc("hidden")
// CHECK: fdpp.embed %{{.*}}, %{{.*}} outs(%[[X]])
// CHECK: scf.for
// CHECK: tensor.empty(%[[T]]) : tensor<?x16xf32> loc("normed")
// CHECK: tensor.empty(%[[T]]) : tensor<?x16xf32> loc("query")
// CHECK: tensor.empty(%[[T]]) : tensor<?x16xf32> loc("attended")
// CHECK: tensor.empty(%[[T]]) : tensor<?x24xf32> loc("gated")
// CHECK: scf.yield
// CHECK: tensor.empty(%[[R]]) : tensor<?x16xf32> loc("selected")
// CHECK: fdpp.linear {{.*}} outs(%arg7)
