// RUN: fdpp-opt %s --onnx-recognise -split-input-file -verify-diagnostics | FileCheck %s
// RUN: not fdpp-opt %s --onnx-recognise -split-input-file --remarks-filter=recognition 2>&1 | FileCheck %s --check-prefix=REMARK

// REMARK: remark: [Passed] recognise {{.*}}Remark="onnx.Gather became fdpp.embed", operations=1
// REMARK: remark: [Passed] recognise {{.*}}Remark="onnx.RMSNormalization became fdpp.rms_norm", operations=1
// REMARK: remark: [Passed] recognise {{.*}}Remark="onnx.MatMul became fdpp.linear", operations=5
// REMARK: remark: [Passed] recognise {{.*}}Remark="onnx.RotaryEmbedding became fdpp.rope", operations=2
// REMARK: remark: [Passed] recognise {{.*}}Remark="onnx.Attention became fdpp.masked_attention", operations=1
// REMARK: remark: [Passed] recognise {{.*}}Remark="onnx.Mul became fdpp.glu", operations=1
// REMARK: remark: {{.*}}[Missed] recognise {{.*}}Remark="onnx.Exp stays: no part of a Llama model looks like this"
// REMARK: remark: [Missed] recognise {{.*}}Remark="onnx.MatMul stays: its right operand is no parameter of rank 2"
// REMARK: remark: [Missed] recognise {{.*}}Remark="onnx.LayerNormalization stays: its gamma or beta is no parameter"

