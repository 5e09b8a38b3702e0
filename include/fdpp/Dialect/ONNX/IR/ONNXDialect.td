// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- ONNXDialect.td - The onnx dialect -------------------*- tablegen -*-===//
//
// The dialect, its interface and base class. Operators are generated into
// ONNXOps.td.inc; the two that are not operators stand in ONNXCoreOps.td.
//
//===----------------------------------------------------------------------===//
#ifndef FDPP_DIALECT_ONNX_IR_ONNXDIALECT_TD
#define FDPP_DIALECT_ONNX_IR_ONNXDIALECT_TD

include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/OpBase.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def ONNX_Dialect : Dialect {
  let name = "onnx";
  let cppNamespace = "::mlir::fdpp::onnx";
  let summary = "ONNX operators as a model file holds them";
  let description = [{
    One op per ONNX operator that Llama exports use, at its newest version up
    to opset 24, generated from the operator schemas. The importer upgrades
    older versions, so every op has one meaning. Operators outside the set
    become `onnx.unsupported`, which no later phase accepts.

    Every op prints in one form: inputs in schema order with `_` for an omitted
    one, attributes, then the types.

    ```mlir
    %y, %k, %v = onnx.Attention(%q, %k0, %v0, _, %pk, %pv) {is_causal = 1 : i64}
        : (tensor<1x4x?x8xf32>, ...) -> (tensor<1x4x?x8xf32>, ...)
    ```
  }];
  let dependentDialects = ["::mlir::fdpp::FDPPDialect"];
  let useDefaultTypePrinterParser = 1;
  let hasConstantMaterializer = 1;
}

def ONNX_UnknownType : TypeDef<ONNX_Dialect, "Unknown"> {
  let mnemonic = "unknown";
  let summary = "element type of a value whose type the model does not tell";
  let description = [{
    Stands as the element type of results of `onnx.unsupported` for which the
    file has no type.
  }];
}

def ONNX_I2 : I<2>;
def ONNX_I4 : I<4>;
def ONNX_UI2 : UI<2>;
def ONNX_UI4 : UI<4>;
def ONNX_F4E2M1FN
    : Type<CPred<"::llvm::isa<::mlir::Float4E2M1FNType>($_self)">,
           "f4E2M1FN type">;

def ONNX_IntAttr : TypedSignlessIntegerAttrBase<I64, "int64_t",
                                                "64-bit integer attribute">;
def ONNX_FloatAttr : FloatAttrBase<F32, "32-bit float attribute"> {
  let returnType = "float";
  let convertFromStorage = "$_self.getValue().convertToFloat()";
  let constBuilderCall = "$_builder.getF32FloatAttr($0)";
}

def ONNX_OperatorInterface : OpInterface<"Operator"> {
  let cppNamespace = "::mlir::fdpp::onnx";
  let description = [{
    What all generated ops share: their schema, and their inputs and outputs by
    position in it.
  }];
  let methods = [
    StaticInterfaceMethod<"The operator's schema.",
                          "const ::mlir::fdpp::onnx::OpSchema &", "getSchema">,
    InterfaceMethod<"The operands of input `i`: none if omitted.",
                    "::mlir::OperandRange", "inputGroup", (ins "unsigned":$i)>,
    InterfaceMethod<"The results of output `i`: none if omitted.",
                    "::mlir::ResultRange", "outputGroup", (ins "unsigned":$i)>,
  ];
  let extraSharedClassDeclaration = [{
    /// The only value of input or output `i`, null if it is omitted or the
    /// schema has none.
    ::mlir::Value inputAt(unsigned i) {
      if (i >= $_op.getSchema().inputs.size())
        return {};
      auto group = $_op.inputGroup(i);
      return group.empty() ? ::mlir::Value() : group.front();
    }
    ::mlir::Value outputAt(unsigned i) {
      if (i >= $_op.getSchema().outputs.size())
        return {};
      auto group = $_op.outputGroup(i);
      return group.empty() ? ::mlir::Value() : group.front();
    }
  }];
}

class ONNX_Op<string mnemonic, list<Trait> traits = []>
    : Op<ONNX_Dialect, mnemonic,
         !listconcat([Pure, ONNX_OperatorInterface], traits)> {
  let skipDefaultBuilders = 1;
  let hasCustomAssemblyFormat = 1;
  let hasVerifier = 1;
  let builders = [OpBuilder<(ins "::mlir::TypeRange":$types,
      "::mlir::ValueRange":$operands,
      "::llvm::ArrayRef<::mlir::NamedAttribute>":$attributes), [{
    $_state.addTypes(types);
    $_state.addOperands(operands);
    $_state.addAttributes(attributes);
  }]>];
  let extraClassDeclaration = [{
    static const OpSchema &getSchema();
    ::mlir::OperandRange inputGroup(unsigned i) { return getODSOperands(i); }
    ::mlir::ResultRange outputGroup(unsigned i) { return getODSResults(i); }
  }];
  let extraClassDefinition = [{
    const OpSchema &$cppClass::getSchema() {
      static const OpSchema &schema = schemaCalled(getOperationName());
      return schema;
    }
    ::mlir::ParseResult $cppClass::parse(::mlir::OpAsmParser &parser,
                                         ::mlir::OperationState &state) {
      return detail::parseOperator(parser, state, getSchema());
    }
    void $cppClass::print(::mlir::OpAsmPrinter &printer) {
      detail::printOperator(printer, *this);
    }
    ::llvm::LogicalResult $cppClass::verify() {
      return detail::verifyOperator(*this);
    }
  }];
}

#endif // FDPP_DIALECT_ONNX_IR_ONNXDIALECT_TD
