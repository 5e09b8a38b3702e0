// RUN: fdpp-opt %S/../../Dialect/FDPP/fused.mlir --empty-tensor-to-alloc-tensor \
// RUN:   --one-shot-bufferize="bufferize-function-boundaries function-boundary-type-conversion=identity-layout-map" \
// RUN:   --cse --canonicalize --fdpp-drop-returned-arguments --fdpp-pack-weights \
// RUN:   --fdpp-choose-variants --fdpp-place-arena --cse --canonicalize --fdpp-name-for-emission \
// RUN:   | fdpp-translate --fdpp-to-cpu | FileCheck %s

// CHECK: using KvCache = Cache<bf16, 1 /*heads*/, 16 /*dims*/, 16 /*tokens a page*/>;

// CHECK: struct Weights {
// CHECK-NEXT: const bf16 *embed;{{ +}}// [40][32], packed
// CHECK: const float *attn_norm;{{ +}}// [2][32]

// CHECK: using Variants =
// CHECK-NEXT: ByTokens<UpTo<1, Variant<1, 4096>>,
// CHECK-NEXT: UpTo<6, Variant<6, 4096>>,
// CHECK-NEXT: Otherwise<Variant<6, 0>>>;

// CHECK: /// Rotates the halves of each head.
// CHECK-NEXT: struct StoreRotated {
// CHECK-NEXT: static constexpr Partner partner = Partner::half;
// CHECK-NEXT: static constexpr int columns = 32, group = 16;
// CHECK: float *at = query + row * 32 + column;
// CHECK: V cos_at = load(cos + row * 8 + column % 16, lanes);
// CHECK: store(at + 8, partner * cos_at + value * sin_at, lanes);

// CHECK: /// Adds to what the destination holds.
// CHECK-NEXT: struct AddResidual {
// CHECK: float *at = hidden + row * 32 + column;
// CHECK-NEXT: store(at, load(at, lanes) + value, lanes);

// CHECK: store(gated + row * 48 + column, silu(value) * partner, lanes);

// CHECK-LABEL: void decode(Team &team, const Weights &weights, const Step<KvCache> &step) {
// CHECK-NEXT: const int tokens = step.num_tokens;
// CHECK: float *hidden = step.at<float>(0);{{ +}}// [tokens][32]
// CHECK: rope_table<8>(team, tokens, step.positions, weights.inv_freq, cos, sin);
// CHECK: embed<Table::packed, 32>(team, tokens, step.tokens, weights.embed, hidden);
// CHECK-NEXT: team.done("embedding", -1);
// CHECK: for (int layer = 0; layer < 2; ++layer) {
// CHECK-NEXT: // Queries; keys and values, into the cache.
// CHECK-NEXT: linear_by_tokens<Variants>(team, tokens,
// CHECK-NEXT: RmsNorm<32>{hidden, weights.attn_norm + layer * 32, 1e-5f},
// CHECK-NEXT: weights.qkv + layer * 3584, step.scratch,
// CHECK-NEXT: StoreRotated{query, cos, sin},
// CHECK-NEXT: StoreKey{step.cache, cos, sin, slots, layer},
// CHECK-NEXT: StoreValue{step.cache, slots, layer});
// CHECK-NEXT: team.done("qkv", layer);
// CHECK-NEXT: // Attention.
// CHECK-NEXT: decode_attention<2>(
// CHECK-NEXT: team, step.batch, layer, query, step.cache, {.scale = 0.25f},
// CHECK-NEXT: step.scratch, attended);
// CHECK-NEXT: team.done("decode_attention", layer);
// CHECK: StoreLogits{step.logits});

// CHECK: {"qkv", 14336u, FDPP_BF16, 2},
// CHECK: .max_sequences = 8,
// CHECK: .entries = 2,
// CHECK: case FDPP_DECODE:
// CHECK-NEXT: return decode(team, weights, step);
