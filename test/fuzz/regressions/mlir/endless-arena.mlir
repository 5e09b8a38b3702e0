

module attributes {fdpp.model = #fdpp.model<layers = 2, hidden = 16, queryHeads = 4, kvHeads = 2, headDim = 4, vocab = 32, pageTokens = 4>} {
  fdpp.weight @"inv_freq" [dense<[1.0, 0.01]> : tensor<2xf32>] : tensor<2xf32>
  fdpp.weight @"model.embed_tokens.weight" [#fdpp.seeded<2>] : tensor<32x16xf32>
  fdpp.weight @"model.layers.0.input_layernorm.weight" [#fdpp.seeded<3>] : tensor<16xf32>
  fdpp.weight @"model.layers.0.self_attn.q_proj.weight" [#fdpp.seeded<4>] : tensor<16x16xf32>
  fdpp.weight @"model.layers.0.self_attn.k_proj.weight" [#fdpp.seeded<5>] : tensor<8x16xf32>
  fdpp.weight @"model.layers.0.self_attn.v_proj.weight" [#fdpp.seeded<6>] : tensor<8x16xf32>
  fdpp.weight @"model.layers.0.self_attn.o_proj.weight" [#fdpp.seeded<7>] : tensor<16x16xf32>
  fdpp.weight @"model.layers.0.post_attention_layernorm.weight" [#fdpp.seeded<8>] : tensor<16xf32>
  fdpp.weight @"model.layers.0.mlp.gate_proj.weight" [#fdpp.seeded<9>] : tensor<24x16xf32>
  fdpp.weight @"model.layers.0.mlp.up_proj.weight" [#fdpp.seeded<10>] : tensor<24x16xf32>
  fdpp.weight @"model.layers.0.mlp.down_proj.weight" [#fdpp.seeded<11>] : tensor<16x24xf32>
  fdpp.weight @"model.layers.1.input_layernorm.weight" [#fdpp.seeded<12>] : tensor<16xf32>
  fdpp.weight @"model.layers.1.self_attn.q_proj.weight" [#fdpp.seeded<13>] : tensor<16x16xf32>
  fdpp.weight @"model.layers.1.self_attn.k_proj.weight" [#fdpp.seeded<14>] : tensor<8x16xf32>
  fdpp.weight @"model.layers.1.self_attn.v_proj.weight" [#fdpp.seeded<15>] : tensor<8x16xf32>
  fdpp.weight @"model.layers.1.self_attn.o_proj.weight" [#fdpp.seeded<16>] : tensor<16x16xf32>
  fdpp.weight @"model.layers.1.post_attention_layernorm.weight" [#fdpp.seeded<17>] : tensor<16xf32>
  fdpp.weight @"model.layers.1.mlp.gate_proj.weight" [#fdpp.seeded<18>] : tensor<24x16xf32>
  fdpp.weight @"model.layers.1.mlp.up_proj.weight" [#fdpp.seeded<19>] : tensor<24x16xf32>
  fdpp.weight @"model.layers.1.mlp.down_proj.weight" [#fdpp.seeded<20>] : tensor<16x24xf32>
  fdpp.weight @"model.norm.weight" [#fdpp.seeded<21>] : tensor<16xf32>
  fdpp.weight @"lm_head.weight" [#fdpp.seeded<22>] : tensor<32x16xf32>
  func.func @step(
      %tokens: tensor<?xi32> {fdpp.role = "tokens", fdpp.max = 32 : i64},
      %positions: tensor<?xi32> {fdpp.role = "positions", fdpp.max = 32 : i64},
      %seq_offsets: tensor<?xi32> {fdpp.role = "seq_offsets", fdpp.max = 5 : i64},
      %context: tensor<?xi32> {fdpp.role = "context", fdpp.max = 4 : i64},
      %pages: tensor<?x?xi32> {fdpp.role = "pages", fdpp.max = 4 : i64},
      %rows: tensor<?xi32> {fdpp.role = "rows", fdpp.max = 9223372036854775807 : i64},
      %cache: tensor<2x?x2x2x4x4xf32> {fdpp.role = "cache"},
      %logits: tensor<?x32xf32> {fdpp.role = "logits", fdpp.max = 32 : i64})
      -> (tensor<?x32xf32>, tensor<2x?x2x2x4x4xf32>) attributes {fdpp.entry = "step"} {
    %inv_freq = fdpp.weight_at @"inv_freq" : tensor<2xf32>
    %cos, %sin = fdpp.rope_table %positions, %inv_freq : (tensor<?xi32>, tensor<2xf32>) -> (tensor<?x2xf32>, tensor<?x2xf32>)
    %slots = fdpp.token_slots %tokens, %seq_offsets, %context, %pages {page_tokens = 4 : i64} : (tensor<?xi32>, tensor<?xi32>, tensor<?xi32>, tensor<?x?xi32>) -> tensor<?xi32>
    %0 = fdpp.weight_at @"model.embed_tokens.weight" : tensor<32x16xf32>
    %1 = fdpp.embed %tokens, %0 : (tensor<?xi32>, tensor<32x16xf32>) -> tensor<?x16xf32>
    %2 = fdpp.weight_at @"model.layers.0.input_layernorm.weight" : tensor<16xf32>
    %3 = fdpp.rms_norm %1, %2 {eps = 1.0e-5 : f64} : (tensor<?x16xf32>, tensor<16xf32>) -> tensor<?x16xf32>
    %4 = fdpp.weight_at @"model.layers.0.self_attn.q_proj.weight" : tensor<16x16xf32>
    %5 = fdpp.linear %3, %4 : (tensor<?x16xf32>, tensor<16x16xf32>) -> tensor<?x16xf32>
    %6 = fdpp.weight_at @"model.layers.0.self_attn.k_proj.weight" : tensor<8x16xf32>
    %7 = fdpp.linear %3, %6 : (tensor<?x16xf32>, tensor<8x16xf32>) -> tensor<?x8xf32>
    %8 = fdpp.weight_at @"model.layers.0.self_attn.v_proj.weight" : tensor<8x16xf32>
    %9 = fdpp.linear %3, %8 : (tensor<?x16xf32>, tensor<8x16xf32>) -> tensor<?x8xf32>
    %10 = fdpp.rope %5, %cos, %sin {head_dim = 4 : i64} : (tensor<?x16xf32>, tensor<?x2xf32>, tensor<?x2xf32>) -> tensor<?x16xf32>
    %11 = fdpp.rope %7, %cos, %sin {head_dim = 4 : i64} : (tensor<?x8xf32>, tensor<?x2xf32>, tensor<?x2xf32>) -> tensor<?x8xf32>
    %12 = arith.constant 0 : index
    %13 = fdpp.kv_append %11, %9, %slots, %12 outs(%cache) : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xi32>, index, tensor<2x?x2x2x4x4xf32>) -> tensor<2x?x2x2x4x4xf32>
    %14 = fdpp.attention %10, %13, %12, %seq_offsets, %context, %pages {scale = 0.5 : f64} : (tensor<?x16xf32>, tensor<2x?x2x2x4x4xf32>, index, tensor<?xi32>, tensor<?xi32>, tensor<?x?xi32>) -> tensor<?x16xf32>
    %15 = fdpp.weight_at @"model.layers.0.self_attn.o_proj.weight" : tensor<16x16xf32>
    %16 = fdpp.linear %14, %15 : (tensor<?x16xf32>, tensor<16x16xf32>) -> tensor<?x16xf32>
    %17 = fdpp.add %1, %16 : (tensor<?x16xf32>, tensor<?x16xf32>) -> tensor<?x16xf32>
    %18 = fdpp.weight_at @"model.layers.0.post_attention_layernorm.weight" : tensor<16xf32>
    %19 = fdpp.rms_norm %17, %18 {eps = 1.0e-5 : f64} : (tensor<?x16xf32>, tensor<16xf32>) -> tensor<?x16xf32>
    %20 = fdpp.weight_at @"model.layers.0.mlp.gate_proj.weight" : tensor<24x16xf32>
    %21 = fdpp.linear %19, %20 : (tensor<?x16xf32>, tensor<24x16xf32>) -> tensor<?x24xf32>
    %22 = fdpp.weight_at @"model.layers.0.mlp.up_proj.weight" : tensor<24x16xf32>
    %23 = fdpp.linear %19, %22 : (tensor<?x16xf32>, tensor<24x16xf32>) -> tensor<?x24xf32>
    %24 = fdpp.glu %21, %23 {activation = #fdpp.activation<silu>} : (tensor<?x24xf32>, tensor<?x24xf32>) -> tensor<?x24xf32>
    %25 = fdpp.weight_at @"model.layers.0.mlp.down_proj.weight" : tensor<16x24xf32>
    %26 = fdpp.linear %24, %25 : (tensor<?x24xf32>, tensor<16x24xf32>) -> tensor<?x16xf32>
    %27 = fdpp.add %17, %26 : (tensor<?x16xf32>, tensor<?x16xf32>) -> tensor<?x16xf32>
    %28 = fdpp.weight_at @"model.layers.1.input_layernorm.weight" : tensor<16xf32>
    %29 = fdpp.rms_norm %27, %28 {eps = 1.0e-5 : f64} : (tensor<?x16xf32>, tensor<16xf32>) -> tensor<?x16xf32>
    %30 = fdpp.weight_at @"model.layers.1.self_attn.q_proj.weight" : tensor<16x16xf32>
    %31 = fdpp.linear %29, %30 : (tensor<?x16xf32>, tensor<16x16xf32>) -> tensor<?x16xf32>
    %32 = fdpp.weight_at @"model.layers.1.self_attn.k_proj.weight" : tensor<8x16xf32>
    %33 = fdpp.linear %29, %32 : (tensor<?x16xf32>, tensor<8x16xf32>) -> tensor<?x8xf32>
    %34 = fdpp.weight_at @"model.layers.1.self_attn.v_proj.weight" : tensor<8x16xf32>
    %35 = fdpp.linear %29, %34 : (tensor<?x16xf32>, tensor<8x16xf32>) -> tensor<?x8xf32>
    %36 = fdpp.rope %31, %cos, %sin {head_dim = 4 : i64} : (tensor<?x16xf32>, tensor<?x2xf32>, tensor<?x2xf32>) -> tensor<?x16xf32>
    %37 = fdpp.rope %33, %cos, %sin {head_dim = 4 : i64} : (tensor<?x8xf32>, tensor<?x2xf32>, tensor<?x2xf32>) -> tensor<?x8xf32>
    %38 = arith.constant 1 : index
    %39 = fdpp.kv_append %37, %35, %slots, %38 outs(%13) : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xi32>, index, tensor<2x?x2x2x4x4xf32>) -> tensor<2x?x2x2x4x4xf32>
    %40 = fdpp.attention %36, %39, %38, %seq_offsets, %context, %pages {scale = 0.5 : f64} : (tensor<?x16xf32>, tensor<2x?x2x2x4x4xf32>, index, tensor<?xi32>, tensor<?xi32>, tensor<?x?xi32>) -> tensor<?x16xf32>
    %41 = fdpp.weight_at @"model.layers.1.self_attn.o_proj.weight" : tensor<16x16xf32>
    %42 = fdpp.linear %40, %41 : (tensor<?x16xf32>, tensor<16x16xf32>) -> tensor<?x16xf32>
    %43 = fdpp.add %27, %42 : (tensor<?x16xf32>, tensor<?x16xf32>) -> tensor<?x16xf32>
    %44 = fdpp.weight_at @"model.layers.1.post_attention_layernorm.weight" : tensor<16xf32>
    %45 = fdpp.rms_norm %43, %44 {eps = 1.0e-5 : f64} : (tensor<?x16xf32>, tensor<16xf32>) -> tensor<?x16xf32>
    %46 = fdpp.weight_at @"model.layers.1.mlp.gate_proj.weight" : tensor<24x16xf32>
    %47 = fdpp.linear %45, %46 : (tensor<?x16xf32>, tensor<24x16xf32>) -> tensor<?x24xf32>
    %48 = fdpp.weight_at @"model.layers.1.mlp.up_proj.weight" : tensor<24x16xf32>
    %49 = fdpp.linear %45, %48 : (tensor<?x16xf32>, tensor<24x16xf32>) -> tensor<?x24xf32>
    %50 = fdpp.glu %47, %49 {activation = #fdpp.activation<silu>} : (tensor<?x24xf32>, tensor<?x24xf32>) -> tensor<?x24xf32>
    %51 = fdpp.weight_at @"model.layers.1.mlp.down_proj.weight" : tensor<16x24xf32>
    %52 = fdpp.linear %50, %51 : (tensor<?x24xf32>, tensor<16x24xf32>) -> tensor<?x16xf32>
    %53 = fdpp.add %43, %52 : (tensor<?x16xf32>, tensor<?x16xf32>) -> tensor<?x16xf32>
    %54 = fdpp.select_rows %53, %rows : (tensor<?x16xf32>, tensor<?xi32>) -> tensor<?x16xf32>
    %55 = fdpp.weight_at @"model.norm.weight" : tensor<16xf32>
    %56 = fdpp.rms_norm %54, %55 {eps = 1.0e-5 : f64} : (tensor<?x16xf32>, tensor<16xf32>) -> tensor<?x16xf32>
    %57 = fdpp.weight_at @"lm_head.weight" : tensor<32x16xf32>
    %58 = fdpp.linear %56, %57 outs(%logits) : (tensor<?x16xf32>, tensor<32x16xf32>, tensor<?x32xf32>) -> tensor<?x32xf32>
    return %58, %39 : tensor<?x32xf32>, tensor<2x?x2x2x4x4xf32>
  }
}