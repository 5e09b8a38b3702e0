// RUN: fdpp-opt %S/../raised.mlir --fdpp-name-weights --fdpp-roll-layers --fdpp-assign-dtypes --fdpp-merge-linears --fdpp-fuse-prologues --fdpp-fuse-epilogues --canonicalize | FileCheck %s
// RUN: %python %source/utils/make_step.py --layers 1 --bias all --softcap 30 | fdpp-opt --fdpp-merge-linears --fdpp-fuse-prologues --fdpp-fuse-epilogues --canonicalize | FileCheck %s --check-prefix=BIAS
// RUN: %python %source/utils/make_step.py --layers 1 --interleaved | fdpp-opt --fdpp-merge-linears --fdpp-fuse-prologues --fdpp-fuse-epilogues --remarks-filter-missed=fusion 2>&1 | FileCheck %s --check-prefix=MISSED
// RUN: %python %source/utils/make_step.py --layers 1 | fdpp-opt --fdpp-name-weights --fdpp-fuse-prologues --fdpp-fuse-epilogues | FileCheck %s --check-prefix=APART
// RUN: fdpp-opt %s --fdpp-fuse-epilogues | FileCheck %s --check-prefix=CAPTURE

// CHECK: scf.for %[[L:.*]] = {{.*}} iter_args(%[[X:.*]] = %{{.*}}, %[[CACHE:.*]] = %arg6)
// Queries and keys rotated in registers, keys and values stored in the cache.
// CHECK: %[[QKV:.*]]:2 = fdpp.fused_linear %[[X]], %{{.*}} norm(%{{.*}}) outs(%{{.*}}, %[[CACHE]]) segments [#fdpp.segment<columns = 16, partner = half, group = 4, dest = 0>, #fdpp.segment<columns = 8, partner = half, group = 4, dest = 1>, #fdpp.segment<columns = 8, dest = 1>]
// CHECK-NEXT: ^bb0(%[[A:[a-z0-9]+]]: f32, %[[B:[a-z0-9]+]]: f32, %[[ROW:[a-z0-9]+]]: index, %[[COL:[a-z0-9]+]]: index, %{{.*}}: f32):
// CHECK: %[[J:.*]] = arith.remui %[[COL]], %{{.*}}
// CHECK: %[[COS:.*]] = tensor.extract %[[TABLE:.*]]#0[%[[ROW]], %[[J]]]
// CHECK: %[[SIN:.*]] = tensor.extract %[[TABLE]]#1[%[[ROW]], %[[J]]]
// CHECK: %[[AC:.*]] = arith.mulf %[[A]], %[[COS]]
// CHECK: %[[BS:.*]] = arith.mulf %[[B]], %[[SIN]]
// CHECK: %[[LOW:.*]] = arith.subf %[[AC]], %[[BS]]
// CHECK: %[[BC:.*]] = arith.mulf %[[B]], %[[COS]]
// CHECK: %[[AS:.*]] = arith.mulf %[[A]], %[[SIN]]
// CHECK: %[[HIGH:.*]] = arith.addf %[[BC]], %[[AS]]
// CHECK: fdpp.store %[[LOW]], %[[HIGH]]
// CHECK: %[[SLOT:.*]] = tensor.extract %{{.*}}[%{{.*}}] : tensor<?xi32>
// CHECK: fdpp.kv_store <key> slot %[[SLOT]] layer %[[L]], %{{.*}}, %{{.*}} : f32, f32
// CHECK: fdpp.kv_store <value> slot %{{.*}} layer %[[L]], %{{.*}} : f32
// CHECK: fdpp.attention %[[QKV]]#0, %[[QKV]]#1
// The residual is added in place, as the old element.
// CHECK: %[[Y:.*]] = fdpp.fused_linear {{.*}} outs(%[[X]])
// CHECK-NEXT: ^bb0(%[[V:[a-z0-9]+]]: f32, {{.*}}, %[[OLD:[a-z0-9]+]]: f32):
// CHECK-NEXT: %[[SUM:.*]] = arith.addf %[[OLD]], %[[V]]
// CHECK-NEXT: fdpp.store %[[SUM]] : f32
// CHECK: %[[F:.*]] = fdpp.fused_linear %[[Y]], %{{.*}} norm(%{{.*}}) outs(%{{.*}}) segments [#fdpp.segment<columns = 48, partner = gate_up, dest = 0>]
// CHECK-NEXT: ^bb0(%[[GATE:[a-z0-9]+]]: f32, %[[UP:[a-z0-9]+]]: f32,
// CHECK-NEXT: %[[ACT:.*]] = fdpp.scalar_activation %[[GATE]] {activation = #fdpp.activation<silu>}
// CHECK-NEXT: arith.mulf %[[ACT]], %[[UP]]
// CHECK: -> tensor<?x24xbf16>
// CHECK: %[[Z:.*]] = fdpp.fused_linear %[[F]], %{{.*}} outs(%[[Y]])
// CHECK: scf.yield %[[Z]], %[[QKV]]#1
// CHECK: fdpp.select_rows
// CHECK: fdpp.fused_linear {{.*}} norm({{.*}}) outs(%arg7)

