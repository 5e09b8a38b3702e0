// RUN: %python %source/utils/make_step.py --layers 3 | awk '/ = fdpp\./ {print $0 " loc(\"n" NR "\")"; next} {print}' > %t.mlir
// RUN: fdpp-compile %t.mlir --emit=source --taps | FileCheck %s --implicit-check-not='{""'
// RUN: fdpp-compile %t.mlir --emit=source | FileCheck %s --check-prefix=OFF --implicit-check-not=tap --implicit-check-not=_nodes
// RUN: fdpp-compile %t.mlir --emit=source --taps | awk 'length > 80' | count 0
// RUN: fdpp-compile %source/docs/one-layer.onnxtxt --emit=source --taps | FileCheck %s --check-prefix=GRAPH

// What each kernel stores, behind it: rotated queries, keys and values as the
// cache has them, sums on the residual stream. Nodes are those of the layers.
// CHECK: #include "kernels/cpu/model.h"
// CHECK-NEXT: #include "kernels/cpu/taps.h"
// CHECK: // Nodes of the graph whose values are tapped, by iteration.
// CHECK-NEXT: constexpr const char *query_nodes[] = {
// CHECK-NEXT: "n[[#Q:]]",
// CHECK-NEXT: "n[[#Q+26]]",
// CHECK-NEXT: "n[[#Q+52]]"};
// CHECK-NEXT: constexpr const char *key_nodes[] = {
// CHECK-NEXT: "n[[#Q+1]]",
// CHECK: constexpr const char *down_sum_nodes[] = {

// CHECK-LABEL: void prefill(
// CHECK: embed<
// CHECK-NEXT: team.done("embedding", -1);
// CHECK-NEXT: tap(team, step, {"embed", "n{{[0-9]+}}", -1}, tokens, 16, hidden);
// CHECK: for (int layer = 0; layer < 3; ++layer) {
// CHECK: StoreValue{
// CHECK-NEXT: team.done("wqkv", layer);
// CHECK-NEXT: tap(team, step, {"query", query_nodes[layer], layer}, tokens, 16, query);
// CHECK-NEXT: tap_keys(team, step, {"key", key_nodes[layer], layer}, layer, slots);
// CHECK-NEXT: tap_values(team, step, {"value", value_nodes[layer], layer}, layer, slots);
// CHECK: prefill_attention<
// CHECK: {"attended", attended_nodes[layer], layer}, tokens, 16,
// CHECK: AddResidual{hidden});
// CHECK-NEXT: team.done("wo", layer);
// CHECK-NEXT: tap(team, step, {"wo_sum", wo_sum_nodes[layer], layer}, tokens, 16, hidden);
// CHECK: tap(team, step, {"gated", gated_nodes[layer], layer}, tokens, 24, gated);
// CHECK: {"down_sum", down_sum_nodes[layer], layer}, tokens, 16,
// CHECK: StoreLogits{step.logits});
// CHECK-NEXT: team.done("lm_head", -1);
// CHECK-NEXT: tap(team, step, {"logits", "n{{[0-9]+}}", -1}, step.num_rows, 32, step.logits);

// Attention in two parts is one value.
// CHECK-LABEL: void mixed(
// CHECK: decode_attention<
// CHECK-NOT: tap
// CHECK: prefill_attention<
// CHECK: {"attended", attended_nodes[layer], layer}

// CHECK: tap_scratch_bytes(limits.max_tokens, KvCache()));
// CHECK: static constexpr const char *tap_names[] = {
// CHECK-NEXT: "embed", "query", "key", "value", "attended", "wo_sum", "gated",
// CHECK-NEXT: "down_sum", "logits", nullptr};

// OFF: #include "kernels/cpu/model.h"
// OFF-EMPTY:
// OFF: StoreLogits{step.logits});
// OFF: limits.head_dim, limits.decode_tokens));
// OFF-NEXT: }

// GRAPH: tap(team, step, {"query", "model/layers.0/attn/q_rope", 0},
// GRAPH: tap_keys(team, step, {"key", "model/layers.0/attn/k_rope", 0}, 0, slots);
// GRAPH: tap(team, step, {"logits", "logits", -1},
