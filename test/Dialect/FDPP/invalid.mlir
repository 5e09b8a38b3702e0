// RUN: fdpp-opt %s --split-input-file --verify-diagnostics

// Every message of the dialect's verifiers.

// expected-error @below {{of type 'tensor<8xf32>' needs 32 bytes, the file range has 31}}
fdpp.weight @w [#fdpp.file<"model.onnx.data", 0, 31>] : tensor<8xf32>

// -----

// expected-error @below {{has inline elements of type 'tensor<2xf32>', expected 'tensor<3xf32>'}}
fdpp.weight @w [dense<[1.0, 2.0]> : tensor<2xf32>] : tensor<3xf32>

// -----

// expected-error @below {{has an unknown source "nowhere"}}
fdpp.weight @w ["nowhere"] : tensor<3xf32>

// -----

// expected-error @below {{must have a static shape, not 'tensor<?xf32>'}}
fdpp.weight @w [#fdpp.seeded<1>] : tensor<?xf32>

// -----

// expected-error @below {{has 0 layers}}
fdpp.weight @w bank 0 [] : tensor<3xf32>

// -----

// expected-error @below {{needs either sources or an init region}}
fdpp.weight @w : tensor<3xf32>

// -----

// expected-error @below {{has 2 layers and 1 sources}}
fdpp.weight @w bank 2 [#fdpp.seeded<1>] : tensor<3xf32>

// -----

// expected-error @below {{with a panel layout must be a matrix}}
fdpp.weight @w [#fdpp.seeded<1>] layout <panel = 16, interleave = 1> : tensor<3xf32>

// -----

// expected-error @below {{has panels of 2143289344 rows, interleaved by 1; expected 1 to 1024 and 1 to 64}}
fdpp.weight @w [#fdpp.seeded<1>] layout <panel = 2143289344, interleave = 1> : tensor<8x16xf32>

// -----

// expected-error @below {{has 8 rows, which are not those of its segments}}
fdpp.weight @w [#fdpp.seeded<1>] layout <panel = 16, interleave = 1, [<columns = 6, dest = 0>, <columns = 4, dest = 1>]> : tensor<8x16xf32>

// -----

// expected-error @below {{init region takes one index, the layer}}
fdpp.weight @w init {
  %c = arith.constant dense<0.0> : tensor<3xf32>
  fdpp.yield %c : tensor<3xf32>
} : tensor<3xf32>

// -----

// expected-error @below {{init region must yield one 'tensor<3xf32>'}}
fdpp.weight @w init {
^bb0(%layer: index):
  %c = arith.constant dense<0.0> : tensor<2xf32>
  fdpp.yield %c : tensor<2xf32>
} : tensor<3xf32>

// -----

func.func @f() -> tensor<3xf32> {
  // expected-error @below {{no weight @missing}}
  %w = fdpp.weight_at @missing : tensor<3xf32>
  return %w : tensor<3xf32>
}

// -----

fdpp.weight @w [#fdpp.seeded<1>] : tensor<3xf32>
func.func @f() -> tensor<4xf32> {
  // expected-error @below {{@w is a 'tensor<3xf32>', not a 'tensor<4xf32>'}}
  %w = fdpp.weight_at @w : tensor<4xf32>
  return %w : tensor<4xf32>
}

// -----

fdpp.weight @w bank 2 [#fdpp.seeded<1>, #fdpp.seeded<2>] : tensor<3xf32>
func.func @f() -> tensor<3xf32> {
  // expected-error @below {{@w is a bank and needs a layer}}
  %w = fdpp.weight_at @w : tensor<3xf32>
  return %w : tensor<3xf32>
}

// -----

fdpp.weight @w [#fdpp.seeded<1>] : tensor<3xf32>
func.func @f(%l: index) -> tensor<3xf32> {
  // expected-error @below {{@w is no bank and takes no layer}}
  %w = fdpp.weight_at @w[%l] : tensor<3xf32>
  return %w : tensor<3xf32>
}

// -----

func.func @f(%x: tensor<2x3xf32>) -> tensor<2x3xf32> {
  // expected-error @below {{cannot turn 'tensor<2x3xf32>' into 'tensor<2x3xf32>'}}
  %t = fdpp.transpose %x : tensor<2x3xf32> -> tensor<2x3xf32>
  return %t : tensor<2x3xf32>
}

// -----

func.func @f(%x: tensor<?x3xf32>) {
  // expected-error @below {{on tensors must have results}}
  fdpp.scale %x {factor = 2.0 : f64} : (tensor<?x3xf32>) -> ()
  return
}

// -----

func.func @f(%x: memref<?x3xf32>) -> tensor<?x3xf32> {
  // expected-error @below {{on memrefs has no results}}
  %y = fdpp.scale %x outs(%x) {factor = 2.0 : f64} : (memref<?x3xf32>, memref<?x3xf32>) -> tensor<?x3xf32>
  return %y : tensor<?x3xf32>
}

// -----

func.func @f(%p: tensor<?xi32>, %f: tensor<2xf32>) -> tensor<?x2xf32> {
  // expected-error @below {{needs 2 results, not 1}}
  %c = fdpp.rope_table %p, %f : (tensor<?xi32>, tensor<2xf32>) -> tensor<?x2xf32>
  return %c : tensor<?x2xf32>
}

// -----

func.func @f(%p: tensor<?xi32>, %f: tensor<2xf32>) -> tensor<?x3xf32> {
  // expected-error @below {{with 2 frequencies gives 'tensor<?x3xf32>'}}
  %c, %s = fdpp.rope_table %p, %f : (tensor<?xi32>, tensor<2xf32>) -> (tensor<?x3xf32>, tensor<?x2xf32>)
  return %c : tensor<?x3xf32>
}

// -----

func.func @f(%p: tensor<?xf32>, %f: tensor<2xf32>) -> tensor<?x2xf32> {
  // expected-error @below {{positions is 'tensor<?xf32>', expected integers}}
  %c, %s = fdpp.rope_table %p, %f : (tensor<?xf32>, tensor<2xf32>) -> (tensor<?x2xf32>, tensor<?x2xf32>)
  return %c : tensor<?x2xf32>
}

// -----

func.func @f(%t: tensor<?xi32>, %w: tensor<8x4xf32>) -> tensor<?x8xf32> {
  // expected-error @below {{of 'tensor<8x4xf32>' gives 'tensor<?x8xf32>'}}
  %x = fdpp.embed %t, %w : (tensor<?xi32>, tensor<8x4xf32>) -> tensor<?x8xf32>
  return %x : tensor<?x8xf32>
}

// -----

func.func @f(%x: tensor<?x8xf32>, %w: tensor<3x4xf32>) -> tensor<?x3xf32> {
  // expected-error @below {{input 'tensor<?x8xf32>' and weight 'tensor<3x4xf32>' do not share K}}
  %y = fdpp.linear %x, %w : (tensor<?x8xf32>, tensor<3x4xf32>) -> tensor<?x3xf32>
  return %y : tensor<?x3xf32>
}

// -----

func.func @f(%x: tensor<?x8xf32>, %w: tensor<3x8xf32>) -> tensor<?x4xf32> {
  // expected-error @below {{result is 'tensor<?x4xf32>', expected the rows of 'tensor<?x8xf32>' and 3 columns}}
  %y = fdpp.linear %x, %w : (tensor<?x8xf32>, tensor<3x8xf32>) -> tensor<?x4xf32>
  return %y : tensor<?x4xf32>
}

// -----

func.func @f(%x: tensor<?x8xf32>, %w: tensor<3x8xf32>, %b: tensor<4xf32>) -> tensor<?x3xf32> {
  // expected-error @below {{bias is 'tensor<4xf32>', expected 3 elements}}
  %y = fdpp.linear %x, %w bias(%b) : (tensor<?x8xf32>, tensor<3x8xf32>, tensor<4xf32>) -> tensor<?x3xf32>
  return %y : tensor<?x3xf32>
}

// -----

func.func @f(%x: tensor<?x8xf32>, %g: tensor<4xf32>) -> tensor<?x8xf32> {
  // expected-error @below {{gamma is 'tensor<4xf32>', expected 8 elements}}
  %y = fdpp.rms_norm %x, %g {eps = 1.0e-5 : f64} : (tensor<?x8xf32>, tensor<4xf32>) -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// -----

func.func @f(%x: tensor<?x8xf32>, %c: tensor<?x2xf32>) -> tensor<?x8xf32> {
  // expected-error @below {{heads of 3 do not divide 8 columns}}
  %y = fdpp.rope %x, %c, %c {head_dim = 3 : i64} : (tensor<?x8xf32>, tensor<?x2xf32>, tensor<?x2xf32>) -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// -----

func.func @f(%x: tensor<?x8xf32>, %c: tensor<?x4xf32>) -> tensor<?x8xf32> {
  // expected-error @below {{rotates 8 of 4 elements a head}}
  %y = fdpp.rope %x, %c, %c {head_dim = 4 : i64} : (tensor<?x8xf32>, tensor<?x4xf32>, tensor<?x4xf32>) -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// -----

func.func @f(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  // expected-error @below {{needs a cap above 0}}
  %y = fdpp.softcap %x {cap = 0.0 : f64} : (tensor<?x8xf32>) -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// -----

func.func @f(%q: tensor<?x?x8xf32>, %m: tensor<?x?xi64>) -> tensor<?x?x8xf32> {
  // expected-error @below {{has a padding operand exactly when its mask says so}}
  %a = fdpp.masked_attention %q, %q, %q padding(%m) {mask = #fdpp.mask<causal = true>, scale = 1.0 : f64, kv_heads = 2 : i64, head_dim = 4 : i64} : (tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x?xi64>) -> tensor<?x?x8xf32>
  return %a : tensor<?x?x8xf32>
}

// -----

func.func @f(%k: tensor<?x8xf32>, %s: tensor<?xi32>, %l: index, %c: tensor<1x?x2x1x16x4xf32>) -> tensor<1x?x2x1x16x4xf32> {
  // expected-error @below {{key or value is 'tensor<?x8xf32>', expected the rows of 'tensor<?x8xf32>' and 4 columns}}
  %r = fdpp.kv_append %k, %k, %s, %l outs(%c) : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?xi32>, index, tensor<1x?x2x1x16x4xf32>) -> tensor<1x?x2x1x16x4xf32>
  return %r : tensor<1x?x2x1x16x4xf32>
}

// -----

func.func @f(%q: tensor<?x8xf32>, %c: tensor<1x?x3x1x16x4xf32>, %l: index, %o: tensor<?xi32>, %p: tensor<?x?xi32>) -> tensor<?x8xf32> {
  // expected-error @below {{expected [L, pages, 2, Hkv, page_tokens, D]}}
  %a = fdpp.attention %q, %c, %l, %o, %o, %p {scale = 1.0 : f64} : (tensor<?x8xf32>, tensor<1x?x3x1x16x4xf32>, index, tensor<?xi32>, tensor<?xi32>, tensor<?x?xi32>) -> tensor<?x8xf32>
  return %a : tensor<?x8xf32>
}

// -----

// expected-error @below {{partner 'half' needs an even group that divides 8 columns, not 3}}
#s = #fdpp.segment<columns = 8, partner = half, group = 3, dest = 0>

// -----

// expected-error @below {{partner 'gate_up' needs an even number of columns, not 7}}
#s = #fdpp.segment<columns = 7, partner = gate_up, dest = 0>

// -----

func.func @f(%x: memref<?x8xf32>, %w: memref<16x8xf32>) {
  // expected-error @below {{segments cover 8 of 16 columns}}
  fdpp.fused_linear %x, %w outs(%x) segments [#fdpp.segment<columns = 8, dest = 0>] ({
  ^bb0(%value: f32, %partner: f32, %row: index, %column: index, %old: f32):
    fdpp.store %value : f32
  }) : (memref<?x8xf32>, memref<16x8xf32>, memref<?x8xf32>) -> ()
  return
}

// -----

func.func @f(%x: memref<?x8xf32>, %w: memref<8x8xf32>) {
  // expected-error @below {{epilogue 0 uses a partner its segment does not have}}
  fdpp.fused_linear %x, %w outs(%x) segments [#fdpp.segment<columns = 8, dest = 0>] ({
  ^bb0(%value: f32, %partner: f32, %row: index, %column: index, %old: f32):
    fdpp.store %partner : f32
  }) : (memref<?x8xf32>, memref<8x8xf32>, memref<?x8xf32>) -> ()
  return
}

// -----

func.func @f(%x: memref<?x8xf32>, %w: memref<8x8xf32>) {
  // expected-error @below {{epilogue 0 uses the old element but stores no single one}}
  fdpp.fused_linear %x, %w outs(%x) segments [#fdpp.segment<columns = 8, partner = half, group = 4, dest = 0>] ({
  ^bb0(%value: f32, %partner: f32, %row: index, %column: index, %old: f32):
    fdpp.store %old, %partner : f32, f32
  }) : (memref<?x8xf32>, memref<8x8xf32>, memref<?x8xf32>) -> ()
  return
}

// -----

func.func @f(%x: memref<?x8xf32>, %w: memref<8x8xf32>, %y: memref<?x8xf32>) {
  // expected-error @below {{captures a destination in an epilogue; use the region's old element}}
  fdpp.fused_linear %x, %w outs(%y) segments [#fdpp.segment<columns = 8, dest = 0>] ({
  ^bb0(%value: f32, %partner: f32, %row: index, %column: index, %old: f32):
    %v = memref.load %y[%row, %column] : memref<?x8xf32>
    fdpp.store %v : f32
  }) : (memref<?x8xf32>, memref<8x8xf32>, memref<?x8xf32>) -> ()
  return
}

// -----

func.func @f(%x: memref<?x8xf32>) {
  // expected-error @below {{has 1 segments and 0 epilogues}}
  fdpp.epilogue %x outs(%x) segments [#fdpp.segment<columns = 8, dest = 0>] () : (memref<?x8xf32>, memref<?x8xf32>) -> ()
  return
}

// -----

func.func @f(%x: memref<?x8xf32>) {
  // expected-error @below {{has no destination}}
  fdpp.epilogue %x outs() segments [#fdpp.segment<columns = 8, dest = 0>] ({
  ^bb0(%value: f32, %partner: f32, %row: index, %column: index, %old: f32):
    fdpp.store %value : f32
  }) : (memref<?x8xf32>) -> ()
  return
}

// -----

func.func @f(%x: memref<?x8xf32>, %y: memref<?x16xf32>) {
  // expected-error @below {{the sums must be f32 with 16 columns or more, not 'memref<?x8xf32>'}}
  fdpp.epilogue %x outs(%y) segments [#fdpp.segment<columns = 16, dest = 0>] ({
  ^bb0(%value: f32, %partner: f32, %row: index, %column: index, %old: f32):
    fdpp.store %value : f32
  }) : (memref<?x8xf32>, memref<?x16xf32>) -> ()
  return
}

// -----

func.func @f(%x: memref<?x8xf32>, %y: memref<?x16xf32>) {
  // expected-error @below {{the destination must be f32 with 8 columns, not 'memref<?x16xf32>'}}
  fdpp.prologue %x round bf16 outs(%y) : (memref<?x8xf32>, memref<?x16xf32>) -> ()
  return
}

// -----

func.func @f(%x: memref<?x8xf32>, %y: memref<?x8xf32>) {
  // expected-error @below {{rounds to a float type, not to 'i8'}}
  fdpp.prologue %x round i8 outs(%y) : (memref<?x8xf32>, memref<?x8xf32>) -> ()
  return
}

// -----

func.func @f(%x: memref<8xf32>, %y: memref<?x8xf32>) {
  // expected-error @below {{takes a matrix and has one destination}}
  fdpp.prologue %x round f16 outs(%y) : (memref<8xf32>, memref<?x8xf32>) -> ()
  return
}

// -----

func.func @f(%x: memref<?x8xf32>, %y: memref<?x8xf32>, %g: memref<8xf32>) {
  // expected-error @below {{has a gamma exactly when it has an eps}}
  fdpp.prologue %x norm(%g) round f16 outs(%y) : (memref<?x8xf32>, memref<8xf32>, memref<?x8xf32>) -> ()
  return
}

// -----

func.func @f(%x: memref<?x8xbf16>, %w: memref<16x8xbf16>, %y: memref<?x16xf32>) {
  // expected-error @below {{the input must be f32 with 8 columns, not 'memref<?x8xbf16>'}}
  fdpp.library_gemm %x, %w outs(%y) : (memref<?x8xbf16>, memref<16x8xbf16>, memref<?x16xf32>) -> ()
  return
}

// -----

func.func @f(%x: memref<?x8xf32>, %w: memref<16x8xbf16>, %y: memref<?x8xf32>) {
  // expected-error @below {{the destination must be f32 with 16 columns or more, not 'memref<?x8xf32>'}}
  fdpp.library_gemm %x, %w outs(%y) : (memref<?x8xf32>, memref<16x8xbf16>, memref<?x8xf32>) -> ()
  return
}

// -----

func.func @f(%x: memref<?x8xf32>, %w: memref<16xbf16>, %y: memref<?x16xf32>) {
  // expected-error @below {{takes a matrix of weights and has one destination}}
  fdpp.library_gemm %x, %w outs(%y) : (memref<?x8xf32>, memref<16xbf16>, memref<?x16xf32>) -> ()
  return
}

// -----

func.func @f(%m: index) {
  // expected-error @below {{has 2 limits and 1 regions}}
  fdpp.dispatch %m limits [1, 2] ({
    fdpp.yield
  })
  return
}

// -----

func.func @f(%m: index) {
  // expected-error @below {{limits must increase}}
  fdpp.dispatch %m limits [2, 1] ({
    fdpp.yield
  }, {
    fdpp.yield
  }, {
    fdpp.yield
  })
  return
}

// -----

func.func @f(%x: tensor<?x8xf32>, %g: tensor<8xf32>, %e: f64) -> tensor<?x8xf32> {
  // expected-error @below {{has eps both as attribute and of the layer}}
  %y = fdpp.rms_norm %x, %g eps(%e) {eps = 1.0e-5 : f64} : (tensor<?x8xf32>, tensor<8xf32>, f64) -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// -----

func.func @f(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  // expected-error @below {{needs factor}}
  %y = fdpp.scale %x : (tensor<?x8xf32>) -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// -----

func.func @f(%q: tensor<?x8xf32>, %cache: tensor<1x?x2x1x4x4xf32>, %l: index, %v: tensor<?xi32>, %p: tensor<?x?xi32>) -> tensor<?x8xf32> {
  // expected-error @below {{has a window both as attribute and of the layer}}
  %a = fdpp.attention %q, %cache, %l, %v, %v, %p window(%l) {scale = 0.5 : f64, window = 3 : i64}
      : (tensor<?x8xf32>, tensor<1x?x2x1x4x4xf32>, index, tensor<?xi32>, tensor<?xi32>, tensor<?x?xi32>, index) -> tensor<?x8xf32>
  return %a : tensor<?x8xf32>
}

// -----

func.func @f(%l: index) -> f64 {
  // expected-error @below {{has values of type 'tensor<2xf32>', expected a list of 'f64'}}
  %e = fdpp.layer_constant dense<[1.0, 2.0]> : tensor<2xf32> at %l : f64
  return %e : f64
}

// -----

func.func @f(%x: memref<?x8xf32>, %w: memref<8x8xf32>, %b: memref<8xf32>, %y: memref<?x8xf32>) {
  // expected-error @below {{has a beta but is not centered}}
  fdpp.fused_linear %x, %w norm(%b) beta(%b) outs(%y) segments [#fdpp.segment<columns = 8, dest = 0>] ({
  ^bb0(%value: f32, %partner: f32, %row: index, %column: index, %old: f32):
    fdpp.store %value : f32
  }) {eps = 1.0e-5 : f64} : (memref<?x8xf32>, memref<8x8xf32>, memref<8xf32>, memref<8xf32>, memref<?x8xf32>) -> ()
  return
}

// -----

func.func @f(%x: memref<?x8xf32>, %w: memref<8x8xf32>, %b: memref<4xf32>, %y: memref<?x8xf32>) {
  // expected-error @below {{norm of 8 columns with 'memref<4xf32>'}}
  fdpp.fused_linear %x, %w norm(%b) outs(%y) segments [#fdpp.segment<columns = 8, dest = 0>] ({
  ^bb0(%value: f32, %partner: f32, %row: index, %column: index, %old: f32):
    fdpp.store %value : f32
  }) {eps = 1.0e-5 : f64} : (memref<?x8xf32>, memref<8x8xf32>, memref<4xf32>, memref<?x8xf32>) -> ()
  return
}

// -----

func.func @f(%q: tensor<?x8xf32>, %c: tensor<3x?x2x1x16x4xf32>, %l: index, %o: tensor<?xi32>, %p: tensor<?x?xi32>, %phi: tensor<2x2xf32>) -> tensor<?x8xf32> {
  // expected-error @below {{phi is 'tensor<2x2xf32>', expected f32 of 3 layers and 2 query heads}}
  %a:2 = fdpp.async_softmax_decode_attention %q, %c, %l, %o, %o, %p, phi %phi {p_type = f32, scale = 1.0 : f64} : (tensor<?x8xf32>, tensor<3x?x2x1x16x4xf32>, index, tensor<?xi32>, tensor<?xi32>, tensor<?x?xi32>, tensor<2x2xf32>) -> (tensor<?x8xf32>, tensor<?x2xi32>)
  return %a#0 : tensor<?x8xf32>
}

// -----

func.func @f(%q: tensor<?x8xf32>, %c: tensor<2x?x2x1x16x4xf32>, %l: index, %o: tensor<?xi32>, %p: tensor<?x?xi32>, %phi: tensor<2x2xf32>) -> tensor<?x8xf32> {
  // expected-error @below {{rounds its weights to 'f64', expected f32, bf16 or f16}}
  %a:2 = fdpp.async_softmax_decode_attention %q, %c, %l, %o, %o, %p, phi %phi {p_type = f64, scale = 1.0 : f64} : (tensor<?x8xf32>, tensor<2x?x2x1x16x4xf32>, index, tensor<?xi32>, tensor<?xi32>, tensor<?x?xi32>, tensor<2x2xf32>) -> (tensor<?x8xf32>, tensor<?x2xi32>)
  return %a#0 : tensor<?x8xf32>
}

// -----

func.func @f(%q: tensor<?x8xf32>, %c: tensor<2x?x2x1x16x4xf32>, %l: index, %o: tensor<?xi32>, %p: tensor<?x?xi32>, %phi: tensor<2x2xf32>) -> tensor<?x8xf32> {
  // expected-error @below {{needs 2 results, not 1}}
  %a = fdpp.async_softmax_decode_attention %q, %c, %l, %o, %o, %p, phi %phi {p_type = f32, scale = 1.0 : f64} : (tensor<?x8xf32>, tensor<2x?x2x1x16x4xf32>, index, tensor<?xi32>, tensor<?xi32>, tensor<?x?xi32>, tensor<2x2xf32>) -> tensor<?x8xf32>
  return %a : tensor<?x8xf32>
}

// -----

func.func @f(%q: tensor<?x8xf32>, %c: tensor<2x?x2x1x16x4xf32>, %l: index, %o: tensor<?xi32>, %p: tensor<?x?xi32>, %i: tensor<?x3xi32>) -> tensor<?x8xf32> {
  // expected-error @below {{invalid rows is 'tensor<?x3xi32>', expected the rows of 'tensor<?x8xf32>' and 2 columns}}
  %a = fdpp.recompute_rows %q, %c, %l, %o, %o, %p, invalid %i outs(%q) {scale = 1.0 : f64} : (tensor<?x8xf32>, tensor<2x?x2x1x16x4xf32>, index, tensor<?xi32>, tensor<?xi32>, tensor<?x?xi32>, tensor<?x3xi32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  return %a : tensor<?x8xf32>
}

// -----

func.func @f(%q: tensor<?x8xf32>, %c: tensor<2x?x2x1x16x4xf32>, %l: index, %o: tensor<?xi32>, %p: tensor<?x?xi32>, %i: tensor<?x2xf32>) -> tensor<?x8xf32> {
  // expected-error @below {{invalid rows are 'tensor<?x2xf32>', expected i32 elements}}
  %a = fdpp.recompute_rows %q, %c, %l, %o, %o, %p, invalid %i outs(%q) {scale = 1.0 : f64} : (tensor<?x8xf32>, tensor<2x?x2x1x16x4xf32>, index, tensor<?xi32>, tensor<?xi32>, tensor<?x?xi32>, tensor<?x2xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  return %a : tensor<?x8xf32>
}

// -----

func.func @f(%q: tensor<?x8xf32>, %c: tensor<2x?x2x1x16x4xf32>, %l: index, %o: tensor<?xi32>, %p: tensor<?x?xi32>, %i: tensor<?x2xi32>) -> tensor<?x8xf32> {
  // expected-error @below {{has one destination, the rows to replace}}
  %a = fdpp.recompute_rows %q, %c, %l, %o, %o, %p, invalid %i {scale = 1.0 : f64} : (tensor<?x8xf32>, tensor<2x?x2x1x16x4xf32>, index, tensor<?xi32>, tensor<?xi32>, tensor<?x?xi32>, tensor<?x2xi32>) -> tensor<?x8xf32>
  return %a : tensor<?x8xf32>
}

// -----

// expected-error @below {{'fdpp.entry' is no string}}
func.func @f() attributes {fdpp.entry} {
  return
}

// -----

// expected-error @below {{argument 0: 'fdpp.role' is no string}}
func.func @f(%a: tensor<?xi32> {fdpp.role = 1 : i64}) {
  return
}

// -----

// expected-error @below {{argument 0: 'fdpp.max' is no number from 1 to 2^31 - 1}}
func.func @f(%a: tensor<?xi32> {fdpp.max = 9223372036854775807 : i64}) {
  return
}

// -----

// expected-error @below {{'fdpp.epilogues' is no list of strings}}
func.func @f() attributes {fdpp.epilogues = [1]} {
  return
}

// -----

// expected-error @below {{'fdpp.model' is no #fdpp.model}}
module attributes {fdpp.model = 1} {
}

// -----

// expected-error @below {{init region must yield one 'tensor<3xf32>'}}
fdpp.weight @w init {
^bb0(%layer: index):
} : tensor<3xf32>
