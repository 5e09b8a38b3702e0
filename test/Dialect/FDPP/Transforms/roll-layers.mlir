// RUN: fdpp-opt %S/../raised.mlir --fdpp-name-weights --fdpp-roll-layers --canonicalize | FileCheck %s
// RUN: %python %source/utils/make_step.py --layers 6 --windows 0 8 | fdpp-opt --fdpp-name-weights --fdpp-roll-layers --canonicalize | FileCheck %s --check-prefix=ALTERNATE
// RUN: %python %source/utils/make_step.py --layers 4 --eps 1e-5 1e-5 1e-5 1e-6 | fdpp-opt --fdpp-name-weights --fdpp-roll-layers --canonicalize | FileCheck %s --check-prefix=EPS
// RUN: %python %source/utils/make_step.py --layers 3 --windows 1 2 3 | fdpp-opt --fdpp-roll-layers --remarks-filter=layers 2>&1 | FileCheck %s --check-prefix=WINDOWS
// RUN: %python %source/utils/make_step.py --layers 5 --thetas 1e4 1e4 1e6 --late-tables | fdpp-opt --fdpp-name-weights --cse --fdpp-roll-layers --canonicalize | FileCheck %s --check-prefix=TABLES
// RUN: %python %source/utils/make_step.py --layers 5 --thetas 1e4 1e6 1e6 --eps 1e-2 1e-3 1e-2 --windows 0 3 2 | fdpp-opt --fdpp-check-each --fdpp-name-weights --fdpp-roll-layers --canonicalize -o /dev/null
// RUN: %python %source/utils/make_step.py --layers 1 | fdpp-opt --fdpp-roll-layers --remarks-filter=layers 2>&1 | FileCheck %s --check-prefix=ONE
// RUN: %python %source/utils/make_step.py | sed '0,/silu/s//relu/' | fdpp-opt --fdpp-roll-layers --remarks-filter=layers 2>&1 | FileCheck %s --check-prefix=DIFFER
// RUN: fdpp-opt %S/../raised.mlir --fdpp-roll-layers --remarks-filter=layers 2>&1 | FileCheck %s --check-prefix=REMARK
// RUN: %python %source/utils/make_step.py --transposed | fdpp-opt --fdpp-name-weights --fdpp-roll-layers | FileCheck %s --check-prefix=INIT
// RUN: fdpp-opt %s --fdpp-roll-layers | FileCheck %s --check-prefix=SHARED

// CHECK: fdpp.weight @attn_norm bank 2 [#fdpp.seeded<3>, #fdpp.seeded<12>] : tensor<16xf32>
// CHECK: fdpp.weight @down bank 2 [#fdpp.seeded<11>, #fdpp.seeded<20>]
// CHECK-NOT: wq_
// CHECK-LABEL: func.func @step
// CHECK-DAG: %[[C0:.*]] = arith.constant 0 : index
// CHECK-DAG: %[[C1:.*]] = arith.constant 1 : index
// CHECK-DAG: %[[C2:.*]] = arith.constant 2 : index
// CHECK: %[[X0:.*]] = fdpp.embed
// CHECK: %[[R:.*]]:2 = scf.for %[[L:[a-z0-9]+]] = %[[C0]] to %[[C2]] step %[[C1]] iter_args(%[[X:.*]] = %[[X0]], %[[CACHE:.*]] = %arg6)
// CHECK: %[[G:.*]] = fdpp.weight_at @attn_norm[%[[L]]]
// CHECK: fdpp.rms_norm %[[X]], %[[G]]
// CHECK: %[[KV:.*]] = fdpp.kv_append %{{.*}}, %{{.*}}, %{{.*}}, %[[L]] outs(%[[CACHE]])
// CHECK: fdpp.attention %{{.*}}, %[[KV]], %[[L]],
// CHECK: %[[Y:.*]] = fdpp.add
// CHECK: %[[Z:.*]] = fdpp.add %[[Y]],
// CHECK: scf.yield %[[Z]], %[[KV]]
// CHECK: fdpp.select_rows %[[R]]#0
// CHECK-NOT: fdpp.attention
// CHECK: return %{{.*}}, %[[R]]#1

// Two kinds of layers in turn: an iteration has both, and no scalar is a bank.
// ALTERNATE: fdpp.weight @wq bank 3 [
// ALTERNATE: fdpp.weight @wq_1 bank 3 [
// ALTERNATE-NOT: layer_constant
// ALTERNATE: scf.for %[[I:[a-z0-9]+]] =
// ALTERNATE: fdpp.weight_at @wq[%[[I]]]
// ALTERNATE: %[[FIRST:.*]] = arith.muli %[[I]], %{{.*}}
// ALTERNATE: fdpp.kv_append {{.*}}, %[[FIRST]] outs(
// ALTERNATE-NOT: window
// ALTERNATE: fdpp.weight_at @wq_1[%[[I]]]
// ALTERNATE: %[[SECOND:.*]] = arith.addi
// ALTERNATE: fdpp.kv_append {{.*}}, %[[SECOND]] outs(
// ALTERNATE: window = 8
// ALTERNATE: scf.yield
// ALTERNATE-NOT: fdpp.attention

