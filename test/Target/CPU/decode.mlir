// RUN: fdpp-opt %S/../../Dialect/FDPP/fused.mlir --empty-tensor-to-alloc-tensor \
// RUN:   --one-shot-bufferize="bufferize-function-boundaries function-boundary-type-conversion=identity-layout-map" \
// RUN:   --cse --canonicalize --fdpp-drop-returned-arguments --fdpp-pack-weights \
// RUN:   --fdpp-choose-variants --fdpp-place-arena --cse --canonicalize --fdpp-name-for-emission \
// RUN:   | fdpp-translate --fdpp-to-cpu | FileCheck %s

// CHECK: using KvCache = Cache<bf16, 1 /*heads*/, 16 /*dims*/, 16 /*tokens a page*/>;

// CHECK: struct Weights {
// CHECK-NEXT: const bf16 *embed; // 40 x 32, packed
// CHECK: const float *attn_norm; // 2 x 32

// CHECK: struct StoreRotated {
// CHECK-NEXT: static constexpr Partner partner = Partner::half;
// CHECK-NEXT: static constexpr int columns = 32, group = 16;
// CHECK: V cos_at = load(cos + row * 8 + column % 16, lanes);
// CHECK: store(query + row * 32 + column + 8, partner * cos_at + value * sin_at, lanes);

// CHECK: struct AddResidual {
// CHECK: V old = load(hidden + row * 32 + column, lanes);
// CHECK-NEXT: store(hidden + row * 32 + column, old + value, lanes);

// CHECK: store(gated + row * 48 + column, silu(value) * partner, lanes);

// CHECK-LABEL: void decode(Team &team, const Weights &weights, const Step<KvCache> &step) {
// CHECK: float *hidden = step.at<float>(0); // [step.num_tokens][32]
// CHECK: rope_table<8>(team, step.num_tokens, step.positions, weights.inv_freq, cos, sin);
// CHECK: embed<Table::packed, 32>(team, step.num_tokens, step.tokens, weights.embed, hidden);
// CHECK: for (int layer = 0; layer < 2; ++layer) {
// CHECK-NEXT: if (step.num_tokens <= 1) {
// CHECK-NEXT: linear<Variant<1, 4096>>(team, step.num_tokens,
// CHECK-NEXT: RmsNorm<32>{hidden, weights.attn_norm + layer * 32l, 1e-05f},
// CHECK-NEXT: weights.qkv + layer * 3584l, step.scratch,
// CHECK-NEXT: StoreRotated{query, cos, sin},
// CHECK-NEXT: StoreKey{step.cache, cos, sin, slots, layer},
// CHECK-NEXT: StoreValue{step.cache, slots, layer});
// CHECK: decode_attention<2>(team, step.batch, layer, query, step.cache, {.scale = 0.25f}, step.scratch, attended);
// CHECK: StoreLogits{step.logits});

// CHECK: {"qkv", 14336u, FDPP_BF16, 2},
// CHECK: .max_sequences = 8,
// CHECK: .entries = 2,
// CHECK: case FDPP_DECODE:
// CHECK-NEXT: return decode(team, weights, step);
