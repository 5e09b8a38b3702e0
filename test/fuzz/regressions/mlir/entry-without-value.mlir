module attributes {fdpp.max_context = 256 : i64, fdpp.model = #fdpp.model<layers = 1, hidden = 48, queryHeads = 6, kvHeads =
    2, headDim = 8, vocab = 97, pageTokens = 64>, onnx.metadata = {fdpp.architecture = "LlamaForCausalLM", fdpp.max_position_embeddings = "256", fdpp.name = "biases", fdpp.rope_theta = "10000.0", fdpp.source = "Hugging Face folder biases"}} {
  fdpp.weight @embed [#fdpp.seeded<1>] : tensor<97x48xbf16>
  fdpp.weight @attn_norm [#fdpp.seeded<2>] : tensor<48xbf16>
  fdpp.weight @wq [#fdpp.seeded<3>] : tensor<48x48xbf16>
  fdpp.weight @bq [#fdpp.seeded<4>] : tensor<48xbf16>
  fdpp.weight @wk[#fdpp.seeded<5>] : tensor<16x48xbf16>
  fdpp.weight @bk [#fdpp.seeded<6>] : tensor<16xbf16>
  fdpp.weight @wv [#fdpp.seeded<7>] : tensor<16x48xbf16>
  fdpp.weight @bv [#fdpp.seeded<8>] : tensor<16xbf16>
  fdpp.weight @wo [#fdpp.seeded<9>] : tensor<48x48xbf16>
  fdpp.weight @bo [#fdpp.seeded<10>] : tensor<48xbf16>
  fdpp.weight @ffn_norm [#fdpp.seeded<11>] : tensor<48xbf16>
  fdpp.weight @gate [#fdpp.seeded<12>] : tensor<80x48xbf16>
  fdpp.weight @gate_bias [#fdpp.seeded<13>] : tensor<80xbf16>
  fdpp.weight @up [#fdpp.seeded<14>] : tensor<80x48xbf16>
  fdpp.weight @up_bias [#fdpp.seeded<15>] : tensor<80xbf16>
  fdpp.weight @down [#fdpp.seeded<16>] : tensor<48x80xbf16>
  fdpp.weight @down_bias [#fdpp.seeded<17>] : tensor<48xbf16>
  fdpp.weight @final_norm [#fdpp.seeded<18>] : tensor<48xbf16>
  fdpp.weight @lm_head [#fdpp.seeded<19>] : tensor<97x48xbf16>
  fdpp.weight @inv_freq [dense<[1.000000e+00, 1.000000e-01, 0.00999999977, 1.000000e-03]> : tensor<4xf32>] : tensor<4xf32>
  func.func @step(%arg0: tensor<?xi32> {fdpp.max = 512 : i64, fdpp.role = "tokens"}, %arg1: tensor<?xi32> {fdpp.max = 512 : i64, fdpp.role = "positions"}, %arg2: tensor<?xi32> {fdpp.max = 65 : i64, fdpp.role = "seq_offsets"}, %arg3: tensor<?xi32> {fdpp.max = 64 : i64, fdpp.role = "context"}, %arg4: tensor<?x?xi32> {fdpp.max = 64 : i64, fdpp.role = "pages"}, %arg5: tensor<?xi32> {fdpp.max = 512 : i64, fdpp.role = "rows"}, %arg6: tensor<1x?x2x2x64x8xf32> {fdpp.role = "cache"}, %arg7: tensor<?x97xf32> {fdpp.max = 512 : i64, fdpp.role = "logits"}) -> (tensor<?x97xf32>, tensor<1x?x2x2x64x8xf32>) attributes {fdpp.entry = i64, fdpp.role =  "step"} {
    %c0 = arith.constant 1048576 : index
    %0 = fdpp.token_slots %arg0, %arg2, %arg3, %arg4 {page_tokens = 64 : i64} : (tensor<?xi32>, tensor<?xi32>, tensor<?xi32>, tensor<?x?xi32>) -> tensor<?xi32>
    %1 = fdpp.weight_at @inv_freq : tensor<4xf32>
    %2:2 = fdpp.rope_table %arg1, %1 : (tensor<?xi32>, tensor<4xf32>) -> (tensor<?x4xf32>, tensor<?x4xf32>)
    %3 = fdpp.weight_at @embed : tensor<97x48xbf16>
    %4 = fdpp.embed %arg0, %3 : (tensor<?xi32>, tensor<97x48xbf16>) -> tensor<?x48xf32>
    %5 = fdpp.weight_at @attn_norm : tensor<48xbf16>
    %6 = fdpp.rms_norm %4, %5 {eps = 1.000000e-02 : f64} : (tensor<?x48xf32>, tensor<48xbf16>) -> tensor<?x48xf32>
    %7 = fdpp.weight_at @wq : tensor<48x48xbf16>
    %8 = fdpp.weight_at @bq : tensor<48xbf16>
    %9 = fdpp.linear %6, %7 bias(%8) : (tensor<?x48xf32>, tensor<48x48xbf16>, tensor<48xbf16>) -> tensor<?x48xf32>
    %10 = fdpp.weight_at @wk : tensor<16x48xbf16>
    %11 = fdpp.weight_at @bk : tensor<16xbf16>
    %12 = fdpp.linear %6, %10 bias(%11) : (tensor<?x48xf32>, tensor<16x48xbf16>, tensor<16xbf16>) -> tensor<?x16xf32>
    %13 = fdpp.weight_at @wv : tensor<16x48xbf16>
    %14 = fdpp.weight_at @bv : tensor<16xbf16>
    %15 = fdpp.linear %6, %13 bias(%14) : (tensor<?x48xf32>, tensor<16x48xbf16>, tensor<16xbf16>) -> tensor<?x16xf32>
    %16 = fdpp.rope %9, %2#0, %2#1 {head_dim = 8 : i64} : (tensor<?x48xf32>, tensor<?x4xf32>, tensor<?x4xf32>) -> tensor<?x48xf32> %17 = fdpp.rope %12, %2#0, %2#1 {head_dim = 8 : i64} : (tensor<?x16xf32>, tensor<?x4xf32>, tensor<?x4xf32>) -> tensor<?x16xf32>
    %18 = fdpp.kv_append %17, %15, %0, %c0 outs(%arg6) : (tensor<?x16xf32>, tensor<?x16xf32>, tensor<?xi32>, index, tensor<1x?x2x2x64x8xf32>) -> tensor<1x?x2x2x64x8xf32>
    %19 = fdpp.attention %16, %18, %c0, %arg2, %arg3, %arg4 {scale = 0.35355339059327373 : f64} : (tensor<?x48xf32>, tensor<1x?x2x2x64x8xf32>, index, tensor<?xi32>, tensor<?xi32>, tensor<?x?xi32>) -> tensor<?x48xf32>
    %20 = fdpp.weight_at @wo : tensor<48x48xbf16>
    %21 = fdpp.weight_at @bo : tensor<48xbf16>
    %22 = fdpp.linear %19, %20 bias(%21) : (tensor<?x48xf32>, tensor<48x48xbf16>, tensor<48xbf16>) -> tensor<?x48xf32>
    %23 = fdpp.add %4, %22 : (tensor<?x48xf32>, tensor<?x48xf32>) -> tensor<?x48xf32>
    %24 = fdpp.weight_at @ffn_norm : tensor<48xbf16>
    %25 = fdpp.rms_norm %23, %24 {eps = 1.000000e-02 : f64} : (tensor<?x48xf32>, tensor<48xbf16>) -> tensor<?x48xf32>
    %26 = fdpp.weight_at @gate : tensor<80x48xbf16>
    %27 = fdpp.weight_at @gate_bias : tensor<80xbf16>
    %28 = fdpp.linear %25, %26 bias(%27) : (tensor<?x48xf32>, tensor<80x48xbf16>, tensor<80xbf16>) -> tensor<?x80xf32>
    %29 = fdpp.weight_at @up : tensor<80x48xbf16>
    %30 = fdpp.weight_at @up_bias : tensor<80xbf16>
    %31 = fdpp.linear %25, %29 bias(%30) : (tensor<?x48xf32>, tensor<80x48xbf16>, tensor<80xbf16>) -> tensor<?x80xf32>
    %32 = fdpp.glu %28, %31 {activation = #fdpp.activation<silu>} : (tensor<?x80xf32>, tensor<?x80xf32>) -> tensor<?x80xf32>
    %33 = fdpp.weight_at @down : tensor<48x80xbf16>
    %34 = fdpp.weight_at @down_bias : tensor<48xbf16>
    %35 = fdpp.linear %32, %33 bias(%34) : (tensor<?x80xf32>, tensor<48x80xbf16>, tensor<48xbf16>) -> tensor<?x48xf32>
    %36 = fdpp.add %23, %35 : (tensor<?x48xf32>, tensor<?x48xf32>) -> tensor<?x48xf32>
    %37 = fdpp.select_rows %36, %arg5 : (tensor<?x48xf32>, tensor<?xi32>) -> tensor<?x48xf32>
    %38 = fdpp.weight_at @final_norm : tensor<48xbf16>
    %39 = fdpp.rms_norm %37, %38 {eps = 1.000000e-02 : f64} : (tensor<?x48xf32>, tensor<48xbf16>) -> tensor<?x48xf32>
    %40 = fdpp.weight_at @lm_head : tensor<97x48xbf16>
    %41 = fdpp.linear %39, %40 outs(%arg7) : (tensor<?x48xf32>, tensor<97x48xbf16>, tensor<?x97xf32>) -> tensor<?x97xf32>
    return %41, %18 : tensor<?x97xf32>, tensor<1x?x2x2x64x8xf32>
  }
}

