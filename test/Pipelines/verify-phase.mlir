// RUN: split-file %s %t
// RUN: not fdpp-opt %t/linear.mlir --fdpp-verify-phase=fused 2>&1 | FileCheck %s --check-prefix=LINEAR
// RUN: not fdpp-opt %t/add.mlir --fdpp-verify-phase=fused 2>&1 | FileCheck %s --check-prefix=ADD
// RUN: not fdpp-opt %t/add.mlir --fdpp-verify-phase=planned 2>&1 | FileCheck %s --check-prefix=TENSOR
// RUN: not fdpp-opt %t/constant.mlir --fdpp-verify-phase=rolled 2>&1 | FileCheck %s --check-prefix=CONSTANT
// RUN: not fdpp-opt %t/loop.mlir --fdpp-verify-phase=raised 2>&1 | FileCheck %s --check-prefix=LOOP
// RUN: fdpp-opt %t/loop.mlir --fdpp-verify-phase=rolled
// RUN: not fdpp-opt %t/add.mlir --fdpp-verify-phase 2>&1 | FileCheck %s --check-prefix=NONE

// The error stands at the operation's place in the graph.
// LINEAR: error: loc("/model/layers.0/q_proj/MatMul"): 'fdpp.linear' has no place in phase 'fused'; --fdpp-fuse-epilogues should have removed it
// LINEAR: note: {{.*}}phase 'fused' holds @prefill, @decode and @mixed in destination style: fused_linear, prefill_attention, decode_attention or the pair of the asynchronous softmax, and what no linear took over
// ADD: error: 'fdpp.add' has no place in phase 'fused'; --fdpp-to-destination-style should have removed it
// TENSOR: error: 'fdpp.add' has no place in phase 'planned'; --fdpp-bufferize should have removed it
// CONSTANT: error: 'arith.constant' has no place in phase 'rolled'; --fdpp-name-weights should have removed it
// LOOP: error: 'scf.for' has no place in phase 'raised', it belongs to a later one
// LOOP: note: phase 'raised' holds @step of the model's arithmetic, kv_append and attention on tensors [tokens, ...], one layer after another
// NONE: error: --fdpp-verify-phase needs a phase, such as --fdpp-verify-phase=fused

//--- linear.mlir
func.func @prefill(%x: tensor<?x8xf32>, %w: tensor<8x8xf32>) -> tensor<?x8xf32> {
  %y = fdpp.linear %x, %w : (tensor<?x8xf32>, tensor<8x8xf32>) -> tensor<?x8xf32> loc("/model/layers.0/q_proj/MatMul")
  return %y : tensor<?x8xf32>
}
//--- add.mlir
func.func @prefill(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %y = fdpp.add %x, %x : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}
//--- constant.mlir
func.func @step() -> tensor<2xf32> {
  %c = arith.constant dense<1.0> : tensor<2xf32>
  return %c : tensor<2xf32>
}
//--- loop.mlir
func.func @step(%n: index) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  scf.for %i = %c0 to %n step %c1 {
  }
  return
}
