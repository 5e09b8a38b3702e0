// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- ElementTypes.cpp - ONNX element types and IR types -----------------===//
#include "fdpp/Dialect/ONNX/IR/ONNXDialect.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinTypes.h"

using namespace mlir;

namespace mlir::fdpp::onnx {
namespace {

template <typename T> Type get(MLIRContext *context) { return T::get(context); }

template <unsigned width, IntegerType::SignednessSemantics signedness>
Type getInt(MLIRContext *context) {
  return IntegerType::get(context, width, signedness);
}

constexpr auto kSignless = IntegerType::Signless;
constexpr auto kUnsigned = IntegerType::Unsigned;

/// One row per TensorProto.DataType that the IR has a type for.
struct Row {
  int64_t number;
  llvm::StringLiteral name;
  Type (*type)(MLIRContext *);
};

constexpr Row kRows[] = {
    {1, "float", get<Float32Type>},
    {2, "uint8", getInt<8, kUnsigned>},
    {3, "int8", getInt<8, kSignless>},
    {4, "uint16", getInt<16, kUnsigned>},
    {5, "int16", getInt<16, kSignless>},
    {6, "int32", getInt<32, kSignless>},
    {7, "int64", getInt<64, kSignless>},
    {9, "bool", getInt<1, kSignless>},
    {10, "float16", get<Float16Type>},
    {11, "double", get<Float64Type>},
    {12, "uint32", getInt<32, kUnsigned>},
    {13, "uint64", getInt<64, kUnsigned>},
    {16, "bfloat16", get<BFloat16Type>},
    {17, "float8e4m3fn", get<Float8E4M3FNType>},
    {18, "float8e4m3fnuz", get<Float8E4M3FNUZType>},
    {19, "float8e5m2", get<Float8E5M2Type>},
    {20, "float8e5m2fnuz", get<Float8E5M2FNUZType>},
    {21, "uint4", getInt<4, kUnsigned>},
    {22, "int4", getInt<4, kSignless>},
    {23, "float4e2m1", get<Float4E2M1FNType>},
    {24, "float8e8m0", get<Float8E8M0FNUType>},
    {25, "uint2", getInt<2, kUnsigned>},
    {26, "int2", getInt<2, kSignless>},
};

} // namespace

Type elementTypeOf(MLIRContext *context, int64_t onnxType) {
  for (const Row &row : kRows)
    if (row.number == onnxType)
      return row.type(context);
  return {};
}

int64_t onnxTypeOf(Type elementType) {
  for (const Row &row : kRows)
    if (row.type(elementType.getContext()) == elementType)
      return row.number;
  return 0;
}

llvm::StringRef elementTypeName(int64_t onnxType) {
  for (const Row &row : kRows)
    if (row.number == onnxType)
      return row.name;
  switch (onnxType) {
  case 8:
    return "string";
  case 14:
    return "complex64";
  case 15:
    return "complex128";
  default:
    return "unknown";
  }
}

Type elementTypeCalled(MLIRContext *context, llvm::StringRef name) {
  for (const Row &row : kRows)
    if (row.name == name)
      return row.type(context);
  return {};
}

} // namespace mlir::fdpp::onnx
