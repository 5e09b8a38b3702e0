// RUN: fdpp-opt %s --fdpp-to-step="page-tokens=16 max-tokens=32 max-sequences=4 max-context=128" --split-input-file --verify-diagnostics | FileCheck %s

// CHECK: module attributes {fdpp.max_context = 128 : i64, fdpp.model = #fdpp.model<layers = 1, hidden = 8, queryHeads = 2, kvHeads = 1, headDim = 4, vocab = 32, pageTokens = 16>}
module {
fdpp.weight @embed [#fdpp.seeded<1>] : tensor<32x8xf32>
fdpp.weight @inv_freq [dense<[1.0, 0.01]> : tensor<2xf32>] : tensor<2xf32>
fdpp.weight @norm [#fdpp.seeded<2>] : tensor<8xf32>
fdpp.weight @q [#fdpp.seeded<3>] : tensor<8x8xf32>
fdpp.weight @k [#fdpp.seeded<4>] : tensor<4x8xf32>

// CHECK-LABEL: func.func @step
// CHECK-SAME: %[[TOKENS:[a-z0-9]+]]: tensor<?xi32> {fdpp.max = 32 : i64, fdpp.role = "tokens"}
// CHECK-SAME: %[[POSITIONS:[a-z0-9]+]]: tensor<?xi32> {fdpp.max = 32 : i64, fdpp.role = "positions"}
// CHECK-SAME: %[[OFFSETS:[a-z0-9]+]]: tensor<?xi32> {fdpp.max = 5 : i64, fdpp.role = "seq_offsets"}
// CHECK-SAME: %[[CONTEXT:[a-z0-9]+]]: tensor<?xi32> {fdpp.max = 4 : i64, fdpp.role = "context"}
// CHECK-SAME: %[[PAGES:[a-z0-9]+]]: tensor<?x?xi32> {fdpp.max = 4 : i64, fdpp.role = "pages"}
// CHECK-SAME: %[[ROWS:[a-z0-9]+]]: tensor<?xi32> {fdpp.max = 32 : i64, fdpp.role = "rows"}
// CHECK-SAME: %[[CACHE:[a-z0-9]+]]: tensor<1x?x2x1x16x4xf32> {fdpp.role = "cache"}
// CHECK-SAME: %[[LOGITS:[a-z0-9]+]]: tensor<?x32xf32> {fdpp.max = 32 : i64, fdpp.role = "logits"}
// CHECK-SAME: -> (tensor<?x32xf32>, tensor<1x?x2x1x16x4xf32>) attributes {fdpp.entry = "step"}
func.func @main(%ids: tensor<?x?xi64>, %mask: tensor<?x?xi64>, %positions: tensor<?x?xi64>,
                %past_k: tensor<?x1x?x4xf32>, %past_v: tensor<?x1x?x4xf32>)
    -> (tensor<?x?x32xf32>, tensor<?x1x?x4xf32>, tensor<?x1x?x4xf32>) {
  %table = fdpp.weight_at @embed : tensor<32x8xf32>
  %inv_freq = fdpp.weight_at @inv_freq : tensor<2xf32>
  %gamma = fdpp.weight_at @norm : tensor<8xf32>
  %wq = fdpp.weight_at @q : tensor<8x8xf32>
  %wk = fdpp.weight_at @k : tensor<4x8xf32>
  // CHECK: %[[SLOTS:.*]] = fdpp.token_slots %[[TOKENS]], %[[OFFSETS]], %[[CONTEXT]], %[[PAGES]] {page_tokens = 16 : i64}
  // CHECK: %[[X:.*]] = fdpp.embed %[[TOKENS]], %{{.*}} : (tensor<?xi32>, tensor<32x8xf32>) -> tensor<?x8xf32>
  // CHECK: fdpp.rope_table %[[POSITIONS]], %{{.*}} : (tensor<?xi32>, tensor<2xf32>) -> (tensor<?x2xf32>, tensor<?x2xf32>)
  %x = fdpp.embed %ids, %table : (tensor<?x?xi64>, tensor<32x8xf32>) -> tensor<?x?x8xf32>
  %cos, %sin = fdpp.rope_table %positions, %inv_freq : (tensor<?x?xi64>, tensor<2xf32>) -> (tensor<?x?x2xf32>, tensor<?x?x2xf32>)
  %h = fdpp.rms_norm %x, %gamma {eps = 1.0e-5 : f64} : (tensor<?x?x8xf32>, tensor<8xf32>) -> tensor<?x?x8xf32>
  %q0 = fdpp.linear %h, %wq : (tensor<?x?x8xf32>, tensor<8x8xf32>) -> tensor<?x?x8xf32>
  %k0 = fdpp.linear %h, %wk : (tensor<?x?x8xf32>, tensor<4x8xf32>) -> tensor<?x?x4xf32>
  // CHECK: %[[Q:.*]] = fdpp.rope {{.*}} {head_dim = 4 : i64} : (tensor<?x8xf32>, tensor<?x2xf32>, tensor<?x2xf32>) -> tensor<?x8xf32>
  %q = fdpp.rope %q0, %cos, %sin {head_dim = 4 : i64} : (tensor<?x?x8xf32>, tensor<?x?x2xf32>, tensor<?x?x2xf32>) -> tensor<?x?x8xf32>
  // CHECK: %[[LAYER:.*]] = arith.constant 0 : index
  // CHECK: %[[CACHE1:.*]] = fdpp.kv_append %{{.*}}, %{{.*}}, %[[SLOTS]], %[[LAYER]] outs(%[[CACHE]])
  // CHECK: %[[A:.*]] = fdpp.attention %[[Q]], %[[CACHE1]], %[[LAYER]], %[[OFFSETS]], %[[CONTEXT]], %[[PAGES]] {scale = 5.000000e-01 : f64, {{.*}}window = 7 : i64}
  %a, %present_k, %present_v = fdpp.masked_attention %q, %k0, %k0 past(%past_k, %past_v) padding(%mask)
      {mask = #fdpp.mask<causal = true, window = 7, padding = true>, scale = 0.5 : f64, kv_heads = 1 : i64, head_dim = 4 : i64}
      : (tensor<?x?x8xf32>, tensor<?x?x4xf32>, tensor<?x?x4xf32>, tensor<?x1x?x4xf32>, tensor<?x1x?x4xf32>, tensor<?x?xi64>)
      -> (tensor<?x?x8xf32>, tensor<?x1x?x4xf32>, tensor<?x1x?x4xf32>)
  // CHECK: %[[X1:.*]] = fdpp.add %[[X]], %[[A]]
  %x1 = fdpp.add %x, %a : (tensor<?x?x8xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  // CHECK: %[[S:.*]] = fdpp.select_rows %[[X1]], %[[ROWS]]
  // CHECK: %[[N:.*]] = fdpp.rms_norm %[[S]]
  %n = fdpp.rms_norm %x1, %gamma {eps = 1.0e-5 : f64} : (tensor<?x?x8xf32>, tensor<8xf32>) -> tensor<?x?x8xf32>
  // CHECK: %[[L:.*]] = fdpp.linear %[[N]], %{{.*}} outs(%[[LOGITS]])
  %l = fdpp.linear %n, %table : (tensor<?x?x8xf32>, tensor<32x8xf32>) -> tensor<?x?x32xf32>
  // CHECK: return %[[L]], %[[CACHE1]]
  return %l, %present_k, %present_v : tensor<?x?x32xf32>, tensor<?x1x?x4xf32>, tensor<?x1x?x4xf32>
}
}

// -----

// expected-error @below {{has no attention: this is no Llama-family model}}
func.func @main(%x: tensor<?x?x8xf32>) -> tensor<?x?x8xf32> {
  return %x : tensor<?x?x8xf32>
}

// -----

fdpp.weight @w [#fdpp.seeded<1>] : tensor<8x8xf32>
func.func @main(%x: tensor<?x?x8xf32>) -> tensor<?x?x8xf32> {
  // expected-error @below {{is not causal; a step serves causal models}}
  %a = fdpp.masked_attention %x, %x, %x {mask = #fdpp.mask<causal = false>, scale = 0.5 : f64, kv_heads = 2 : i64, head_dim = 4 : i64}
      : (tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  return %a : tensor<?x?x8xf32>
}

// -----

fdpp.weight @w [#fdpp.seeded<1>] : tensor<8x8xf32>
func.func @main(%x: tensor<?x?x8xf32>) -> tensor<?x?x8xf32> {
  %w = fdpp.weight_at @w : tensor<8x8xf32>
  // expected-error @below {{reads an input of the graph that is neither token ids nor positions}}
  %q = fdpp.linear %x, %w : (tensor<?x?x8xf32>, tensor<8x8xf32>) -> tensor<?x?x8xf32>
  %a = fdpp.masked_attention %q, %q, %q {mask = #fdpp.mask<causal = true>, scale = 0.5 : f64, kv_heads = 2 : i64, head_dim = 4 : i64}
      : (tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  return %a : tensor<?x?x8xf32>
}

// -----

// Logits straight from an attention: its rows are selected, and the last linear
// writes to the destination.
fdpp.weight @embed [#fdpp.seeded<1>] : tensor<32x8xf32>
// CHECK-LABEL: func.func @step
// CHECK-SAME: %[[ROWS:[a-z0-9]+]]: tensor<?xi32> {fdpp.max = 32 : i64, fdpp.role = "rows"}
// CHECK-SAME: %[[LOGITS:[a-z0-9]+]]: tensor<?x32xf32>
func.func @main(%ids: tensor<?x?xi64>) -> tensor<?x?x32xf32> {
  %table = fdpp.weight_at @embed : tensor<32x8xf32>
  %x = fdpp.embed %ids, %table : (tensor<?x?xi64>, tensor<32x8xf32>) -> tensor<?x?x8xf32>
  // CHECK: %[[A:.*]] = fdpp.attention
  // CHECK: %[[S:.*]] = fdpp.select_rows %[[A]], %[[ROWS]] :
  // CHECK: fdpp.linear %[[S]], %{{.*}} outs(%[[LOGITS]])
  %a = fdpp.masked_attention %x, %x, %x {mask = #fdpp.mask<causal = true>, scale = 0.5 : f64, kv_heads = 2 : i64, head_dim = 4 : i64}
      : (tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  %l = fdpp.linear %a, %table : (tensor<?x?x8xf32>, tensor<32x8xf32>) -> tensor<?x?x32xf32>
  return %l : tensor<?x?x32xf32>
}

// -----

// Logits that more than one chain of rows leads to: the sum has all rows, the
// destination those that are wanted.
fdpp.weight @embed [#fdpp.seeded<1>] : tensor<32x8xf32>
// CHECK-LABEL: func.func @step
// CHECK-SAME: %[[LOGITS:[a-z0-9]+]]: tensor<?x8xf32> {fdpp.max = 32 : i64, fdpp.role = "logits"}
func.func @main(%ids: tensor<?x?xi64>) -> tensor<?x?x8xf32> {
  %table = fdpp.weight_at @embed : tensor<32x8xf32>
  %x = fdpp.embed %ids, %table : (tensor<?x?xi64>, tensor<32x8xf32>) -> tensor<?x?x8xf32>
  %a = fdpp.masked_attention %x, %x, %x {mask = #fdpp.mask<causal = true>, scale = 0.5 : f64, kv_heads = 2 : i64, head_dim = 4 : i64}
      : (tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  // CHECK: %[[SUM:.*]] = fdpp.add %{{.*}}, %{{.*}} :
  // CHECK: fdpp.select_rows %[[SUM]], %{{.*}} outs(%[[LOGITS]])
  %l = fdpp.add %x, %a : (tensor<?x?x8xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  return %l : tensor<?x?x8xf32>
}

// -----

fdpp.weight @embed [#fdpp.seeded<1>] : tensor<32x8xf32>
func.func @main(%ids: tensor<?x?xi64> {onnx.name = "position_ids"}) -> tensor<?x?x8xf32> {
  %table = fdpp.weight_at @embed : tensor<32x8xf32>
  // expected-error @below {{reads input 'position_ids' as token ids, but it is positions}}
  %x = fdpp.embed %ids, %table : (tensor<?x?xi64>, tensor<32x8xf32>) -> tensor<?x?x8xf32>
  %a = fdpp.masked_attention %x, %x, %x {mask = #fdpp.mask<causal = true>, scale = 0.5 : f64, kv_heads = 2 : i64, head_dim = 4 : i64}
      : (tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  return %a : tensor<?x?x8xf32>
}

// -----

fdpp.weight @embed [#fdpp.seeded<1>] : tensor<32x8xf32>
func.func @main(%ids: tensor<?x?xi64> {onnx.name = "ids"}) -> tensor<?x?x8xf32> {
  %table = fdpp.weight_at @embed : tensor<32x8xf32>
  %x = fdpp.embed %ids, %table : (tensor<?x?xi64>, tensor<32x8xf32>) -> tensor<?x?x8xf32>
  // expected-error @below {{reads input 'ids' as padding, but it is token ids}}
  %a = fdpp.masked_attention %x, %x, %x padding(%ids) {mask = #fdpp.mask<causal = true, padding = true>, scale = 0.5 : f64, kv_heads = 2 : i64, head_dim = 4 : i64}
      : (tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x?xi64>) -> tensor<?x?x8xf32>
  return %a : tensor<?x?x8xf32>
}

// -----

fdpp.weight @embed [#fdpp.seeded<1>] : tensor<32x8xf32>
func.func @main(%ids: tensor<?x?xi64> {onnx.name = "ids"}, %types: tensor<?x?xi64> {onnx.name = "types"}) -> tensor<?x?x8xf32> {
  %table = fdpp.weight_at @embed : tensor<32x8xf32>
  %x = fdpp.embed %ids, %table : (tensor<?x?xi64>, tensor<32x8xf32>) -> tensor<?x?x8xf32>
  // expected-error @below {{reads input 'types' as token ids, as 'ids' is read elsewhere; a step is given one}}
  %y = fdpp.embed %types, %table : (tensor<?x?xi64>, tensor<32x8xf32>) -> tensor<?x?x8xf32>
  %z = fdpp.add %x, %y : (tensor<?x?x8xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  %a = fdpp.masked_attention %z, %z, %z {mask = #fdpp.mask<causal = true>, scale = 0.5 : f64, kv_heads = 2 : i64, head_dim = 4 : i64}
      : (tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  return %a : tensor<?x?x8xf32>
}

// -----

// Values of the cache as keys.
fdpp.weight @embed [#fdpp.seeded<1>] : tensor<32x8xf32>
func.func @main(%ids: tensor<?x?xi64>, %past_k: tensor<?x2x?x4xf32> {onnx.name = "past_key"}, %past_v: tensor<?x2x?x4xf32>)
    -> (tensor<?x?x8xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>) {
  %table = fdpp.weight_at @embed : tensor<32x8xf32>
  %x = fdpp.embed %ids, %table : (tensor<?x?xi64>, tensor<32x8xf32>) -> tensor<?x?x8xf32>
  // expected-error @below {{appends to input 'past_key', but the graph does not give the sum as the result in that input's place}}
  %a, %k, %v = fdpp.masked_attention %x, %x, %x past(%past_k, %past_v) {mask = #fdpp.mask<causal = true>, scale = 0.5 : f64, kv_heads = 2 : i64, head_dim = 4 : i64}
      : (tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>)
      -> (tensor<?x?x8xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>)
  return %a, %v, %k : tensor<?x?x8xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>
}

// -----

fdpp.weight @embed [#fdpp.seeded<1>] : tensor<32x8xf32>
func.func @main(%ids: tensor<?x?xi64>, %past_k: tensor<?x2x?x4xf32>) -> (tensor<?x?x8xf32>, tensor<?x2x?x4xf32>) {
  %table = fdpp.weight_at @embed : tensor<32x8xf32>
  %x = fdpp.embed %ids, %table : (tensor<?x?xi64>, tensor<32x8xf32>) -> tensor<?x?x8xf32>
  // expected-error @below {{has no past, but the graph has inputs for one}}
  %a = fdpp.masked_attention %x, %x, %x {mask = #fdpp.mask<causal = true>, scale = 0.5 : f64, kv_heads = 2 : i64, head_dim = 4 : i64}
      : (tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  return %a, %past_k : tensor<?x?x8xf32>, tensor<?x2x?x4xf32>
}

// -----

// Positions that the graph counts itself are the step's.
// CHECK-LABEL: func.func @step
// CHECK-SAME: %[[POSITIONS:[a-z0-9]+]]: tensor<?xi32> {fdpp.max = 32 : i64, fdpp.role = "positions"}
func.func @main(%ids: tensor<?x?xi64>) -> tensor<?x?x32xf32> {
  %table = fdpp.weight_at @table : tensor<32x8xf32>
  %inv = fdpp.weight_at @inv : tensor<2xf32>
  %x = fdpp.embed %ids, %table : (tensor<?x?xi64>, tensor<32x8xf32>) -> tensor<?x?x8xf32>
  %p = fdpp.slot_positions %ids : (tensor<?x?xi64>) -> tensor<?x?xi64>
  // CHECK: fdpp.rope_table %[[POSITIONS]],
  %cos, %sin = fdpp.rope_table %p, %inv : (tensor<?x?xi64>, tensor<2xf32>) -> (tensor<?x?x2xf32>, tensor<?x?x2xf32>)
  %q = fdpp.rope %x, %cos, %sin {head_dim = 4 : i64} : (tensor<?x?x8xf32>, tensor<?x?x2xf32>, tensor<?x?x2xf32>) -> tensor<?x?x8xf32>
  %a = fdpp.masked_attention %q, %q, %x {mask = #fdpp.mask<causal = true>, scale = 0.5 : f64, kv_heads = 2 : i64, head_dim = 4 : i64} : (tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  %l = fdpp.linear %a, %table : (tensor<?x?x8xf32>, tensor<32x8xf32>) -> tensor<?x?x32xf32>
  return %l : tensor<?x?x32xf32>
}
fdpp.weight @table [#fdpp.seeded<1>] : tensor<32x8xf32>
fdpp.weight @inv [dense<[1.0, 0.01]> : tensor<2xf32>] : tensor<2xf32>

// -----

// A past that the positions do not know of.
func.func @main(%ids: tensor<?x?xi64>, %k: tensor<?x2x?x4xf32>, %v: tensor<?x2x?x4xf32>)
    -> (tensor<?x?x32xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>) {
  %table = fdpp.weight_at @table : tensor<32x8xf32>
  %inv = fdpp.weight_at @inv : tensor<2xf32>
  %x = fdpp.embed %ids, %table : (tensor<?x?xi64>, tensor<32x8xf32>) -> tensor<?x?x8xf32>
  // expected-error @below {{does not count from the cache's length; rotary positions must be cache slots}}
  %p = fdpp.slot_positions %ids : (tensor<?x?xi64>) -> tensor<?x?xi64>
  %cos, %sin = fdpp.rope_table %p, %inv : (tensor<?x?xi64>, tensor<2xf32>) -> (tensor<?x?x2xf32>, tensor<?x?x2xf32>)
  %q = fdpp.rope %x, %cos, %sin {head_dim = 4 : i64} : (tensor<?x?x8xf32>, tensor<?x?x2xf32>, tensor<?x?x2xf32>) -> tensor<?x?x8xf32>
  %a, %pk, %pv = fdpp.masked_attention %q, %q, %x past(%k, %v) {mask = #fdpp.mask<causal = true>, scale = 0.5 : f64, kv_heads = 2 : i64, head_dim = 4 : i64}
      : (tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>) -> (tensor<?x?x8xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>)
  %l = fdpp.linear %a, %table : (tensor<?x?x8xf32>, tensor<32x8xf32>) -> tensor<?x?x32xf32>
  return %l, %pk, %pv : tensor<?x?x32xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>
}
fdpp.weight @table [#fdpp.seeded<1>] : tensor<32x8xf32>
fdpp.weight @inv [dense<[1.0, 0.01]> : tensor<2xf32>] : tensor<2xf32>
