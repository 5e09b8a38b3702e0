// RUN: fdpp-opt %S/../raised.mlir --fdpp-name-weights --fdpp-roll-layers --fdpp-assign-dtypes | FileCheck %s
// RUN: %python %source/utils/make_step.py --dtype bf16 --tied | fdpp-opt --fdpp-name-weights --fdpp-assign-dtypes=dtype=bf16 | FileCheck %s --check-prefix=SAME
// RUN: %python %source/utils/make_step.py --dtype bf16 | fdpp-opt --fdpp-name-weights --fdpp-assign-dtypes=dtype=f16 | FileCheck %s --check-prefix=F16
// RUN: fdpp-opt %S/../raised.mlir --fdpp-assign-dtypes=dtype=f32 | FileCheck %s --check-prefix=F32
// RUN: not fdpp-opt %S/../raised.mlir --fdpp-assign-dtypes=dtype=fp8 2>&1 | FileCheck %s --check-prefix=BAD
// RUN: %python %source/utils/make_step.py --tied | fdpp-opt --fdpp-name-weights --fdpp-assign-dtypes | FileCheck %s --check-prefix=TIED

// CHECK: fdpp.weight @attn_norm bank 2 [{{.*}}] : tensor<16xf32>
// CHECK: fdpp.weight @wq_f32 bank 2
// CHECK: fdpp.weight @wq bank 2 init {
// CHECK-NEXT: ^bb0(%[[L:.*]]: index):
// CHECK-NEXT: %[[F:.*]] = fdpp.weight_at @wq_f32[%[[L]]] : tensor<16x16xf32>
// CHECK-NEXT: %[[B:.*]] = arith.truncf %[[F]] : tensor<16x16xf32> to tensor<16x16xbf16>
// CHECK-NEXT: fdpp.yield %[[B]]
// CHECK-LABEL: func.func @step
// CHECK-SAME: tensor<2x?x2x2x4x4xbf16> {fdpp.role = "cache"}
// CHECK-SAME: -> (tensor<?x32xf32>, tensor<2x?x2x2x4x4xbf16>)
// The residual stream, queries, keys and values stay f32; what only linears
// read is stored as they read it.
// CHECK: fdpp.embed {{.*}} -> tensor<?x16xf32>
// CHECK: fdpp.rms_norm {{.*}} -> tensor<?x16xbf16>
// CHECK: fdpp.linear {{.*}} -> tensor<?x16xf32>
// CHECK: fdpp.attention {{.*}} -> tensor<?x16xbf16>
// CHECK: fdpp.add {{.*}} -> tensor<?x16xf32>
// CHECK: fdpp.glu {{.*}} -> tensor<?x24xbf16>
// CHECK: scf.yield {{.*}} : tensor<?x16xf32>, tensor<2x?x2x2x4x4xbf16>

// SAME-NOT: init
// SAME-NOT: truncf

// From bf16 to f16 through f32.
// F16: %[[W:.*]] = fdpp.weight_at @embed_bf16
// F16-NEXT: %[[X:.*]] = arith.extf %[[W]] : tensor<32x16xbf16> to tensor<32x16xf32>
// F16-NEXT: arith.truncf %[[X]] : tensor<32x16xf32> to tensor<32x16xf16>

// F32-NOT: bf16
// F32-NOT: init

// BAD: error: unknown dtype 'fp8'; use bf16, f16 or f32

// One stored table serves both uses.
// TIED-COUNT-1: fdpp.weight @embed init
// TIED-NOT: fdpp.weight @embed{{.*}} init
// TIED: fdpp.embed {{.*}}tensor<32x16xbf16>
// TIED: fdpp.linear {{.*}}tensor<32x16xbf16>
