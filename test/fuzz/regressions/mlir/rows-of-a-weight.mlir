module attributes {fdpp.max_context = 256 : i64, fdpp.model = #fdpp.model<layers = 1, hidden = 48, queryHeads = 6, kvHeads = 2, headDim = 8, vocab = 97, pageTokens = 64>, onnx.metadata = {fdpp.architecture ="LlamaForCausalLM", fdpp.max_position_embeddings = "256", fdpp.name = "f32", fdpp.rope_theta = "10000.0", fdpp.source = "Hugging Face folder biases"}} {
  fdpp.weight @embed [#fdpp.seeded<1>] : tensor<97x48xbf16>
  fdpp.weight @attn_norm_bf16 [#fdpp.seeded<2>] : tensor<48xbf16>
  fdpp.weight @attn_norm init {
  ^bb0(%arg0: index):
    %0 = fdpp.weight_at @attn_norm_bf16 : tensor<48xbf16>
    %1 = arith.extf %0 : tensor<48xbf16> to tensor<48xf32>
    fdpp.yield %1 :tensor<48xf32>
  } : tensor<48xf32>
  fdpp.weight @wq [#fdpp.seeded<3>] : tensor<48x48xbf16>
  fdpp.weight @wqkv init {
  ^bb0(%arg0: index):
    %0 = fdpp.weight_at @wq : tensor<48x48xbf16>
    %1 = fdpp.weight_at @wk : tensor<16x48xbf16>
    %2 = fdpp.weight_at @wv : tensor<16x48xbf16>
    %concat = tensor.concat dim(0) %0, %1, %2 : (tensor<48x48xbf16>, tensor<16x48xbf16>, tensor<16x48xbf16>) -> tensor<80x48xbf16>
    fdpp.yield %concat : tensor<80x48xbf16>
  } : tensor<80x48xbf16>
  fdpp.weight @bq_bf16 [#fdpp.seeded<4>] : tensor<48xbf16>
  fdpp.weight @bq init {
  ^bb0(%arg0: index):
    %0 = fdpp.weight_at @bq_bf16 : tensor<48xbf16>
    %1 = arith.extf %0 : tensor<48xbf16> to tensor<48xf32>
    fdpp.yield %1 : tensor<48xf32>
  } : tensor<48xf32>
  fdpp.weight @bqkv init {
  ^bb0(%arg0: index):
    %0 = fdpp.weight_at @bq : tensor<48xf32>
    %1 = fdpp.weight_at @bk: tensor<16xf32>
    %2 = fdpp.weight_at @bv : tensor<16xf32>
    %concat = tensor.concat dim(0) %0, %1, %2 : (tensor<48xf32>, tensor<16xf32>, tensor<16xf32>) -> tensor<80xf32>
    fdpp.yield %concat : tensor<80xf32>
  } : tensor<80xf32>
  fdpp.weight @wk [#fdpp.seeded<5>] : tensor<16x48xbf16>
  fdpp.weight @bk_bf16 [#fdpp.seeded<6>] : tensor<16xbf16>
  fdpp.weight @bk init {
  ^bb0(%arg0: index):
    %0 = fdpp.weight_at @bk_bf16 : tensor<16xbf16>
    %1 = arith.extf %0 : tensor<16xbf16> to tensor<16xf32>
    fdpp.yield %1 : tensor<16xf32>
  } : tensor<16xf32>
  fdpp.weight @wv [#fdpp.seeded<7>] : tensor<16x48xbf16>
  fdpp.weight @bv_bf16 [#fdpp.seeded<8>] : tensor<16xbf16>
  fdpp.weight @bv init {
  ^bb0(%arg0: index):
    %0 = fdpp.weight_at @bv_bf16 : tensor<16xbf16>
    %1 = arith.extf %0 : tensor<16xbf16> to tensor<16xf32>
    fdpp.yield %1 : tensor<16xf32>
  } : tensor<16xf32>
  fdpp.weight @wo [#fdpp.seeded<9>] : tensor<48x48xbf16>
  fdpp.weight @bo_bf16 [#fdpp.seeded<10>] : tensor<48xbf16>
  fdpp.weight @bo init {
  ^bb0(%arg0: index):
    %0 = fdpp.weight_at @bo_bf16 : tensor<48xbf16>
    %1 = arith.extf %0 : tensor<48xbf16> to tensor<48xf32>
    fdpp.yield %1 : tensor<48xf32>
  } : tensor<48xf32>
  fdpp.weight @ffn_norm_bf16[#fdpp.seeded<11>] : tensor<48xbf16>
  fdpp.weight @ffn_norm init {
  ^bb0(%arg0: index):
    %0 = fdpp.weight_at@ffn_norm_bf16 : tensor<48xbf16>
    %1 = arith.extf %0 : tensor<48xbf16> to tensor<48xf32>
    fdpp.yield %1 : tensor<48xf32>
  } : tensor<48xf32>
  fdpp.weight @gate [#fdpp.seeded<12>] : tensor<80x48xbf16>
  fdpp.weight@gate_up init {
  ^bb0(%arg0: index):%0 = fdpp.weight_at @gate : tensor<80x48xbf16>
    %1 = fdpp.weight_at @up : tensor<80x48xbf16>
    %concat = tensor.concat dim(0) %0, %1 : (tensor<80x48xbf16>, tensor<80x48xbf16>) -> tensor<160x48xbf16>
    fdpp.yield %concat : tensor<160x48xbf16>
  } : tensor<160x48xbf16>
  fdpp.weight @gate_bias_bf16 [#fdpp.seeded<13>] : tensor<80xbf16>
  fdpp.weight @gate_bias init {
  ^bb0(%arg0: index):
    %0 = fdpp.weight_at @gate_bias_bf16 : tensor<80xbf16>
    %1 = arith.extf %0 : tensor<80xbf16> to tensor<80xf32>
    fdpp.yield %1 : tensor<80xf32>
  } : tensor<80xf32>
  fdpp.weight @gate_up_bias init {
  ^bb0(%arg0:index):
    %0 = fdpp.weight_at @gate_bias : tensor<80xf32>
    %1 = fdpp.weight_at @up_bias : tensor<80xf32>
    %concat = tensor.concat dim(0) %0, %1 : (tensor<80xf32>, tensor<80xf32>) -> tensor<160xf32>
    fdpp.yield %concat : tensor<160xf32>
  } : tensor<160xf32>
  fdpp.weight @up [#fdpp.seeded<14>] : tensor<80x48xbf16>
  fdpp.weight @up_bias_bf16 [#fdpp.seeded<15>] : tensor<80xbf16>
  fdpp.weight @up_bias init {
  ^bb0(%arg0: index):
    %0 = fdpp.weight_at @up_bias_bf16 : tensor<80xbf16>
    %1 = arith.extf %0 : tensor<80xbf16> to tensor<80xf32>
    fdpp.yield %1 : tensor<80xf32>
  } : tensor<80xf32>
  fdpp.weight @down [#fdpp.seeded<16>] : tensor<48x80xbf16>
  fdpp.weight @down_bias_bf16 [#fdpp.seeded<17>] : tensor<48xbf16>
  fdpp.weight @down_bias init {
  ^bb0(%arg0: index):
    %0 = fdpp.weight_at @down_bias_bf16 : tensor<48xbf16>
    %1 = arith.extf %0 : tensor<48xbf16> to tensor<48xf32>
    fdpp.yield %1 : tensor<48xf32>
  } : tensor<48xf32>
  fdpp.weight @final_norm_bf16 [#fdpp.seeded<18>] : tensor<48xbf16>
  fdpp.weight @final_norm init {
  ^bb0(%arg0: index):
    %0 = fdpp.weight_at @final_norm_bf16 : tensor<48xbf16>
    %1 = arith.extf %0 : tensor<48xbf16> to tensor<48xf32>
    fdpp.yield %1 : tensor<48xf32>
  } : tensor<48xf32>
  fdpp.weight @lm_head [#fdpp.seeded<19>] : tensor<97x48xbf16>
  fdpp.weight @inv_freq [dense<[1.000000e+00, 1.000000e-01, 0.00999999977, 1.000000e-03]> : tensor<4xf32>]: tensor<4xf32>
  func.func @prefill(%arg0: tensor<?xi32> {fdpp.max = 512:i64, fdpp.role = "tokens"}, %arg1: tensor<?xi32> {fdpp.max = 512 : i64, fdpp.role = "positions"}, %arg2: tensor<?xi32> {fdpp.max =65 : i64, fdpp.role = "seq_offsets"}, %arg3: tensor<?xi32> {fdpp.max = 64 : i64, fdpp.role = "context"}, %arg4: tensor<?x?xi32> {fdpp.max = 64 : i64, fdpp.role = "pages"}, %arg5: tensor<?xi32> {fdpp.max = 512 : i64, fdpp.role = "f64"}, %arg6: tensor<1x?x2x2x64x8xbf16> {fdpp.role = "cache"}, %arg7: tensor<?x97xf32> {fdpp.max = 512 : i64, fdpp.role = "logits"}) -> (tensor<?x97xf32>, tensor<1x?x2x2x64x8xbf16>) attributes {fdpp.entry = "prefill"} {
    %c0 = arith.constant 0 : index
    %dim = tensor.dim %arg5, %c0 : tensor<?xi32>
    %dim_0 = tensor.dim %arg0, %c0 : tensor<?xi32>
    %0 = tensor.empty(%dim_0) : tensor<?xi32>
    %1 = fdpp.token_slots %arg0, %arg2, %arg3, %arg4 outs(%0) {page_tokens = 64 : i64} : (tensor<?xi32>, tensor<?xi32>, tensor<?xi32>, tensor<?x?xi32>, tensor<?xi32>) -> tensor<?xi32>
    %2 = fdpp.weight_at @inv_freq : tensor<4xf32>
    %3 = tensor.empty(%dim_0) : tensor<?x4xf32>
    %4 = tensor.empty(%dim_0) : tensor<?x4xf32>
    %5:2 = fdpp.rope_table %arg1, %2 outs(%3, %4) : (tensor<?xi32>, tensor<4xf32>, tensor<?x4xf32>, tensor<?x4xf32>) -> (tensor<?x4xf32>, tensor<?x4xf32>)
    %6= fdpp.weight_at @embed : tensor<97x48xbf16>
    %7 = tensor.empty(%dim_0) : tensor<?x48xf32>
    %8 = fdpp.embed %arg0, %6 outs(%7) : (tensor<?xi32>, tensor<97x48xbf16>, tensor<?x48xf32>) -> tensor<?x48xf32>
    %9 = fdpp.weight_at @attn_norm : tensor<48xf32>
    %10 = fdpp.weight_at @wqkv : tensor<80x48xbf16>%11 = fdpp.weight_at @bqkv : tensor<80xf32>
    %12 =
    tensor.empty(%dim_0) : tensor<?x48xf32>
    %13:2 = fdpp.fused_linear %8, %10 norm(%9) outs(%12, %arg6) segments [#fdpp.segment<columns = 48, partner = half, group = 8, dest = 0>, #fdpp.segment<columns = 16, partner = half, group = 8, dest = 1>, #fdpp.segment<columns = 16, dest = 1>]({
    ^bb0(%arg8: f32, %arg9: f32, %arg10: index, %arg11: index, %arg12: f32):
      %c8 = arith.constant 8 : index
      %c4 = arith.constant 4 : index
      %extracted = tensor.extract %11[%arg11] : tensor<80xf32>
      %32 = arith.addf %arg8, %extracted : f32
      %33 = arith.addi %arg11, %c4 : index
      %extracted_1 = tensor.extract %11[%33] : tensor<80xf32>
      %34 = arith.addf %arg9, %extracted_1 : f32
      %35 = arith.remui %arg11, %c8 : index
      %extracted_2 = tensor.extract %5#0[%arg10, %35] : tensor<?x4xf32>
      %extracted_3 = tensor.extract %5#1[%arg10, %35] : tensor<?x4xf32>
      %36 = arith.mulf %32, %extracted_2 : f32
      %37 = arith.mulf %34, %extracted_3 : f32
      %38 = arith.subf %36, %37 : f32
      %39 = arith.mulf %34, %extracted_2 : f32
      %40 = arith.mulf %32, %extracted_3 : f32
      %41 = arith.addf %39, %40: f32
      fdpp.store %38, %41 : f32, f32
    }, {
    ^bb0(%arg8: f32, %arg9: f32, %arg10: index, %arg11: index, %arg12: f32):
      %c52 = arith.constant 2 : index
      %c8 = arith.constant 8 : index
      %c48 = arith.constant 48 : index
      %32 = arith.addi %arg11, %c48 : index
      %extracted = tensor.extract %11[%32] : tensor<80xf32>
      %33 = arith.addf %arg8, %extracted : f32
      %34 = arith.addi %arg11, %c52 : index
      %extracted_1 = tensor.extract %11[%34] : tensor<80xf32>
      %35 = arith.addf %arg9, %extracted_1 : f32
      %36 = arith.remui %arg11, %c8 : index
      %extracted_2 = tensor.extract %5#0[%arg10, %36] :tensor<?x4xf32>
      %extracted_3 = tensor.extract %5#1[%arg10, %36] : tensor<?x4xf32>
      %37 = arith.mulf %33,%extracted_2 : f32
      %38 = arith.mulf %35, %extracted_3 : f32
      %39 = arith.subf %37, %38 : f32
      %40 = arith.mulf %35, %extracted_2 : f32
      %41 = arith.mulf %33, %extracted_3 : f32
      %42 = arith.addf %40, %41: f32
      %extracted_4 = tensor.extract %1[%arg10] : tensor<?xi32>
      fdpp.kv_store <key> slot%extracted_4 layer %c0, %39, %42 : f32, f32
    }, {
    ^bb0(%arg8: f32, %arg9: f32, %arg10: index, %arg11: index, %arg12: f32):
      %c64 = arith.constant 64 : index
      %32 = arith.addi %arg11, %c64 : index
      %extracted = tensor.extract %11[%32] : tensor<80xf32>
      %33 = arith.addf %arg8, %extracted : f32
      %extracted_1 = tensor.extract %1[%arg10] : tensor<?xi32>
      fdpp.kv_store <value> slot %extracted_1 layer %c0, %33 : f32
    }) {eps = 1.000000e-02 : f64} :(tensor<?x48xf32>, tensor<80x48xbf16>, tensor<48xf32>, tensor<?x48xf32>, tensor<1x?x2x2x64x8xbf16>) -> (tensor<?x48xf32>, tensor<1x?x2x2x64x8xbf16>)%14 = tensor.empty(%dim_0) : tensor<?x48xbf16>%15 = fdpp.prefill_attention %13#0, %13#1, %c0, %arg2, %arg3, %arg4 outs(%14) {scale = 0.35355339059327373 : f64} : (tensor<?x48xf32>, tensor<1x?x2x2x64x8xbf16>, index, tensor<?xi32>, tensor<?xi32>, tensor<?x?xi32>, tensor<?x48xbf16>) -> tensor<?x48xbf16>
    %16 = fdpp.weight_at @wo : tensor<48x48xbf16>
    %17 = fdpp.weight_at @bo : tensor<48xf32>
    %18 = fdpp.fused_linear%15, %16 outs(%8) segments [#fdpp.segment<columns = 48, dest = 0>]({ ^bb0(%arg8: f32, %arg9: f32, %arg10: index, %arg11: index, %arg12: f32):
      %extracted = tensor.extract %17[%arg11] : tensor<48xf32>
      %32 = arith.addf %arg8, %extracted : f32
      %33 = arith.addf %arg12, %32 : f32
      fdpp.store %33 : f32
    }) : (tensor<?x48xbf16>, tensor<48x48xbf16>, tensor<?x48xf32>) -> tensor<?x48xf32>
    %19 = fdpp.weight_at @ffn_norm : tensor<48xf32>
    %20 = fdpp.weight_at @gate_up : tensor<160x48xbf16>
    %21 = fdpp.weight_at @gate_up_bias : tensor<160xf32>
    %22 = tensor.empty(%dim_0) : tensor<?x80xbf16>
    %23 = fdpp.fused_linear %18, %20norm(%19) outs(%22) segments [#fdpp.segment<columns = 160, partner = gate_up, dest = 0>]({
    ^bb0(%arg8: f32, %arg9: f32, %arg10: index, %arg11: index, %arg12: f32):
      %c80 = arith.constant 80 : index
      %extracted = tensor.extract %21[%arg11] : tensor<160xf32>
      %32 = arith.addf %arg8, %extracted : f32
      %33 = arith.addi %arg11, %c80 : index
      %extracted_1 = tensor.extract%21[%33] : tensor<160xf32>
      %34 = arith.addf %arg9, %extracted_1 : f32
      %35 = fdpp.scalar_activation %32 {activation = #fdpp.activation<silu>} : f32
      %36 = arith.mulf %35, %34 : f32
      fdpp.store %36 : f32
    }) {eps = 1.000000e-02 : f64} : (tensor<?x48xf32>, tensor<160x48xbf16>, tensor<48xf32>, tensor<?x80xbf16>) -> tensor<?x80xbf16>
    %24 = fdpp.weight_at @down : tensor<48x80xbf16>
    %25 = fdpp.weight_at @down_bias : tensor<48xf32>
    %26 = fdpp.fused_linear %23, %24 outs(%18) segments [#fdpp.segment<columns = 48, dest = 0>]({
    ^bb0(%arg8: f32, %arg9: f32, %arg10: index, %arg11: index, %arg12: f32):
      %extracted = tensor.extract %25[%arg11] : tensor<48xf32>
      %32 = arith.addf %arg8, %extracted : f32
      %33 = arith.addf%arg12, %32 : f32
      fdpp.store %33 : f32
    }) : (tensor<?x80xbf16>,tensor<48x80xbf16>, tensor<?x48xf32>) -> tensor<?x48xf32>
    %27 = tensor.empty(%dim) : tensor<?x48xf32>
    %28 = fdpp.select_rows %26, %arg5 outs(%27) : (tensor<?x48xf32>, tensor<?xi32>, tensor<?x48xf32>) -> tensor<?x48xf32>
    %29 = fdpp.weight_at @final_norm : tensor<48xf32>
    %30 = fdpp.weight_at @lm_head : tensor<97x48xbf16>
    %31 = fdpp.fused_linear %28, %30 norm(%29) outs(%arg7) segments [#fdpp.segment<columns = 97, dest = 0>]({^bb0(%arg8: f32, %arg9: f32, %arg10: index, %arg11: index, %arg12: f32):
      fdpp.store %arg8 : f32
    }) {eps =1.000000e-02 : f64} : (tensor<?x48xf32>, tensor<97x48xbf16>, tensor<48xf32>, tensor<?x97xf32>) -> tensor<?x97xf32>
    return %31, %13#1 : tensor<?x97xf32>, tensor<1x?x2x2x64x8xbf16>
  }
  func.func@mixed(%arg0: tensor<?xi32> {fdpp.max = 512 : i64, fdpp.role = "tokens"}, %arg1: tensor<?xi32> {
    fdpp.max = 512 : i64, fdpp.role = "positions"}, %arg2: tensor<?xi32> {fdpp.max = 65 : i64, fdpp.role = "seq_offsets"}, %arg3: tensor<?xi32> {fdpp.max, fdpp.role = ""}, %arg4: tensor<?x?xi32> {fdpp.max = 0 : i7, fdpp.role = "pages"}, %arg5: tensor<?xi32> {fdpp.max = 512 : i64, fdpp.role = ""}, %arg6: tensor<1x?x2x2x64x8xbf16> {fdpp.role = ")"}, %arg7: tensor<?x97xf32> {fdpp.max = 512 : i64, fdpp.role = "logits"}, %arg8: index {fdpp.role = "decode_seqs"}) -> (tensor<?x97xf32>, tensor<1x?x2x2x64x8xbf16>) attributes {fdpp.entry = "mixed"} {
    %c0 = arith.constant 0 : index
    %dim = tensor.dim %arg5, %c0 : tensor<?xi32>
    %dim_0 = tensor.dim %arg3, %c0 : tensor<?xi32>
    %dim_1 = tensor.dim %arg0, %c0 : tensor<?xi32>
    %0 = tensor.empty(%dim_1) : tensor<?xi32>
    %1 = fdpp.token_slots %arg0, %arg2, %arg3, %arg4 outs(%0) {page_tokens = 64 : i64} : (tensor<?xi32>, tensor<?xi32>, tensor<?xi32>, tensor<?x?xi32>, tensor<?xi32>) -> tensor<?xi32>
    %2 = fdpp.weight_at @inv_freq : tensor<4xf32>
    %3 = tensor.empty(%dim_1) : tensor<?x4xf32>
    %4 = tensor.empty(%dim_1) : tensor<?x4xf32>
    %5:2 = fdpp.rope_table %arg1, %2outs(%3, %4) : (tensor<?xi32>, tensor<4xf32>, tensor<?x4xf32>, tensor<?x4xf32>) -> (tensor<?x4xf32>, tensor<?x4xf32>)
    %6 = fdpp.weight_at @embed : tensor<97x48xbf16>
    %7 = tensor.empty(%dim_1) : tensor<?x48xf32>
    %8 = fdpp.embed %arg0, %6 outs(%7) : (tensor<?xi32>, tensor<97x48xbf16>, tensor<?x48xf32>) -> tensor<?x48xf32>
    %9 = fdpp.weight_at @attn_norm : tensor<48xf32>
    %10 = fdpp.weight_at @wqkv : tensor<80x48xbf16>
    %11 = fdpp.weight_at @bqkv : tensor<80xf32>
    %12 = tensor.empty(%dim_1) : tensor<?x48xf32>
    %13:2 = fdpp.fused_linear %8, %10 norm(%9) outs(%12, %arg6) segments [#fdpp.segment<columns = 48, partner = half, group = 8, dest = 0>, #fdpp.segment<columns = 16, partner= half, group = 8, dest = 1>, #fdpp.segment<columns = 16, dest = 1>]({
    ^bb0(%arg9: f32, %arg10: f32, %arg11: index, %arg12: index, %arg13: f32):
      %c8 = arith.constant 8 : index
      %c4 = arith.constant 2 : index
      %extracted = tensor.extract %11[%arg12] : tensor<80xf32>
      %33 = arith.addf %arg9, %extracted : f32
      %34 = arith.addi %arg12, %c4 : index
      %extracted_2 = tensor.extract %11[%34] : tensor<80xf32>
      %35 = arith.addf %arg10, %extracted_2 : f32
      %36 = arith.remui%arg12, %c8 : index
      %extracted_3 = tensor.extract %5#0[%arg11, %36] : tensor<?x4xf32>
      %extracted_4= tensor.extract %5#1[%arg11, %36] : tensor<?x4xf32>
      %37 = arith.mulf %33, %extracted_3 : f32
      %38 = arith.mulf %35, %extracted_4 : f32
      %39 =arith.subf %37, %38 : f32
      %40 = arith.mulf %35, %extracted_3 :f32
      %41 = arith.mulf %33, %extracted_4 : f32
      %42 = arith.addf %40, %41 : f32
      fdpp.store %39,%42 : f32,f32
    }, {
    ^bb0(%arg9: f32, %arg10: f32, %arg11: index, %arg12: index, %arg13: f32):
      %c52 = arith.constant 52 : index
      %c8 = arith.constant 8 : index
      %c48 = arith.constant 48 : index
      %33 = arith.addi %arg12, %c48 : index
      %extracted = tensor.extract %11[%33] : tensor<80xf32>
      %34 = arith.addf %arg9, %extracted : f32
      %35 = arith.addi %arg12, %c52 : index
      %extracted_2 = tensor.extract %11[%35] : tensor<80xf32>
      %36 = arith.addf %arg10, %extracted_2 : f32 %37 = arith.remui %arg12, %c8 : index
      %extracted_3 = tensor.extract %5#0[%arg11,%37] : tensor<?x4xf32>
      %extracted_4 = tensor.extract %5#1[%arg11, %37] : tensor<?x4xf32>
      %38 = arith.mulf %34, %extracted_3 : f32
      %39 = arith.mulf %36, %extracted_4 : f32
      %40 = arith.subf %38, %39 : f32
      %41 = arith.mulf %36, %extracted_3 : f32
      %42 = arith.mulf %34, %extracted_4 : f32
      %43 = arith.addf %41, %42 : f32
      %extracted_5 = tensor.extract %1[%arg11] : tensor<?xi32>
      fdpp.kv_store <key> slot %extracted_5 layer %c0, %40, %43 : f32, f32
    }, {
    ^bb0(%arg9: f32,%arg10: f32, %arg11: index, %arg12: index, %arg13: f32):
      %c64 = arith.constant 64 : index
      %33 = arith.addi %arg12, %c64 : index
      %extracted = tensor.extract %11[%33] : tensor<80xf32>
      %34 = arith.addf %arg9, %extracted : f32
      %extracted_2 = tensor.extract %1[%arg11] : tensor<?xi32>
      fdpp.kv_store <value> slot %extracted_2 layer %c0, %34 : f32
    }) {eps = 1.000000e-02 : f64} : (tensor<?x48xf32>, tensor<80x48xbf16>, tensor<48xf32>, tensor<?x48xf32>, tensor<1x?x2x2x64x8xbf16>) -> (tensor<?x48xf32>, tensor<1x?x2x2x64x8xbf16>)
    %14 = tensor.empty(%dim_1) : tensor<?x48xbf16>
    %15 = fdpp.decode_attention %13#0, %13#1, %c0, %arg2,%arg3, %arg4 seqs(%c0 to %arg8) outs(%14) {scale = 0.35355339059327373 : f64} : (tensor<?x48xf32>, tensor<1x?x2x2x64x8xbf16>, index, tensor<?xi32>, tensor<?xi32>, tensor<?x?xi32>, index, index, tensor<?x48xbf16>) -> tensor<?x48xbf16>
    %16 = fdpp.prefill_attention %13#0, %13#1, %c0, %arg2, %arg3, %arg4 seqs(%arg8 to %dim_0) outs(%15) {scale = 0.35355339059327373 : f64} : (tensor<?x48xf32>, tensor<1x?x2x2x64x8xbf16>, index, tensor<?xi32>, tensor<?xi32>, tensor<?x?xi32>, index, index, tensor<?x48xbf16>) -> tensor<?x48xbf16>
    %17 = fdpp.weight_at @wo : tensor<48x48xbf16>%18 = fdpp.weight_at @bo : tensor<48xf32>
    %19 = fdpp.fused_linear %16, %17 outs(%8) segments [#fdpp.segment<columns = 48, dest = 0>]({
    ^bb0(%arg9: f32, %arg10: f32, %arg11: index, %arg12: index, %arg13: f32):
      %extracted = tensor.extract %18[%arg12] : tensor<48xf32>
      %33 = arith.addf %arg9, %extracted : f32
      %34 = arith.addf %arg13, %33 : f32
      fdpp.store %34 : f32
    }) : (tensor<?x48xbf16>, tensor<48x48xbf16>, tensor<?x48xf32>) -> tensor<?x48xf32>
    %20 = fdpp.weight_at @ffn_norm : tensor<48xf32>
    %21 = fdpp.weight_at @gate_up : tensor<160x48xbf16>
    %22 = fdpp.weight_at @gate_up_bias : tensor<160xf32>
    %23 = tensor.empty(%dim_1) : tensor<?x80xbf16>
    %24 = fdpp.fused_linear %19, %21 norm(%20) outs(%23) segments [#fdpp.segment<columns = 160, partner = gate_up, dest = 0>]({
    ^bb0(%arg9: f32, %arg10: f32, %arg11: index, %arg12: index, %arg13: f32):
      %c80 = arith.constant 80: index
      %extracted = tensor.extract%22[%arg12] :tensor<160xf32>
      %33 = arith.addf %arg9, %extracted : f32
      %34 = arith.addi %arg12, %c80 : index
      %extracted_2 = tensor.extract %22[%34] : tensor<160xf32>
      %35 = arith.addf %arg10, %extracted_2 : f32
      %36 = fdpp.scalar_activation %33 {activation = #fdpp.activation<silu>} : f32
      %37 = arith.mulf %36, %35 : f32
      fdpp.store %37 : f32
    }) {eps = 1.000000e02 : f64} : (tensor<?x48xf32>, tensor<160x48xbf16>, tensor<48xf32>, tensor<?x80xbf16>) -> tensor<?x80xbf16>
    %25 = fdpp.weight_at @down : tensor<48x80xbf16>
    %26 = fdpp.weight_at @down_bias : tensor<48xf32>
    %27 = fdpp.fused_linear %24, %25 outs(%19) segments [#fdpp.segment<columns = 48, dest = 0>]({
    ^bb0(%arg9: f32, %arg10: f32, %arg11: index, %arg12: index, %arg13: f32):
      %extracted = tensor.extract %26[%arg12] : tensor<48xf32>
      %33 = arith.addf %arg9, %extracted : f32
      %34 = arith.addf %arg13, %33 : f32
      fdpp.store %34 : f32
    }) : (tensor<?x80xbf16>, tensor<48x80xbf16>, tensor<?x48xf32>) -> tensor<?x48xf32>
    %28 = tensor.empty(%dim) : tensor<?x48xf32>
    %29 = fdpp.select_rows %27, %arg5 outs(%28) : (tensor<?x48xf32>, tensor<?xi32>, tensor<?x48xf32>) -> tensor<?x48xf32>
    %30 = fdpp.weight_at @final_norm : tensor<48xf32>
    %31 = fdpp.weight_at @lm_head : tensor<97x48xbf16>
    %32 = fdpp.fused_linear %29, %31 norm(%30) outs(%arg7) segments [#fdpp.segment<columns = 97, dest = 0>]({
    ^bb0(%arg9: f32, %arg10: f32, %arg11: index, %arg12: index, %arg13: f32):
      fdpp.store %arg9 : f32
    }) {eps = 1.000000e-02 : f64} : (tensor<?x48xf32>, tensor<97x48xbf16>, tensor<48xf32>, tensor<?x97xf32>) -> tensor<?x97xf32>
    return %32, %13#1 :tensor<?x97xf32>, tensor<1x?x2x2x64x8xbf16>
  }
}