// A pair adds the bias of each of its columns before the rotation, keys further
// on in the merged bias.
// BIAS: segments [#fdpp.segment<columns = 16, partner = half
// BIAS: ^bb0(%[[A:[a-z0-9]+]]: f32, %[[B:[a-z0-9]+]]: f32, %{{[a-z0-9]+}}: index, %[[COL:[a-z0-9]+]]: index,
// BIAS: %[[BA:.*]] = tensor.extract %[[BIAS:.*]][%[[COL]]]
// BIAS: arith.addf %[[A]], %[[BA]]
// BIAS: %[[COL2:.*]] = arith.addi %[[COL]], %c2
// BIAS: %[[BB:.*]] = tensor.extract %[[BIAS]][%[[COL2]]]
// BIAS: arith.addf %[[B]], %[[BB]]
// BIAS: fdpp.store
// BIAS: ^bb0(%{{[a-z0-9]+}}: f32, %{{[a-z0-9]+}}: f32, %{{[a-z0-9]+}}: index, %[[COL:[a-z0-9]+]]: index,
// BIAS: %[[KCOL:.*]] = arith.addi %[[COL]], %c16
// BIAS: tensor.extract %[[BIAS]][%[[KCOL]]]
// BIAS: %[[KCOL2:.*]] = arith.addi %[[COL]], %c18
// BIAS: tensor.extract %[[BIAS]][%[[KCOL2]]]
// BIAS: fdpp.kv_store <key>
// The softcap of the logits, written to their argument.
// BIAS: fdpp.fused_linear {{.*}} outs(%arg7)
// BIAS: arith.divf
// BIAS: fdpp.scalar_activation {{.*}}<tanh>
// BIAS: arith.mulf
// BIAS: fdpp.store

// MISSED-DAG: [Missed] fuse-epilogues {{.*}}fdpp.rope stays on its own: its pairs are interleaved, a fused linear pairs halves of a head
// MISSED-DAG: [Missed] fuse-epilogues {{.*}}fdpp.kv_append stays on its own: keys or values do not come straight from a linear

// Without merging, k and v store one plane each, one after the other, and up
// reads the gate that was stored.
// APART: %[[C1:.*]] = fdpp.fused_linear {{.*}} outs(%arg6) segments [#fdpp.segment<columns = 8, partner = half, group = 4, dest = 0>]
// APART: fdpp.kv_store <key>
// APART: %[[C2:.*]] = fdpp.fused_linear {{.*}} outs(%[[C1]]) segments [#fdpp.segment<columns = 8, dest = 0>]
// APART: fdpp.kv_store <value>
// APART: fdpp.attention %{{.*}}, %[[C2]]

// A linear must not write the rows it reads, nor a value that is read later,
// nor an argument: the other operand is captured, the sum gets its own buffer.
// CAPTURE-LABEL: func.func @own_input
// CAPTURE: %[[X:.*]] = fdpp.embed
// CAPTURE: %[[D:.*]] = tensor.empty
// CAPTURE: fdpp.fused_linear %[[X]], %{{.*}} outs(%[[D]])
// CAPTURE: %[[O:.*]] = tensor.extract %[[X]][%{{.*}}, %{{.*}}]
// CAPTURE: arith.addf %[[O]],
fdpp.weight @table [#fdpp.seeded<1>] : tensor<8x8xf32>
func.func @own_input(%tokens: tensor<?xi32> {fdpp.role = "tokens"}) -> tensor<?x8xf32> attributes {fdpp.entry = "step"} {
  %table = fdpp.weight_at @table : tensor<8x8xf32>
  %x = fdpp.embed %tokens, %table : (tensor<?xi32>, tensor<8x8xf32>) -> tensor<?x8xf32>
  %a = fdpp.linear %x, %table : (tensor<?x8xf32>, tensor<8x8xf32>) -> tensor<?x8xf32>
  %y = fdpp.add %x, %a : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// CAPTURE-LABEL: func.func @read_later
// CAPTURE: %[[X:.*]] = fdpp.embed
// CAPTURE: fdpp.fused_linear %{{.*}}, %{{.*}} outs(%{{.*}})
// CAPTURE: tensor.extract %[[X]][%{{.*}}, %{{.*}}]
// CAPTURE: return %{{.*}}, %[[X]]
func.func @read_later(%tokens: tensor<?xi32> {fdpp.role = "tokens"}, %h: tensor<?x8xf32>) -> (tensor<?x8xf32>, tensor<?x8xf32>) attributes {fdpp.entry = "step"} {
  %table = fdpp.weight_at @table : tensor<8x8xf32>
  %x = fdpp.embed %tokens, %table : (tensor<?xi32>, tensor<8x8xf32>) -> tensor<?x8xf32>
  %a = fdpp.linear %h, %table : (tensor<?x8xf32>, tensor<8x8xf32>) -> tensor<?x8xf32>
  %y = fdpp.add %x, %a : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  return %y, %x : tensor<?x8xf32>, tensor<?x8xf32>
}

// CAPTURE-LABEL: func.func @argument
// CAPTURE: tensor.extract %arg1[%{{.*}}, %{{.*}}]
func.func @argument(%tokens: tensor<?xi32> {fdpp.role = "tokens"}, %h: tensor<?x8xf32>) -> tensor<?x8xf32> attributes {fdpp.entry = "step"} {
  %table = fdpp.weight_at @table : tensor<8x8xf32>
  %x = fdpp.embed %tokens, %table : (tensor<?xi32>, tensor<8x8xf32>) -> tensor<?x8xf32>
  %a = fdpp.linear %x, %table : (tensor<?x8xf32>, tensor<8x8xf32>) -> tensor<?x8xf32>
  %y = fdpp.add %h, %a : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}
