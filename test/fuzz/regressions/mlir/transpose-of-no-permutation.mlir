

func.func @transposes(%x: tensor<?x3x4xf32>) -> (tensor<?x3x4xf32>, tensor<?x4x3xf32>) {
  %0 = onnx.Transpose(%x) {perm = array<i64: 1, 2, 0>} : (tensor<?x3x4xf32>) -> tensor<3x4x?xf32>
  %1 = onnx.Transpose(%0) {perm = array<i64: 2, 0, 7>} : (tensor<3x4x?xf32>) -> tensor<?x3x4xf32>
  %2 = onnx.Transpose(%0) : (tensor<3x4x?xf32>) -> tensor<?x4x3xf32>
  return %1, %2 : tensor<?x3x4xf32>, tensor<?x4x3xf32>
}

