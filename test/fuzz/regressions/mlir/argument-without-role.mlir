module attributes {fdpp.max_context = 256 : i64, fdpp.model = #fdpp.model<layers = 1, hidden = 48, queryHeads = 6, kvHeads = 2, headDim = 8, vocab = 97, pageTokens = 64>, onnx.metadata = {fdpp.architecture = "LlamaForCausalLM", fdpp.max_position_embeddings = "256", fdpp.name = "gqa", fdpp.rope_theta = "10000.0", fdpp.source = "Hugging Face folder gqa"}} {
  fdpp.weight @model.embed_tokens.weight [#fdpp.seeded<1>] : tensor<97x48xf32>
  fdpp.weight @model.layers.0.input_layernorm.weight [#fdpp.seeded<2>] : tensor<48xf32>
  fdpp.weight @model.layers.0.self_attn.q_proj.weight [#fdpp.seeded<3>] : tensor<48x48xf32>
  fdpp.weight @model.layers.0.self_attn.k_proj.weight [#fdpp.seeded<4>] : tensor<16x48xf32>
  fdpp.weight @model.layers.0.self_attn.v_proj.weight [#fdpp.seeded<5>] : tensor<16x48xf32>
  fdpp.weight @model.layers.0.self_attn.o_proj.weight [#fdpp.seeded<6>] : tensor<48x48xf32>
  fdpp.weight @model.layers.0.post_attention_layernorm.weight [#fdpp.seeded<7>] : tensor<48xf32>
  fdpp.weight @model.layers.0.mlp.gate_proj.weight [#fdpp.seeded<8>] : tensor<80x48xf32>
  fdpp.weight @model.layers.0.mlp.up_proj.weight [#fdpp.seeded<9>] : tensor<80x48xf32>
  fdpp.weight @model.layers.0.mlp.down_proj.weight [#fdpp.seeded<10>] : tensor<48x80xf32>
  fdpp.weight @model.norm.weight [#fdpp.seeded<11>] : tensor<48xf32>
  fdpp.weight @lm_head.weight [#fdpp.seeded<12>] : tensor<97x48xf32>
  fdpp.weight @model.rope.inv_freq [dense<[1.000000e+00, 1.000000e-01, 0.00999999977, 1.000000e-03]> : tensor<4xf32>] : tensor<4xf32>
  func.func @step(%arg0: tensor<?xi32> {fdpp.max = 512 : i64, fdpp.role = "tokens"}, %arg1: tensor<?xi32> {fdpp.max = 512 : i64, fdpp.rrle = "positionÿÿÿÿÿÿÿÿÿÿÿÿÿÿÿÿÿÿÿÿÿÿÿÿÿs"}, %arg2: tensor<?xi32> {fdpp.max = 65 : i64, fdpp.role = "seq_offsets"}, %arg3: tensor<?xi32> {fdpp.max = 64 : i64, fdpp.role = "context"}, %arg4: tensor<?x?xi32> {fdpp.max = 64 : i64, fdpp.role = "pages"}, %arg5: tensor<?xi32> {fdpp.max = 512 : i64, fdpp.role = "rows"}, %arg6: tensor<1x?x2x2x64x8xf32> {fdpp.role = "cache"}, %arg7: tensor<?x97xf32> {fdpp.max = 512 : i64, fdpp.role = "logits"}) -> (tensor<?x97xf32>, tensor<1x?x2x2x64x8xf32>) attributes {fdpp.entry = "step"} {
    %0 = fdpp.token_slots %arg0, %arg2, %arg3, %arg4 {page_tokens = 64 : i64} : (tensor<?xi32>, tensor<?xi32>, tensor<?xi32>, tensor<?x?xi32>) -> tensor<?xi32>
    %1 = fdpp.weight_at @model.rope.inv_freq : tensor<4xf32>
    %2:2 = fdpp.rope_table %arg1, %1 : (tensor<?xi32>, tensor<4xf32>) -> (tensor<?x4xf32>, tensor<?x4xf32>)
    %3 = fdpp.weight_at @model.embed_tokens.weight : tensor<97x48xf32>
    %4 = fdpp.embed %arg0, %3 : (tensor<?xi32>, tensor<97x48xf32>) -> tensor<?x48xf32>
    %5 = fdpp.weight_at @model.layers.0.input_layernorm.weight : tensor<48xf32>
    %6 = fdpp.rms_norm %4, %5 {eps = 1.000000e-02 : f64} : (tensor<?x48xf32>, tensor<48xf32>) -> tensor<?x48xf32>
    %7 = fdpp.weight_at @model.layers.0.self_attn.q_proj.weight : tensor<48x48xf32>
    %8 = fdpp.linear %6, %7 : (tensor<?x48xf32>, tensor<48x48xf32>) -> tensor<?x48xf32>
    %9 = fdpp.weight_at @model.layers.0.self_attn.k_proj.weight : tensor<16x48xf32>
    %10 = fdpp.linear %6, %9 : (tensor<?x48xf32>, tensor<16x48xf32>) -> tensor<?x16xf32>
    %11 = fdpp.weight_at @model.layers.0.self_attn.v_proj.weight : tensor<16x48xf32>
    %12 = fdpp.linear %6, %11 : (tensor<?x48xf32>, tensor<16x48xf32>) -> tensor<?x16xf32>
    %13 = fdpp.rope %8, %2#0, %2#1 {head_dim = 8 : i64} : (tensor<?x48xf32>, tensor<?x4xf32>, tensor<?x4xf32>) -> tensor<?x48xf32>
    %14 = fdpp.rope %10, %2#0, %2#1 {head_dim = 8 : i64} : (tensor<?x16xf32>, tensor<?x4xf32>, tensor<?x4xf32>) -> tensor<?x16xf32>
    %c0 = arith.constant 0 : index
    %15 = fdpp.kv_append %14, %12, %0, %c0 outs(%arg6) : (tensor<?x16xf32>, tensor<?x16xf32>, tensor<?xi32>, index, tensor<1x?x2x2x64x8xf32>) -> tensor<1x?x2x2x64x8xf32>
    %16 = fdpp.attention %13, %15, %c0, %arg2, %arg3, %arg4 {scale = 0.35355339059327373 : f64} : (tensor<?x48xf32>, tensor<1x?x2x2x64x8xf32>, index, tensor<?xi32>, tensor<?xi32>, tensor<?x?xi32>) -> tensor<?x48xf32>
    %17 = fdpp.weight_at @model.layers.0.self_attn.o_proj.weight : tensor<48x48xf32>
    %18 = fdpp.linear %16, %17 : (tensor<?x48xf32>, tensor<48x48xf32>) -> tensor<?x48xf32>
    %19 = fdpp.add %4, %18 : (tensor<?x48xf32>, tensor<?x48xf32>) -> tensor<?x48xf32>
    %20 = fdpp.weight_at @model.layers.0.post_attention_layernorm.weight : tensor<48xf32>
    %21 = fdpp.rms_norm %19, %20 {eps = 1.000000e-02 : f64} : (tensor<?x48xf32>, tensor<48xf32>) -> tensor<?x48xf32>
    %22 = fdpp.weight_at @model.layers.0.mlp.gate_proj.weight : tensor<80x48xf32>
    %23 = fdpp.linear %21, %22 : (tensor<?x48xf32>, tensor<80x48xf32>) -> tensor<?x80xf32>
    %24 = fdpp.weight_at @model.layers.0.mlp.up_proj.weight : tensor<80x48xf32>
    %25 = fdpp.linear %21, %24 : (tensor<?x48xf32>, tensor<80x48xf32>) -> tensor<?x80xf32>
    %26 = fdpp.glu %23, %25 {activation = #fdpp.activation<silu>} : (tensor<?x80xf32>, tensor<?x80xf32>) -> tensor<?x80xf32>
    %27 = fdpp.weight_at @model.layers.0.mlp.down_proj.weight : tensor<48x80xf32>
    %28 = fdpp.linear %26, %27 : (tensor<?x80xf32>, tensor<48x80xf32>) -> tensor<?x48xf32>
    %29 = fdpp.add %19, %28 : (tensor<?x48xf32>, tensor<?x48xf32>) -> tensor<?x48xf32>
    %30 = fdpp.select_rows %29, %arg5 : (tensor<?x48xf32>, tensor<?xi32>) -> tensor<?x48xf32>
    %31 = fdpp.weight_at @model.norm.weight : tensor<48xf32>
    %32 = fdpp.rms_norm %30, %31 {eps = 1.000000e-02 : f64} : (tensor<?x48xf32>, tensor<48xf32>) -> tensor<?x48xf32>
    %33 = fdpp.weight_at @lm_head.weight : tensor<97x48xf32>
    %34 = fdpp.linear %32, %33 outs(%arg7) : (tensor<?x48xf32>, tensor<97x48xf32>, tensor<?x97xf32>) -> tensor<?x97xf32>
    return %34, %15 : tensor<?x97xf32>, tensor<1x?x2x2x64x8xf32>
  }
}