// One layer as fdpp-export writes it, weights in bf16.
// CHECK-DAG: fdpp.weight @embed [#fdpp.seeded<1>] : tensor<32x8xbf16>
// CHECK-DAG: fdpp.weight @inv_freq [dense<[1.000000e+00, 0.00999999977]> : tensor<2xf32>] : tensor<2xf32>
// CHECK-DAG: fdpp.weight @gamma [dense<5.000000e-01> : tensor<8xf32>] : tensor<8xf32>
// CHECK-LABEL: func.func @main
// CHECK: %[[FREQ:.*]] = fdpp.weight_at @inv_freq : tensor<2xf32>
// CHECK: %[[ROPE:.*]]:2 = fdpp.rope_table %arg2, %[[FREQ]] : (tensor<?x?xi64>, tensor<2xf32>) -> (tensor<?x?x2xf32>, tensor<?x?x2xf32>)
// CHECK: %[[TABLE:.*]] = fdpp.weight_at @embed : tensor<32x8xbf16>
// CHECK: %[[X:.*]] = fdpp.embed %arg0, %[[TABLE]] : (tensor<?x?xi64>, tensor<32x8xbf16>) -> tensor<?x?x8xf32>
// CHECK: %[[GAMMA:.*]] = fdpp.weight_at @gamma : tensor<8xf32>
// CHECK: %[[H:.*]] = fdpp.rms_norm %[[X]], %[[GAMMA]] {eps = 1.000000e-05 : f64}
// CHECK: %[[WQ:.*]] = fdpp.weight_at @q : tensor<8x8xbf16>
// CHECK: %[[Q:.*]] = fdpp.linear %[[H]], %[[WQ]] bias(%{{.*}}) : (tensor<?x?x8xf32>, tensor<8x8xbf16>, tensor<8xf32>) -> tensor<?x?x8xf32>
// CHECK: %[[K:.*]] = fdpp.linear %[[H]], %{{.*}} : (tensor<?x?x8xf32>, tensor<4x8xf32>) -> tensor<?x?x4xf32>
// CHECK: %[[QR:.*]] = fdpp.rope %[[Q]], %[[ROPE]]#0, %[[ROPE]]#1 {head_dim = 4 : i64}
// CHECK: %[[KR:.*]] = fdpp.rope %[[K]], %[[ROPE]]#0, %[[ROPE]]#1 {head_dim = 4 : i64}
// CHECK: %[[Y:.*]], %[[P:.*]]:2 = fdpp.masked_attention %[[QR]], %[[KR]], %[[K]] past(%arg3, %arg4) padding(%arg1) {head_dim = 4 : i64, kv_heads = 1 : i64, mask = #fdpp.mask<causal = true, padding = true>, scale = 5.000000e-01 : f64}
// CHECK: %[[R:.*]] = fdpp.add %[[X]], %[[Y]]
// CHECK: %[[G:.*]] = fdpp.linear %[[R]]
// CHECK: %[[U:.*]] = fdpp.linear %[[R]]
// CHECK: %[[GLU:.*]] = fdpp.glu %[[G]], %[[U]] {activation = #fdpp.activation<silu>}
// CHECK: %[[L:.*]] = fdpp.linear %[[GLU]], %{{.*}} : (tensor<?x?x8xf32>, tensor<32x8xbf16>) -> tensor<?x?x32xf32>
// CHECK: return %[[L]], %[[P]]#0, %[[P]]#1
// CHECK-NOT: onnx.{{[A-Z]}}
fdpp.weight @embed [#fdpp.seeded<1>] : tensor<32x8xbf16>
fdpp.weight @q [#fdpp.seeded<2>] : tensor<8x8xbf16>
fdpp.weight @gate [#fdpp.seeded<3>] : tensor<8x8xf32>
fdpp.weight @up [#fdpp.seeded<4>] : tensor<8x8xf32>
func.func @main(%ids: tensor<?x?xi64>, %am: tensor<?x?xi64>, %pos: tensor<?x?xi64>, %pk: tensor<?x1x?x4xf32>, %pv: tensor<?x1x?x4xf32>) -> (tensor<?x?x32xf32>, tensor<?x1x?x4xf32>, tensor<?x1x?x4xf32>) {
  %n = onnx.extents(%ids) dims [1] map affine_map<()[s0] -> (s0)> : (tensor<?x?xi64>) -> tensor<i64>
  %p = onnx.extents(%pk) dims [2] map affine_map<()[s0] -> (s0)> : (tensor<?x1x?x4xf32>) -> tensor<i64>
  %m = onnx.mask(%n, %p) padding(%am) <causal = true, padding = true> : (tensor<i64>, tensor<i64>, tensor<?x?xi64>) -> tensor<?x1x?x?xi1>
  %f = onnx.Constant dense<[1.0, 0.01]> : tensor<2xf32> loc("inv_freq")
  %a2 = onnx.Constant dense<2> : tensor<1xi64>
  %pf = onnx.Cast(%pos) {to = 1 : i64} : (tensor<?x?xi64>) -> tensor<?x?xf32>
  %pu = onnx.Unsqueeze(%pf, %a2) : (tensor<?x?xf32>, tensor<1xi64>) -> tensor<?x?x1xf32>
  %an = onnx.Mul(%pu, %f) : (tensor<?x?x1xf32>, tensor<2xf32>) -> tensor<?x?x2xf32>
  %cos = onnx.Cos(%an) : (tensor<?x?x2xf32>) -> tensor<?x?x2xf32>
  %sin = onnx.Sin(%an) : (tensor<?x?x2xf32>) -> tensor<?x?x2xf32>
  %table = fdpp.weight_at @embed : tensor<32x8xbf16>
  %rows = onnx.Gather(%table, %ids) : (tensor<32x8xbf16>, tensor<?x?xi64>) -> tensor<?x?x8xbf16>
  %x = onnx.Cast(%rows) {to = 1 : i64} : (tensor<?x?x8xbf16>) -> tensor<?x?x8xf32>
  %gamma = onnx.Constant dense<0.5> : tensor<8xf32> loc("gamma")
  %h = onnx.RMSNormalization(%x, %gamma) {epsilon = 1.0e-5 : f32} : (tensor<?x?x8xf32>, tensor<8xf32>) -> tensor<?x?x8xf32>
  %wq = fdpp.weight_at @q : tensor<8x8xbf16>
  %wqf = onnx.Cast(%wq) {to = 1 : i64} : (tensor<8x8xbf16>) -> tensor<8x8xf32>
  %wqt = onnx.Transpose(%wqf) {perm = array<i64: 1, 0>} : (tensor<8x8xf32>) -> tensor<8x8xf32>
  %q0 = onnx.MatMul(%h, %wqt) : (tensor<?x?x8xf32>, tensor<8x8xf32>) -> tensor<?x?x8xf32>
  %bias = onnx.Constant dense<0.25> : tensor<8xf32>
  %q = onnx.Add(%q0, %bias) : (tensor<?x?x8xf32>, tensor<8xf32>) -> tensor<?x?x8xf32>
  %wk = onnx.Constant dense<1.0> : tensor<4x8xf32>
  %wkt = onnx.Transpose(%wk) : (tensor<4x8xf32>) -> tensor<8x4xf32>
  %k = onnx.MatMul(%h, %wkt) : (tensor<?x?x8xf32>, tensor<8x4xf32>) -> tensor<?x?x4xf32>
  %qr = onnx.RotaryEmbedding(%q, %cos, %sin) {num_heads = 2 : i64} : (tensor<?x?x8xf32>, tensor<?x?x2xf32>, tensor<?x?x2xf32>) -> tensor<?x?x8xf32>
  %kr = onnx.RotaryEmbedding(%k, %cos, %sin) {num_heads = 1 : i64} : (tensor<?x?x4xf32>, tensor<?x?x2xf32>, tensor<?x?x2xf32>) -> tensor<?x?x4xf32>
  %y, %nk, %nv = onnx.Attention(%qr, %kr, %k, %m, %pk, %pv) {kv_num_heads = 1 : i64, q_num_heads = 2 : i64} : (tensor<?x?x8xf32>, tensor<?x?x4xf32>, tensor<?x?x4xf32>, tensor<?x1x?x?xi1>, tensor<?x1x?x4xf32>, tensor<?x1x?x4xf32>) -> (tensor<?x?x8xf32>, tensor<?x1x?x4xf32>, tensor<?x1x?x4xf32>)
  %r = onnx.Add(%x, %y) : (tensor<?x?x8xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  %wg = fdpp.weight_at @gate : tensor<8x8xf32>
  %wgt = onnx.Transpose(%wg) {perm = array<i64: 1, 0>} : (tensor<8x8xf32>) -> tensor<8x8xf32>
  %g = onnx.MatMul(%r, %wgt) : (tensor<?x?x8xf32>, tensor<8x8xf32>) -> tensor<?x?x8xf32>
  %wu = fdpp.weight_at @up : tensor<8x8xf32>
  %wut = onnx.Transpose(%wu) {perm = array<i64: 1, 0>} : (tensor<8x8xf32>) -> tensor<8x8xf32>
  %u = onnx.MatMul(%r, %wut) : (tensor<?x?x8xf32>, tensor<8x8xf32>) -> tensor<?x?x8xf32>
  %s = onnx.Sigmoid(%g) : (tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  %gs = onnx.Mul(%s, %g) : (tensor<?x?x8xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  %glu = onnx.Mul(%u, %gs) : (tensor<?x?x8xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  %head = fdpp.weight_at @embed : tensor<32x8xbf16>
  %headf = onnx.Cast(%head) {to = 1 : i64} : (tensor<32x8xbf16>) -> tensor<32x8xf32>
  %headt = onnx.Transpose(%headf) {perm = array<i64: 1, 0>} : (tensor<32x8xf32>) -> tensor<8x32xf32>
  %l = onnx.MatMul(%glu, %headt) : (tensor<?x?x8xf32>, tensor<8x32xf32>) -> tensor<?x?x32xf32>
  return %l, %nk, %nv : tensor<?x?x32xf32>, tensor<?x1x?x4xf32>, tensor<?x1x?x4xf32>
}

// -----

// A weight stored as [K, N] is turned round in an init region.
// CHECK: fdpp.weight @w.transposed init {
// CHECK: %[[W:.*]] = fdpp.weight_at @w : tensor<8x4xf32>
// CHECK: %[[T:.*]] = fdpp.transpose %[[W]] : tensor<8x4xf32> -> tensor<4x8xf32>
// CHECK: fdpp.yield %[[T]]
// CHECK: fdpp.linear %arg0, %{{.*}} bias(%{{.*}}) : (tensor<?x8xf32>, tensor<4x8xf32>, tensor<4xf32>) -> tensor<?x4xf32>
fdpp.weight @w [#fdpp.seeded<1>] : tensor<8x4xf32>
func.func @main(%x: tensor<?x8xf32>) -> tensor<?x4xf32> {
  %w = fdpp.weight_at @w : tensor<8x4xf32>
  %b = onnx.Constant dense<1.0> : tensor<4xf32>
  %y = onnx.Gemm(%x, %w, %b) : (tensor<?x8xf32>, tensor<8x4xf32>, tensor<4xf32>) -> tensor<?x4xf32>
  return %y : tensor<?x4xf32>
}

// -----

// expected-error @below {{3 operations of the graph are not recognised as parts of a Llama model: onnx.Exp at 'e', 'f'; onnx.unsupported LSTM (no such operator in the onnx dialect) at 'l'}}
func.func @main(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %0 = onnx.Exp(%x) : (tensor<?x8xf32>) -> tensor<?x8xf32> loc("e")
  %1 = onnx.Exp(%0) : (tensor<?x8xf32>) -> tensor<?x8xf32> loc("f")
  %2 = onnx.unsupported "" : "LSTM"(%1) {node_attributes = {}, reason = "no such operator in the onnx dialect"} : (tensor<?x8xf32>) -> tensor<?x8xf32> loc("l")
  return %2 : tensor<?x8xf32>
}

// -----

// What Gemma adds: a scale behind the embedding, a cap on the logits; what others
// have: an activation without a gate.
// CHECK: %[[X:.*]] = fdpp.embed
// CHECK: %[[S:.*]] = fdpp.scale %[[X]] {factor = 4.000000e+00 : f64}
// CHECK: %[[H:.*]] = fdpp.linear %[[S]]
// CHECK: %[[A:.*]] = fdpp.activation %[[H]] {activation = #fdpp.activation<gelu_tanh>}
// CHECK: %[[L:.*]] = fdpp.linear %[[A]]
// CHECK: %[[C:.*]] = fdpp.softcap %[[L]] {cap = 2.500000e+00 : f64}
// CHECK: return %[[C]]
fdpp.weight @embed [#fdpp.seeded<1>] : tensor<32x8xf32>
fdpp.weight @up [#fdpp.seeded<2>] : tensor<8x8xf32>
func.func @main(%ids: tensor<?x?xi64>) -> tensor<?x?x8xf32> {
  %table = fdpp.weight_at @embed : tensor<32x8xf32>
  %w = fdpp.weight_at @up : tensor<8x8xf32>
  %four = onnx.Constant dense<4.0> : tensor<f32>
  %cap = onnx.Constant dense<2.5> : tensor<1xf32>
  %x = onnx.Gather(%table, %ids) : (tensor<32x8xf32>, tensor<?x?xi64>) -> tensor<?x?x8xf32>
  %s = onnx.Mul(%four, %x) : (tensor<f32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  %h = onnx.MatMul(%s, %w) : (tensor<?x?x8xf32>, tensor<8x8xf32>) -> tensor<?x?x8xf32>
  %a = onnx.Gelu(%h) {approximate = "tanh"} : (tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  %l = onnx.MatMul(%a, %w) : (tensor<?x?x8xf32>, tensor<8x8xf32>) -> tensor<?x?x8xf32>
  %d = onnx.Div(%l, %cap) : (tensor<?x?x8xf32>, tensor<1xf32>) -> tensor<?x?x8xf32>
  %t = onnx.Tanh(%d) : (tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  %c = onnx.Mul(%t, %cap) : (tensor<?x?x8xf32>, tensor<1xf32>) -> tensor<?x?x8xf32>
  return %c : tensor<?x?x8xf32>
}

// -----

// expected-error @below {{2 operations of the graph are not recognised as parts of a Llama model: onnx.LayerNormalization at '?'; onnx.MatMul at '?'}}
func.func @main(%x: tensor<?x8xf32>, %w: tensor<8x8xf32>, %g: tensor<8xf32>) -> tensor<?x8xf32> {
  %0 = onnx.MatMul(%x, %w) : (tensor<?x8xf32>, tensor<8x8xf32>) -> tensor<?x8xf32>
  %1 = onnx.LayerNormalization(%0, %g) : (tensor<?x8xf32>, tensor<8xf32>) -> tensor<?x8xf32>
  return %1 : tensor<?x8xf32>
}

// -----

// An activation that the graph itself returns.
// CHECK: %[[A:.*]] = fdpp.activation %{{.*}} {activation = #fdpp.activation<relu>}
// CHECK: return %[[A]]
fdpp.weight @up [#fdpp.seeded<2>] : tensor<8x8xf32>
func.func @main(%ids: tensor<?x?xi64>) -> tensor<?x?x8xf32> {
  %w = fdpp.weight_at @up : tensor<8x8xf32>
  %x = onnx.Gather(%w, %ids) : (tensor<8x8xf32>, tensor<?x?xi64>) -> tensor<?x?x8xf32>
  %a = onnx.Relu(%x) : (tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  return %a : tensor<?x?x8xf32>
}

// -----

// Of interleaved the specification knows 0 and 1; onnxruntime takes -1 for 0.
// expected-error @below {{8 operations of the graph are not recognised as parts of a Llama model: onnx.Cast at '?'; onnx.Constant at '?', '?'; onnx.Cos at '?'; onnx.Mul at '?'; onnx.RotaryEmbedding at '?'; onnx.Sin at '?'; onnx.Unsqueeze at '?'}}
func.func @main(%x: tensor<?x?x8xf32>, %p: tensor<?x?xi64>) -> tensor<?x?x8xf32> {
  %f = onnx.Constant dense<[1.0, 0.5]> : tensor<2xf32>
  %a = onnx.Constant dense<2> : tensor<1xi64>
  %pf = onnx.Cast(%p) {to = 1 : i64} : (tensor<?x?xi64>) -> tensor<?x?xf32>
  %p1 = onnx.Unsqueeze(%pf, %a) : (tensor<?x?xf32>, tensor<1xi64>) -> tensor<?x?x1xf32>
  %angles = onnx.Mul(%p1, %f) : (tensor<?x?x1xf32>, tensor<2xf32>) -> tensor<?x?x2xf32>
  %cos = onnx.Cos(%angles) : (tensor<?x?x2xf32>) -> tensor<?x?x2xf32>
  %sin = onnx.Sin(%angles) : (tensor<?x?x2xf32>) -> tensor<?x?x2xf32>
  %q = onnx.RotaryEmbedding(%x, %cos, %sin) {interleaved = -1 : i64, num_heads = 2 : i64} : (tensor<?x?x8xf32>, tensor<?x?x2xf32>, tensor<?x?x2xf32>) -> tensor<?x?x8xf32>
  return %q : tensor<?x?x8xf32>
}

// -----

// Rows rounded to a narrower type are other rows.
fdpp.weight @embed [#fdpp.seeded<1>] : tensor<32x8xf32>
// expected-error @below {{2 operations of the graph are not recognised as parts of a Llama model: onnx.Cast at '?', '?'}}
func.func @main(%ids: tensor<?x?xi64>) -> tensor<?x?x8xf32> {
  %table = fdpp.weight_at @embed : tensor<32x8xf32>
  %x = onnx.Gather(%table, %ids) : (tensor<32x8xf32>, tensor<?x?xi64>) -> tensor<?x?x8xf32>
  %n = onnx.Cast(%x) {to = 10 : i64} : (tensor<?x?x8xf32>) -> tensor<?x?x8xf16>
  %w = onnx.Cast(%n) {to = 1 : i64} : (tensor<?x?x8xf16>) -> tensor<?x?x8xf32>
  return %w : tensor<?x?x8xf32>
}

// -----

// Logits of the last token alone.
// expected-error @below {{4 operations of the graph are not recognised as parts of a Llama model: onnx.Constant at '?', '?', '?'; onnx.Slice at 'last'; 'last' stays: it keeps the rows of some tokens alone; export the graph with the logits of every token (logits_to_keep=0)}}
func.func @main(%ids: tensor<?x?xi64>) -> tensor<?x1x4xf32> {
  %table = fdpp.weight_at @w : tensor<9x4xf32>
  %x = onnx.Gather(%table, %ids) : (tensor<9x4xf32>, tensor<?x?xi64>) -> tensor<?x?x4xf32>
  %from = onnx.Constant dense<-1> : tensor<1xi64>
  %to = onnx.Constant dense<9223372036854775807> : tensor<1xi64>
  %axis = onnx.Constant dense<1> : tensor<1xi64>
  %y = onnx.Slice(%x, %from, %to, %axis) : (tensor<?x?x4xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x1x4xf32> loc("last")
  return %y : tensor<?x1x4xf32>
}
fdpp.weight @w [#fdpp.seeded<1>] : tensor<9x4xf32>
