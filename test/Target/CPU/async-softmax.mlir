// RUN: fdpp-opt %S/../../Dialect/FDPP/raised.mlir --fdpp-to-rolled --fdpp-to-fused="dtype=bf16 async-softmax=on" --fdpp-to-planned --fdpp-to-emittable \
// RUN:   | fdpp-translate --fdpp-to-cpu | FileCheck %s
// RUN: fdpp-opt %S/../../Dialect/FDPP/raised.mlir --fdpp-to-rolled --fdpp-to-fused="dtype=bf16 async-softmax=all" --fdpp-to-planned --fdpp-to-emittable \
// RUN:   | fdpp-translate --fdpp-to-cpu | FileCheck %s --check-prefix=ALL

// ALL-LABEL: void prefill(
// ALL: // Attention.
// ALL-NEXT: async_softmax_prefill_attention<4, float>(
// ALL-NEXT: team, step.batch, layer, query, step.cache, {.scale = 0.5f}, step.phi,
// ALL-NEXT: attended, invalid);
// ALL-NEXT: team.done("prefill_attention", layer);
// ALL-NEXT: recompute_prefill_rows<4>(
// ALL-NEXT: team, step.batch, layer, query, step.cache, {.scale = 0.5f}, invalid,
// ALL-NEXT: step.recomputed_rows, attended);
// ALL-NEXT: team.done("recompute_rows", layer);
// ALL-NEXT: // Output of attention, onto the residual stream.
// ALL-LABEL: void mixed(
// ALL: recompute_rows<4>(
// ALL-NOT: // Attention.
// ALL: async_softmax_prefill_attention<4, float>(
// ALL: step.batch.range(step.decode_seqs, step.num_seqs)
// ALL: recompute_prefill_rows<4>(
// ALL: step.batch.range(step.decode_seqs, step.num_seqs)
// ALL: static constexpr bool prefill_reads_phi = true;

// CHECK-LABEL: void prefill(
// CHECK-NOT: async
// CHECK-LABEL: void decode(
// CHECK: int32_t *invalid = step.at<int32_t>({{[0-9]+}});{{ +}}// [tokens][4]
// CHECK: // Attention.
// CHECK-NEXT: async_softmax_decode_attention<4, float>(
// CHECK-NEXT: team, step.batch, layer, query, step.cache, {.scale = 0.5f}, step.phi,
// CHECK-NEXT: step.scratch, attended, invalid);
// CHECK-NEXT: team.done("decode_attention", layer);
// CHECK-NEXT: recompute_rows<4>(
// CHECK-NEXT: team, step.batch, layer, query, step.cache, {.scale = 0.5f}, invalid,
// CHECK-NEXT: step.recomputed_rows, step.scratch, attended);
// CHECK-NEXT: team.done("recompute_rows", layer);
// CHECK-NEXT: // Output of attention, onto the residual stream.
// CHECK-LABEL: void mixed(
// CHECK: async_softmax_decode_attention<4, float>(
// CHECK: step.batch.range(0, step.decode_seqs)
// CHECK: recompute_rows<4>(
// CHECK: step.batch.range(0, step.decode_seqs)
// CHECK: prefill_attention<4>(
// CHECK: step.batch.range(step.decode_seqs, step.num_seqs)
// CHECK: static constexpr bool reads_phi = true;