// One eps differs: it becomes a bank, and all layers are one loop.
// EPS: scf.for %[[L:[a-z0-9]+]] =
// EPS: %[[EPS:.*]] = fdpp.layer_constant dense<[1.000000e-05, 1.000000e-05, 1.000000e-05, 9.{{9+}}5{{[0-9]*}}E-7]> : tensor<4xf64> at %[[L]] : f64
// EPS-NEXT: fdpp.rms_norm %{{.*}}, %{{.*}} eps(%[[EPS]]) : (
// EPS: fdpp.rms_norm %{{.*}}, %{{.*}} {eps = 1.000000e-05 : f64}
// EPS: scf.yield
// EPS-NOT: fdpp.attention

// WINDOWS: remark: [Passed] roll-layers {{.*}}rolled 3 repetitions into one loop", banks of scalars=1, iterations=3, operations=16
// WINDOWS: %[[WINDOW:.*]] = fdpp.layer_constant dense<[1, 2, 3]> : tensor<3xindex> at %{{.*}} : index
// WINDOWS: fdpp.attention {{.*}} window(%[[WINDOW]]) {scale = 5.000000e-01 : f64}

// Rotary tables that differ are one table, of which a layer reads some columns;
// where the graph computes them does not matter.
// TABLES: fdpp.weight @inv_freq_all init {
// TABLES: tensor.concat dim(0) {{.*}} : (tensor<2xf32>, tensor<2xf32>) -> tensor<4xf32>
// TABLES: %[[FREQ:.*]] = fdpp.weight_at @inv_freq_all
// TABLES: %[[TABLE:.*]]:2 = fdpp.rope_table %{{.*}}, %[[FREQ]]
// TABLES-NOT: fdpp.rope_table
// TABLES: scf.for %[[L:[a-z0-9]+]] =
// TABLES: %[[AT:.*]] = fdpp.layer_constant dense<[0, 0, 2, 0, 0]> : tensor<5xindex> at %[[L]] : index
// TABLES: %[[C:.*]] = tensor.extract_slice %[[TABLE]]#0[0, %[[AT]]] [%{{.*}}, 2] [1, 1]
// TABLES: %[[S:.*]] = tensor.extract_slice %[[TABLE]]#1[0, %[[AT]]]
// TABLES: fdpp.rope %{{.*}}, %[[C]], %[[S]]

// ONE: remark: [Missed] roll-layers {{.*}}no layers rolled: no part of the step occurs twice
// ONE-NOT: scf.for

// DIFFER: remark: [Missed] roll-layers {{.*}}layers differ: fdpp.glu has activation = #fdpp.activation<relu> and #fdpp.activation<silu>
// DIFFER-NOT: scf.for

// REMARK: remark: [Passed] roll-layers {{.*}}rolled 2 repetitions into one loop", banks of scalars=0, iterations=2, operations=16

// A bank of init regions reads the bank of their sources.
// INIT: fdpp.weight @wq_source bank 2 [
// INIT: fdpp.weight @wq bank 2 init {
// INIT-NEXT: ^bb0(%[[L:[a-z0-9]+]]: index):
// INIT-NEXT: %[[S:.*]] = fdpp.weight_at @wq_source[%[[L]]]
// INIT-NEXT: fdpp.transpose %[[S]]
// INIT-NOT: wq_1

// A weight of a layer that is read elsewhere too stays one stored weight, and
// one that all layers share is no bank.
// SHARED: fdpp.weight @table
// SHARED-NEXT: fdpp.weight @a bank 2 [#fdpp.seeded<2>, #fdpp.seeded<3>]
// SHARED-NEXT: fdpp.weight @both [
// SHARED-NEXT: func.func @step
// SHARED: %[[INDEX:.*]] = arith.constant 1 : index
// SHARED: %[[B:.*]] = fdpp.weight_at @a[%[[INDEX]]]
// SHARED: scf.for %[[L:[a-z0-9]+]] =
// SHARED: fdpp.weight_at @a[%[[L]]]
// SHARED: fdpp.weight_at @both :
// SHARED: fdpp.linear %{{.*}}, %[[B]] outs(
fdpp.weight @table [#fdpp.seeded<1>] : tensor<8x8xf32>
fdpp.weight @a [#fdpp.seeded<2>] : tensor<8x8xf32>
fdpp.weight @b [#fdpp.seeded<3>] : tensor<8x8xf32>
fdpp.weight @both [#fdpp.seeded<4>] : tensor<8xf32>
func.func @step(%tokens: tensor<?xi32> {fdpp.role = "tokens"}, %logits: tensor<?x8xf32> {fdpp.role = "logits"}) -> tensor<?x8xf32> attributes {fdpp.entry = "step"} {
  %table = fdpp.weight_at @table : tensor<8x8xf32>
  %a = fdpp.weight_at @a : tensor<8x8xf32>
  %b = fdpp.weight_at @b : tensor<8x8xf32>
  %both = fdpp.weight_at @both : tensor<8xf32>
  %x = fdpp.embed %tokens, %table : (tensor<?xi32>, tensor<8x8xf32>) -> tensor<?x8xf32>
  %ax = fdpp.linear %x, %a bias(%both) : (tensor<?x8xf32>, tensor<8x8xf32>, tensor<8xf32>) -> tensor<?x8xf32>
  %y = fdpp.add %x, %ax : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %by = fdpp.linear %y, %b bias(%both) : (tensor<?x8xf32>, tensor<8x8xf32>, tensor<8xf32>) -> tensor<?x8xf32>
  %z = fdpp.add %y, %by : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %l = fdpp.linear %z, %b outs(%logits) : (tensor<?x8xf32>, tensor<8x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  return %l : tensor<?x8xf32>
}
