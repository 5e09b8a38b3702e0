

fdpp.weight @w [#fdpp.seeded<1>] layout <panel = 0x7FC00000, interleave = 1> : tensor<8x16xf32>
func.func @step(%x:memref<?x16xf32>, %y: memref<?x8xf32>) attributes {fdpp.entry = "step"} {
  %w = fdpp.weight_at @w : memref<8x16xf32>
  fdpp.library_gemm %x, %w outs(%y) : (memref<?x16xf32>, memref<8x16xf32>, memref<?x8xf32>) -> ()
  return
}

