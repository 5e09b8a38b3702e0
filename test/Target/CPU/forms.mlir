// RUN: %python %source/utils/make_step.py --layers 3 --eps 1e-5 1e-6 --windows 0 3 5 --thetas 1e4 1e6 1e6 --embedding-scale 4 > %t.mlir && fdpp-compile %t.mlir --emit=source --dtype=f32 | FileCheck %s --check-prefix=BANKS
// RUN: %python %source/utils/make_step.py --layer-norm beta --rotary-dim 2 > %t.mlir && fdpp-compile %t.mlir --emit=source --dtype=bf16 | FileCheck %s --check-prefix=PARTIAL
// RUN: %python %source/utils/make_step.py --layer-norm plain --interleaved > %t.mlir && fdpp-compile %t.mlir --emit=source --dtype=bf16 | FileCheck %s --check-prefix=INTERLEAVED
// RUN: %python %source/utils/make_step.py --layers 40 --eps 1e-5 1e-6 2e-6 > %t.mlir && fdpp-compile %t.mlir --emit=source | awk 'length > 80' | count 0

// Scalars that differ between layers are tables of numbers.
// BANKS: // What differs between layers.
// BANKS-NEXT: constexpr int rotary_column(int layer) {
// BANKS-NEXT:   constexpr int of_layer[] = {0, 2, 2};
// BANKS-NEXT:   return of_layer[layer];
// BANKS-NEXT: }
// BANKS-NEXT: constexpr float norm_eps(int layer) {
// BANKS-NEXT:   constexpr float of_layer[] = {1e-5f, 1e-6f, 1e-5f};
// BANKS:      constexpr int attention_window(int layer) {
// BANKS-NEXT:   constexpr int of_layer[] = {0, 3, 5};
// BANKS: int rotary_column;
// BANKS: V cos_at = load(cos + row * 4 + rotary_column + column % 4, lanes);
// BANKS: embed<Table::rows, 16>(
// BANKS-NEXT: team, tokens, step.tokens, weights.embed, hidden, 4.0f);
// BANKS: rope_table<4>(team, tokens, step.positions, weights.inv_freq_all, cos, sin);
// BANKS: for (int layer = 0; layer < 3; ++layer) {
// BANKS: RmsNorm<16>{hidden, weights.attn_norm + layer * 16, norm_eps(layer)},
// BANKS: StoreRotated{query, rotary_column(layer), cos, sin},
// BANKS: {.scale = 0.5f, .window = attention_window(layer)}, attended);

// What a linear cannot take over is a call of its own.
// PARTIAL: LayerNorm<16>{
// PARTIAL-NEXT: hidden, weights.attn_norm + layer * 16,
// PARTIAL-NEXT: weights.attn_norm_beta + layer * 16, 1e-5f},
// PARTIAL: rope<16, 4, 2, RotaryPairs::halves>(
// PARTIAL-NEXT: team, tokens, query, cos, sin, 1,
// PARTIAL: rope<8, 4, 2, RotaryPairs::halves>(team, tokens, key, cos, sin, 1,
// PARTIAL: kv_append(team, tokens, {{.*}}, value, slots, layer, step.cache);

// INTERLEAVED: LayerNorm<16>{hidden, weights.attn_norm + layer * 16, nullptr, 1e-5f},
// INTERLEAVED: rope<16, 4, 4, RotaryPairs::neighbours>(
