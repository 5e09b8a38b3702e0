// RUN: fdpp-opt %S/../raised.mlir --fdpp-roll-layers --fdpp-specialise-entries=decode-tokens=2 --canonicalize | FileCheck %s
// RUN: not fdpp-opt %S/../raised.mlir --fdpp-specialise-entries=decode-tokens=0 2>&1 | FileCheck %s --check-prefix=BAD

// CHECK-NOT: @step
// CHECK-LABEL: func.func @prefill
// CHECK-SAME: fdpp.max = 32 : i64, fdpp.role = "tokens"
// CHECK-SAME: fdpp.entry = "prefill"
// CHECK: fdpp.prefill_attention
// CHECK-NOT: seqs

// Four sequences of at most two tokens.
// CHECK-LABEL: func.func @decode
// CHECK-SAME: fdpp.max = 8 : i64, fdpp.role = "tokens"
// CHECK-SAME: fdpp.max = 8 : i64, fdpp.role = "logits"
// CHECK-SAME: fdpp.decode_tokens = 2 : i64, fdpp.entry = "decode"
// CHECK: fdpp.decode_attention
// CHECK-NOT: seqs

// CHECK-LABEL: func.func @mixed
// CHECK-SAME: %[[SEQS:[a-z0-9]*]]: index {fdpp.role = "decode_seqs"}) ->
// CHECK-SAME: fdpp.entry = "mixed"
// CHECK: %[[C0:.*]] = arith.constant 0 : index
// CHECK: %[[S:.*]] = tensor.dim %arg3, %[[C0]]
// CHECK: %[[E:.*]] = tensor.empty
// CHECK: %[[A:.*]] = fdpp.decode_attention {{.*}} seqs(%[[C0]] to %[[SEQS]]) outs(%[[E]])
// CHECK: %[[B:.*]] = fdpp.prefill_attention {{.*}} seqs(%[[SEQS]] to %[[S]]) outs(%[[A]])
// CHECK: fdpp.linear %[[B]]

// BAD: error: decode-tokens is at least 1, not 0
