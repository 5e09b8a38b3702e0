// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- Passes.td - From the graph as written to fdpp -------*- tablegen -*-===//
#ifndef FDPP_DIALECT_ONNX_TRANSFORMS_PASSES_TD
#define FDPP_DIALECT_ONNX_TRANSFORMS_PASSES_TD

include "mlir/Pass/PassBase.td"

def ONNXInlineFunctions
    : Pass<"onnx-inline-functions", "::mlir::ModuleOp"> {
  let summary = "Inline the model's local functions";
  let description = [{
    Replaces every call of a private function by its body and erases the
    functions. Locations become call sites, so that messages name both nodes.

    ```mlir
    %y = call @local.silu(%x) : (tensor<2xf32>) -> tensor<2xf32>
    // becomes
    %y = onnx.Swish(%x) : (tensor<2xf32>) -> tensor<2xf32>
    ```
  }];
}

def ONNXWidenFloats : Pass<"onnx-widen-floats", "::mlir::func::FuncOp"> {
  let summary = "Let narrow floats stand for numbers";
  let description = [{
    In a graph of narrow parameters or inputs, gives every value of a narrow
    float type, arguments and results of @main too, the type f32: that a graph rounds between two operators is how it was
    run, not what the model means, and the engine's own type decides how values
    are stored. Weights stay as they are stored and are cast behind.

    ```mlir
    %y = onnx.Sigmoid(%x) : (tensor<?xf16>) -> tensor<?xf16>
    // becomes
    %y = onnx.Sigmoid(%x) : (tensor<?xf32>) -> tensor<?xf32>
    ```
  }];
}

def ONNXFoldConstants
    : Pass<"onnx-fold-constants", "::mlir::func::FuncOp"> {
  let summary = "Evaluate ops on constants, drop ops without effect";
  let description = [{
    Replaces ops whose operands are all constants by their value, if it takes at
    most `max-bytes`, and Shape of a static shape by a constant. Identity, and
    casts and reshapes to the type a value already has, vanish, also as casts to
    a wider type and back, or as transposes that undo each other. Types learn
    what constants tell about shapes. Ops without users are erased.

    ```mlir
    %a = onnx.Constant dense<2> : tensor<i64>
    %b = onnx.Add(%a, %a) : (tensor<i64>, tensor<i64>) -> tensor<i64>
    // becomes
    %b = onnx.Constant dense<4> : tensor<i64>
    ```
  }];
  let options = [Option<"maxBytes", "max-bytes", "int64_t", "1024",
                        "Largest constant to make">];
}

def ONNXLiftShapes : Pass<"onnx-lift-shapes", "::mlir::func::FuncOp"> {
  let summary = "Say what shape arithmetic computes";
  let description = [{
    Finds small integer tensors whose elements are functions of the input
    extents and replaces each by one `onnx.extents`. Extents that the model gives
    the same name count as equal.

    ```mlir
    %0 = onnx.Shape(%past) {end = 3 : i64, start = 2 : i64} : (tensor<?x4x?x8xf32>) -> tensor<1xi64>
    %p = onnx.Squeeze(%0, _) : (tensor<1xi64>) -> tensor<i64>
    %t = onnx.Add(%p, %s) : (tensor<i64>, tensor<i64>) -> tensor<i64>
    // becomes
    %t = onnx.extents(%past, %ids) dims [2, 1] map affine_map<()[s0, s1] -> (s0 + s1)>
        : (tensor<?x4x?x8xf32>, tensor<?x?xi64>) -> tensor<i64>
    ```
  }];
  let dependentDialects = ["::mlir::fdpp::onnx::ONNXDialect"];
}

def ONNXCompose : Pass<"onnx-compose", "::mlir::func::FuncOp"> {
  let summary = "Find the operators that a graph was decomposed from";
  let description = [{
    Replaces what older opsets write for RMSNormalization, RotaryEmbedding and
    Attention by these operators on [batch, sequence, width] tensors, and takes
    away movements that end where they began. Which element an operand gives is
    read through whatever moves elements, so that splitting heads, repeating
    keys and slicing halves may be written in any way. Rotary tables are read as
    a magnitude, positions and frequencies; positions that the graph counts
    itself become `fdpp.slot_positions`.

    ```mlir
    %0 = onnx.Mul(%x, %x) : (tensor<?x4xf32>, tensor<?x4xf32>) -> tensor<?x4xf32>
    %1 = onnx.ReduceMean(%0, %last) : (tensor<?x4xf32>, tensor<1xi64>) -> tensor<?x1xf32>
    %2 = onnx.Add(%1, %eps) : (tensor<?x1xf32>, tensor<f32>) -> tensor<?x1xf32>
    %3 = onnx.Sqrt(%2) : (tensor<?x1xf32>) -> tensor<?x1xf32>
    %4 = onnx.Div(%x, %3) : (tensor<?x4xf32>, tensor<?x1xf32>) -> tensor<?x4xf32>
    %y = onnx.Mul(%4, %gamma) : (tensor<?x4xf32>, tensor<4xf32>) -> tensor<?x4xf32>
    // becomes
    %y = onnx.RMSNormalization(%x, %gamma) {axis = -1 : i64, epsilon = 1.0e-5 : f32}
        : (tensor<?x4xf32>, tensor<4xf32>) -> tensor<?x4xf32>
    ```
  }];
  let dependentDialects = ["::mlir::fdpp::onnx::ONNXDialect",
                           "::mlir::fdpp::FDPPDialect"];
}

def ONNXLiftMasks : Pass<"onnx-lift-masks", "::mlir::func::FuncOp"> {
  let summary = "Say what attention masks mean";
  let description = [{
    Reads the subgraph behind each attention mask as a predicate of (batch,
    head, query, key) and replaces it by one `onnx.mask`: causal, a window and
    padding, or some of the three. A mask that means something else is an error
    that shows the predicate.

    ```mlir
    %m = onnx.And(%causal, %padding) : (tensor<?x?xi1>, tensor<?x1x1x?xi1>) -> tensor<?x1x?x?xi1>
    // becomes
    %m = onnx.mask(%queries, %past) padding(%attention_mask) <causal = true, padding = true>
        : (tensor<i64>, tensor<i64>, tensor<?x?xi64>) -> tensor<?x1x?x?xi1>
    ```
  }];
  let dependentDialects = ["::mlir::fdpp::onnx::ONNXDialect",
                           "::mlir::fdpp::FDPPDialect"];
}

def ONNXRecognise : Pass<"onnx-recognise", "::mlir::ModuleOp"> {
  let summary = "Recognise a model's arithmetic by its dataflow";
  let description = [{
    Turns norms, linears, rotary embedding, attention, gated units, the embedding
    and residual sums into fdpp ops; values keep their leading dimensions and
    @main its signature. Constants that are parameters become weights. Names are
    never looked at. What does not match is one error that lists every op left,
    with its node.

    ```mlir
    %t = onnx.Transpose(%w) {perm = array<i64: 1, 0>} : (tensor<8x4xf32>) -> tensor<4x8xf32>
    %y = onnx.MatMul(%x, %t) : (tensor<?x?x4xf32>, tensor<4x8xf32>) -> tensor<?x?x8xf32>
    // becomes
    %y = fdpp.linear %x, %w : (tensor<?x?x4xf32>, tensor<8x4xf32>) -> tensor<?x?x8xf32>
    ```
  }];
  let dependentDialects = ["::mlir::fdpp::FDPPDialect"];
}

#endif // FDPP_DIALECT_ONNX_TRANSFORMS_PASSES_TD
