// RUN: fdpp-opt %s | fdpp-opt | FileCheck %s

// A one-layer step in the raised form and a fused linear in each of its three
// segment kinds: everything prints as it parses.

module attributes {fdpp.model = #fdpp.model<layers = 1, hidden = 8, queryHeads = 2, kvHeads = 1, headDim = 4, vocab = 32, pageTokens = 16>} {
// CHECK: fdpp.weight @embed [#fdpp.seeded<1>] : tensor<32x8xbf16>
fdpp.weight @embed [#fdpp.seeded<1>] : tensor<32x8xbf16>
// CHECK: fdpp.weight @norm [#fdpp.file<"model.onnx.data", 4096, 32>] : tensor<8xf32>
fdpp.weight @norm [#fdpp.file<"model.onnx.data", 4096, 32>] : tensor<8xf32>
fdpp.weight @inv_freq [dense<[1.0, 0.01]> : tensor<2xf32>] : tensor<2xf32>
fdpp.weight @q bank 2 [#fdpp.seeded<2>, #fdpp.seeded<3>] : tensor<8x8xbf16>
fdpp.weight @k bank 2 [#fdpp.seeded<4>, #fdpp.seeded<5>] : tensor<4x8xbf16>
// CHECK: fdpp.weight @qkv bank 2 layout <panel = 16, interleave = 2, [<columns = 8, partner = half, group = 4, dest = 0>, <columns = 4, partner = half, group = 4, dest = 1>, <columns = 4, dest = 1>]> init {
fdpp.weight @qkv bank 2 layout <panel = 16, interleave = 2, [<columns = 8, partner = half, group = 4, dest = 0>, <columns = 4, partner = half, group = 4, dest = 1>, <columns = 4, dest = 1>]> init {
^bb0(%layer: index):
  %q = fdpp.weight_at @q[%layer] : tensor<8x8xbf16>
  %k = fdpp.weight_at @k[%layer] : tensor<4x8xbf16>
  %all = tensor.concat dim(0) %q, %k, %k : (tensor<8x8xbf16>, tensor<4x8xbf16>, tensor<4x8xbf16>) -> tensor<16x8xbf16>
  fdpp.yield %all : tensor<16x8xbf16>
} : tensor<16x8xbf16>

// CHECK-LABEL: func.func @step
func.func @step(%tokens: tensor<?xi32>, %positions: tensor<?xi32>, %offsets: tensor<?xi32>,
                %context: tensor<?xi32>, %pages: tensor<?x?xi32>, %rows: tensor<?xi32>,
                %cache: tensor<2x?x2x1x16x4xbf16>, %logits: tensor<?x32xf32>,
                %phi: tensor<2x2xf32>)
    -> (tensor<?x32xf32>, tensor<2x?x2x1x16x4xbf16>) {
  %layer = arith.constant 0 : index
  %inv_freq = fdpp.weight_at @inv_freq : tensor<2xf32>
  // CHECK: fdpp.rope_table
  %cos, %sin = fdpp.rope_table %positions, %inv_freq : (tensor<?xi32>, tensor<2xf32>) -> (tensor<?x2xf32>, tensor<?x2xf32>)
  %slots = fdpp.token_slots %tokens, %offsets, %context, %pages {page_tokens = 16 : i64} : (tensor<?xi32>, tensor<?xi32>, tensor<?xi32>, tensor<?x?xi32>) -> tensor<?xi32>
  %table = fdpp.weight_at @embed : tensor<32x8xbf16>
  %x = fdpp.embed %tokens, %table : (tensor<?xi32>, tensor<32x8xbf16>) -> tensor<?x8xf32>
  %gamma = fdpp.weight_at @norm : tensor<8xf32>
  %wqkv = fdpp.weight_at @qkv[%layer] : tensor<16x8xbf16>
  %c0 = arith.constant 0 : index
  %t = tensor.dim %tokens, %c0 : tensor<?xi32>
  %q0 = tensor.empty(%t) : tensor<?x8xf32>
  // CHECK: fdpp.fused_linear {{.*}} norm({{.*}}) outs(
  %q, %cache1 = fdpp.fused_linear %x, %wqkv norm(%gamma) outs(%q0, %cache) segments [#fdpp.segment<columns = 8, partner = half, group = 4, dest = 0>, #fdpp.segment<columns = 4, partner = half, group = 4, dest = 1>, #fdpp.segment<columns = 4, dest = 1>] ({
  ^bb0(%value: f32, %partner: f32, %row: index, %column: index, %old: f32):
    %half = arith.constant 4 : index
    %j = arith.remui %column, %half : index
    %cs = tensor.extract %cos[%row, %j] : tensor<?x2xf32>
    %sn = tensor.extract %sin[%row, %j] : tensor<?x2xf32>
    %a = arith.mulf %value, %cs : f32
    %b = arith.mulf %partner, %sn : f32
    %lo = arith.subf %a, %b : f32
    %c = arith.mulf %partner, %cs : f32
    %d = arith.mulf %value, %sn : f32
    %hi = arith.addf %c, %d : f32
    // CHECK: fdpp.store %{{.*}}, %{{.*}} : f32, f32
    fdpp.store %lo, %hi : f32, f32
  }, {
  ^bb0(%value: f32, %partner: f32, %row: index, %column: index, %old: f32):
    %slot = tensor.extract %slots[%row] : tensor<?xi32>
    // CHECK: fdpp.kv_store <key> slot %{{.*}} layer %{{.*}}, %{{.*}}, %{{.*}} : f32, f32
    fdpp.kv_store <key> slot %slot layer %layer, %value, %partner : f32, f32
  }, {
  ^bb0(%value: f32, %partner: f32, %row: index, %column: index, %old: f32):
    %slot = tensor.extract %slots[%row] : tensor<?xi32>
    fdpp.kv_store <value> slot %slot layer %layer, %value : f32
  }) {eps = 1.0e-5 : f64} : (tensor<?x8xf32>, tensor<16x8xbf16>, tensor<8xf32>, tensor<?x8xf32>, tensor<2x?x2x1x16x4xbf16>) -> (tensor<?x8xf32>, tensor<2x?x2x1x16x4xbf16>)
  // CHECK: fdpp.decode_attention
  %att = fdpp.decode_attention %q, %cache1, %layer, %offsets, %context, %pages {scale = 0.5 : f64} : (tensor<?x8xf32>, tensor<2x?x2x1x16x4xbf16>, index, tensor<?xi32>, tensor<?xi32>, tensor<?x?xi32>) -> tensor<?x8xf32>
  // CHECK: fdpp.async_softmax_decode_attention {{.*}}, phi %{{.*}} {p_type = f16, scale = 5.000000e-01 : f64}
  %async:2 = fdpp.async_softmax_decode_attention %q, %cache1, %layer, %offsets, %context, %pages, phi %phi {p_type = f16, scale = 0.5 : f64} : (tensor<?x8xf32>, tensor<2x?x2x1x16x4xbf16>, index, tensor<?xi32>, tensor<?xi32>, tensor<?x?xi32>, tensor<2x2xf32>) -> (tensor<?x8xf32>, tensor<?x2xi32>)
  // CHECK: fdpp.recompute_rows {{.*}}, invalid %{{.*}}#1 outs(%{{.*}}#0) {scale = 5.000000e-01 : f64}
  %redone = fdpp.recompute_rows %q, %cache1, %layer, %offsets, %context, %pages, invalid %async#1 outs(%async#0) {scale = 0.5 : f64} : (tensor<?x8xf32>, tensor<2x?x2x1x16x4xbf16>, index, tensor<?xi32>, tensor<?xi32>, tensor<?x?xi32>, tensor<?x2xi32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %wo = fdpp.weight_at @q[%layer] : tensor<8x8xbf16>
  %o = fdpp.linear %att, %wo : (tensor<?x8xf32>, tensor<8x8xbf16>) -> tensor<?x8xf32>
  %x1 = fdpp.add %x, %o : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %s = fdpp.select_rows %x1, %rows : (tensor<?x8xf32>, tensor<?xi32>) -> tensor<?x8xf32>
  // CHECK: fdpp.rms_norm {{.*}} {eps = {{.*}} : f64}
  %n = fdpp.rms_norm %s, %gamma {eps = 1.0e-5 : f64} : (tensor<?x8xf32>, tensor<8xf32>) -> tensor<?x8xf32>
  // CHECK: fdpp.linear %{{.*}}, %{{.*}} outs(%{{.*}})
  %l = fdpp.linear %n, %table outs(%logits) : (tensor<?x8xf32>, tensor<32x8xbf16>, tensor<?x32xf32>) -> tensor<?x32xf32>
  return %l, %cache1 : tensor<?x32xf32>, tensor<2x?x2x1x16x4xbf16>
}
}
