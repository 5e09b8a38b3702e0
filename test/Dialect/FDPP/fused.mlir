// RUN: fdpp-opt %s | fdpp-opt | FileCheck %s
// CHECK: func.func @decode

// The decode entry of a model with two layers in the phase 'fused': hidden 32,
// two query heads and one KV head of 16, feed-forward 48, vocabulary 40.

module attributes {fdpp.model = #fdpp.model<layers = 2, hidden = 32, queryHeads = 2, kvHeads = 1, headDim = 16, vocab = 40, pageTokens = 16>} {
  fdpp.weight @embed [#fdpp.seeded<1>] : tensor<40x32xbf16>
  fdpp.weight @inv_freq [dense<[1.0, 0.5, 0.25, 0.125, 0.0625, 0.03125, 0.015625, 0.0078125]> : tensor<8xf32>] : tensor<8xf32>
  fdpp.weight @attn_norm bank 2 [#fdpp.seeded<2>, #fdpp.seeded<3>] : tensor<32xf32>
  fdpp.weight @qkv bank 2 [#fdpp.seeded<4>, #fdpp.seeded<5>] : tensor<64x32xbf16>
  fdpp.weight @wo bank 2 [#fdpp.seeded<6>, #fdpp.seeded<7>] : tensor<32x32xbf16>
  fdpp.weight @ffn_norm bank 2 [#fdpp.seeded<8>, #fdpp.seeded<9>] : tensor<32xf32>
  fdpp.weight @gate_up bank 2 [#fdpp.seeded<10>, #fdpp.seeded<11>] : tensor<96x32xbf16>
  fdpp.weight @down bank 2 [#fdpp.seeded<12>, #fdpp.seeded<13>] : tensor<32x48xbf16>
  fdpp.weight @norm [#fdpp.seeded<14>] : tensor<32xf32>

  func.func @decode(
      %tokens: tensor<?xi32> {fdpp.role = "tokens", fdpp.max = 8 : i64},
      %positions: tensor<?xi32> {fdpp.role = "positions", fdpp.max = 8 : i64},
      %offsets: tensor<?xi32> {fdpp.role = "seq_offsets", fdpp.max = 9 : i64},
      %context: tensor<?xi32> {fdpp.role = "context", fdpp.max = 8 : i64},
      %pages: tensor<?x?xi32> {fdpp.role = "pages", fdpp.max = 8 : i64},
      %rows: tensor<?xi32> {fdpp.role = "rows", fdpp.max = 8 : i64},
      %cache: tensor<2x?x2x1x16x16xbf16> {fdpp.role = "cache"},
      %logits: tensor<?x40xf32> {fdpp.role = "logits", fdpp.max = 8 : i64})
      -> (tensor<?x40xf32>, tensor<2x?x2x1x16x16xbf16>)
      attributes {fdpp.entry = "decode"} {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %c2 = arith.constant 2 : index
    %c8 = arith.constant 8 : index
    %c16 = arith.constant 16 : index
    %t = tensor.dim %tokens, %c0 : tensor<?xi32>
    %r = tensor.dim %rows, %c0 : tensor<?xi32>
    %e_cos = tensor.empty(%t) : tensor<?x8xf32> loc("cos")
    %e_sin = tensor.empty(%t) : tensor<?x8xf32> loc("sin")
    %inv_freq = fdpp.weight_at @inv_freq : tensor<8xf32>
    %cos, %sin = fdpp.rope_table %positions, %inv_freq outs(%e_cos, %e_sin) : (tensor<?xi32>, tensor<8xf32>, tensor<?x8xf32>, tensor<?x8xf32>) -> (tensor<?x8xf32>, tensor<?x8xf32>)
    %e_slots = tensor.empty(%t) : tensor<?xi32> loc("slots")
    %slots = fdpp.token_slots %tokens, %offsets, %context, %pages outs(%e_slots) {page_tokens = 16 : i64} : (tensor<?xi32>, tensor<?xi32>, tensor<?xi32>, tensor<?x?xi32>, tensor<?xi32>) -> tensor<?xi32>
    %table = fdpp.weight_at @embed : tensor<40x32xbf16>
    %e_x = tensor.empty(%t) : tensor<?x32xf32> loc("hidden")
    %x0 = fdpp.embed %tokens, %table outs(%e_x) : (tensor<?xi32>, tensor<40x32xbf16>, tensor<?x32xf32>) -> tensor<?x32xf32>
    %xL, %cacheL = scf.for %layer = %c0 to %c2 step %c1 iter_args(%x = %x0, %kv = %cache) -> (tensor<?x32xf32>, tensor<2x?x2x1x16x16xbf16>) {
      %gamma = fdpp.weight_at @attn_norm[%layer] : tensor<32xf32>
      %wqkv = fdpp.weight_at @qkv[%layer] : tensor<64x32xbf16>
      %e_q = tensor.empty(%t) : tensor<?x32xf32> loc("query")
      %q, %kv1 = fdpp.fused_linear %x, %wqkv norm(%gamma) outs(%e_q, %kv) segments [#fdpp.segment<columns = 32, partner = half, group = 16, dest = 0>, #fdpp.segment<columns = 16, partner = half, group = 16, dest = 1>, #fdpp.segment<columns = 16, dest = 1>] ({
      ^bb0(%value: f32, %partner: f32, %row: index, %column: index, %old: f32):
        %j = arith.remui %column, %c16 : index
        %cs = tensor.extract %cos[%row, %j] : tensor<?x8xf32>
        %sn = tensor.extract %sin[%row, %j] : tensor<?x8xf32>
        %a = arith.mulf %value, %cs : f32
        %b = arith.mulf %partner, %sn : f32
        %lo = arith.subf %a, %b : f32
        %c = arith.mulf %partner, %cs : f32
        %d = arith.mulf %value, %sn : f32
        %hi = arith.addf %c, %d : f32
        fdpp.store %lo, %hi : f32, f32
      }, {
      ^bb0(%value: f32, %partner: f32, %row: index, %column: index, %old: f32):
        %j = arith.remui %column, %c16 : index
        %cs = tensor.extract %cos[%row, %j] : tensor<?x8xf32>
        %sn = tensor.extract %sin[%row, %j] : tensor<?x8xf32>
        %a = arith.mulf %value, %cs : f32
        %b = arith.mulf %partner, %sn : f32
        %lo = arith.subf %a, %b : f32
        %c = arith.mulf %partner, %cs : f32
        %d = arith.mulf %value, %sn : f32
        %hi = arith.addf %c, %d : f32
        %slot = tensor.extract %slots[%row] : tensor<?xi32>
        fdpp.kv_store <key> slot %slot layer %layer, %lo, %hi : f32, f32
      }, {
      ^bb0(%value: f32, %partner: f32, %row: index, %column: index, %old: f32):
        %slot = tensor.extract %slots[%row] : tensor<?xi32>
        fdpp.kv_store <value> slot %slot layer %layer, %value : f32
      }) {eps = 1.0e-5 : f64} : (tensor<?x32xf32>, tensor<64x32xbf16>, tensor<32xf32>, tensor<?x32xf32>, tensor<2x?x2x1x16x16xbf16>) -> (tensor<?x32xf32>, tensor<2x?x2x1x16x16xbf16>)
      %e_a = tensor.empty(%t) : tensor<?x32xbf16> loc("attended")
      %att = fdpp.decode_attention %q, %kv1, %layer, %offsets, %context, %pages outs(%e_a) {scale = 0.25 : f64} : (tensor<?x32xf32>, tensor<2x?x2x1x16x16xbf16>, index, tensor<?xi32>, tensor<?xi32>, tensor<?x?xi32>, tensor<?x32xbf16>) -> tensor<?x32xbf16>
      %wo = fdpp.weight_at @wo[%layer] : tensor<32x32xbf16>
      %x1 = fdpp.fused_linear %att, %wo outs(%x) segments [#fdpp.segment<columns = 32, dest = 0>] ({
      ^bb0(%value: f32, %partner: f32, %row: index, %column: index, %old: f32):
        %s = arith.addf %old, %value : f32
        fdpp.store %s : f32
      }) : (tensor<?x32xbf16>, tensor<32x32xbf16>, tensor<?x32xf32>) -> tensor<?x32xf32>
      %gamma2 = fdpp.weight_at @ffn_norm[%layer] : tensor<32xf32>
      %wgu = fdpp.weight_at @gate_up[%layer] : tensor<96x32xbf16>
      %e_f = tensor.empty(%t) : tensor<?x48xbf16> loc("gated")
      %f = fdpp.fused_linear %x1, %wgu norm(%gamma2) outs(%e_f) segments [#fdpp.segment<columns = 96, partner = gate_up, dest = 0>] ({
      ^bb0(%value: f32, %partner: f32, %row: index, %column: index, %old: f32):
        %s = fdpp.scalar_activation %value {activation = #fdpp.activation<silu>} : f32
        %p = arith.mulf %s, %partner : f32
        fdpp.store %p : f32
      }) {eps = 1.0e-5 : f64} : (tensor<?x32xf32>, tensor<96x32xbf16>, tensor<32xf32>, tensor<?x48xbf16>) -> tensor<?x48xbf16>
      %wd = fdpp.weight_at @down[%layer] : tensor<32x48xbf16>
      %x2 = fdpp.fused_linear %f, %wd outs(%x1) segments [#fdpp.segment<columns = 32, dest = 0>] ({
      ^bb0(%value: f32, %partner: f32, %row: index, %column: index, %old: f32):
        %s = arith.addf %old, %value : f32
        fdpp.store %s : f32
      }) : (tensor<?x48xbf16>, tensor<32x48xbf16>, tensor<?x32xf32>) -> tensor<?x32xf32>
      scf.yield %x2, %kv1 : tensor<?x32xf32>, tensor<2x?x2x1x16x16xbf16>
    }
    %e_s = tensor.empty(%r) : tensor<?x32xf32> loc("selected")
    %s = fdpp.select_rows %xL, %rows outs(%e_s) : (tensor<?x32xf32>, tensor<?xi32>, tensor<?x32xf32>) -> tensor<?x32xf32>
    %gammaN = fdpp.weight_at @norm : tensor<32xf32>
    %l = fdpp.fused_linear %s, %table norm(%gammaN) outs(%logits) segments [#fdpp.segment<columns = 40, dest = 0>] ({
    ^bb0(%value: f32, %partner: f32, %row: index, %column: index, %old: f32):
      fdpp.store %value : f32
    }) {eps = 1.0e-5 : f64} : (tensor<?x32xf32>, tensor<40x32xbf16>, tensor<32xf32>, tensor<?x40xf32>) -> tensor<?x40xf32>
    return %l, %cacheL : tensor<?x40xf32>, tensor<2x?x2x1x16x16xbf16>
  }
}
