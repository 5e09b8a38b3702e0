// RUN: fdpp-opt %s --fdpp-check-each --canonicalize --cse -o /dev/null
// RUN: fdpp-opt %s --fdpp-check-each --fdpp-check-round=bf16 --fdpp-check-seed=7 --fdpp-check-sequences=5 --canonicalize -o /dev/null
// RUN: not fdpp-opt %s --fdpp-check-each --cse --fdpp-inject-fault=kind=scale --canonicalize -o /dev/null 2>&1 | FileCheck %s --check-prefix=FAULT
// RUN: not fdpp-opt %s --fdpp-inject-fault=kind=spelling -o /dev/null 2>&1 | FileCheck %s --check-prefix=KIND
// RUN: not fdpp-opt %s --fdpp-inject-fault=kind=bias -o /dev/null 2>&1 | FileCheck %s --check-prefix=NOTHING

// A one-layer step: passes that keep its meaning are silent, and the one that
// changes it is named. The fault's first effect is on position 1: at position 0
// there is one key, whatever the scale.

// FAULT-NOT: error
// FAULT: error: check-each: 'fdpp-inject-fault' changes the meaning (seed 1): maximum error {{.*}}, first at sequence 0, position 1, token 0: {{.*}} instead of
// FAULT-NOT: error
// KIND: error: no fault 'spelling', only mask-causal mask-padding
// NOTHING: error: has nothing that fault 'bias' could break

module {
fdpp.weight @embed [#fdpp.seeded<1>] : tensor<32x8xbf16>
fdpp.weight @norm [#fdpp.seeded<2>] : tensor<8xf32>
fdpp.weight @inv_freq [dense<[1.0, 0.01]> : tensor<2xf32>] : tensor<2xf32>
fdpp.weight @q [#fdpp.seeded<3>] : tensor<8x8xbf16>
fdpp.weight @k [#fdpp.seeded<4>] : tensor<4x8xbf16>

func.func @step(%tokens: tensor<?xi32>, %positions: tensor<?xi32>, %offsets: tensor<?xi32>,
                %context: tensor<?xi32>, %pages: tensor<?x?xi32>, %rows: tensor<?xi32>,
                %cache: tensor<1x?x2x1x2x4xbf16>, %logits: tensor<?x32xf32>)
    -> (tensor<?x32xf32>, tensor<1x?x2x1x2x4xbf16>) {
  %layer = arith.constant 0 : index
  %inv_freq = fdpp.weight_at @inv_freq : tensor<2xf32>
  %cos, %sin = fdpp.rope_table %positions, %inv_freq : (tensor<?xi32>, tensor<2xf32>) -> (tensor<?x2xf32>, tensor<?x2xf32>)
  %slots = fdpp.token_slots %tokens, %offsets, %context, %pages {page_tokens = 2 : i64} : (tensor<?xi32>, tensor<?xi32>, tensor<?xi32>, tensor<?x?xi32>) -> tensor<?xi32>
  %table = fdpp.weight_at @embed : tensor<32x8xbf16>
  %x = fdpp.embed %tokens, %table : (tensor<?xi32>, tensor<32x8xbf16>) -> tensor<?x8xf32>
  %gamma = fdpp.weight_at @norm : tensor<8xf32>
  %h = fdpp.rms_norm %x, %gamma {eps = 1.0e-5 : f64} : (tensor<?x8xf32>, tensor<8xf32>) -> tensor<?x8xf32>
  %wq = fdpp.weight_at @q : tensor<8x8xbf16>
  %wk = fdpp.weight_at @k : tensor<4x8xbf16>
  %q0 = fdpp.linear %h, %wq : (tensor<?x8xf32>, tensor<8x8xbf16>) -> tensor<?x8xf32>
  %v = fdpp.linear %h, %wk : (tensor<?x8xf32>, tensor<4x8xbf16>) -> tensor<?x4xf32>
  %q = fdpp.rope %q0, %cos, %sin {head_dim = 4 : i64} : (tensor<?x8xf32>, tensor<?x2xf32>, tensor<?x2xf32>) -> tensor<?x8xf32>
  %k = fdpp.rope %v, %cos, %sin {head_dim = 4 : i64} : (tensor<?x4xf32>, tensor<?x2xf32>, tensor<?x2xf32>) -> tensor<?x4xf32>
  %cache1 = fdpp.kv_append %k, %v, %slots, %layer outs(%cache) : (tensor<?x4xf32>, tensor<?x4xf32>, tensor<?xi32>, index, tensor<1x?x2x1x2x4xbf16>) -> tensor<1x?x2x1x2x4xbf16>
  %att = fdpp.attention %q, %cache1, %layer, %offsets, %context, %pages {scale = 0.5 : f64} : (tensor<?x8xf32>, tensor<1x?x2x1x2x4xbf16>, index, tensor<?xi32>, tensor<?xi32>, tensor<?x?xi32>) -> tensor<?x8xf32>
  %x1 = fdpp.add %x, %att : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %s = fdpp.select_rows %x1, %rows : (tensor<?x8xf32>, tensor<?xi32>) -> tensor<?x8xf32>
  %l = fdpp.linear %s, %table outs(%logits) : (tensor<?x8xf32>, tensor<32x8xbf16>, tensor<?x32xf32>) -> tensor<?x32xf32>
  return %l, %cache1 : tensor<?x32xf32>, tensor<1x?x2x1x2x4xbf16>
}
}
