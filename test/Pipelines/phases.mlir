// RUN: fdpp-opt %S/../Dialect/FDPP/raised.mlir --fdpp-verify-phase=raised --fdpp-to-rolled --fdpp-to-fused=dtype=bf16 --fdpp-to-planned --fdpp-to-emittable | FileCheck %s
// RUN: %python %source/utils/make_step.py --layers 3 --tied --bias qkv --softcap 30 --late-tables | fdpp-opt --fdpp-to-rolled --fdpp-to-fused=dtype=f32 --fdpp-to-planned --fdpp-to-emittable | FileCheck %s
// RUN: %python %source/utils/make_step.py --layers 1 --up-first --late-tables | fdpp-opt --fdpp-to-rolled --fdpp-to-fused=dtype=f16 --fdpp-to-planned --fdpp-to-emittable | FileCheck %s
// RUN: %python %source/utils/make_step.py --layers 2 | fdpp-opt --fdpp-to-rolled | wc -l > %t.2
// RUN: %python %source/utils/make_step.py --layers 32 | fdpp-opt --fdpp-to-rolled | wc -l > %t.32
// RUN: diff %t.2 %t.32

// Every value is written in place: no entry copies or allocates, and the
// residual stream and the cache go through the loop in their own buffers.

// CHECK-NOT: memref.alloc
// CHECK-NOT: memref.copy
// CHECK: func.func @prefill
// CHECK-NOT: memref.alloc
// CHECK-NOT: memref.copy
// CHECK: fdpp.prefill_attention
// CHECK-NOT: memref.copy
// CHECK: func.func @decode
// CHECK-NOT: memref.alloc
// CHECK-NOT: memref.copy
// CHECK: fdpp.decode_attention
// CHECK-NOT: memref.copy
// CHECK: func.func @mixed
// CHECK-NOT: memref.alloc
// CHECK-NOT: memref.copy
// CHECK: fdpp.decode_attention
// CHECK: fdpp.prefill_attention
// CHECK-NOT: memref.copy
