// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What the definitions of the dialect's operations share. Shapes in the texts:
// T tokens, S sequences, P pages a sequence, R rows of logits, H hidden size, D
// head size.
//
// Scalars of the model (eps, scale, window, ...) are attributes. In a loop over
// layers that differ in one, an operand `X_of_layer` stands in the attribute's
// place; fdpp.layer_constant gives it.

#ifndef FDPP_DIALECT_FDPP_IR_FDPPOPBASE_TD
#define FDPP_DIALECT_FDPP_IR_FDPPOPBASE_TD

include "fdpp/Dialect/FDPP/IR/FDPPBase.td"
include "fdpp/Dialect/FDPP/IR/FDPPInterfaces.td"
include "mlir/IR/OpAsmInterface.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/Interfaces/ControlFlowInterfaces.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def FDPP_Shaped : AnyTypeOf<[AnyRankedTensor, AnyStridedMemRef],
                            "ranked tensor or memref">;

class FDPP_Op<string mnemonic, list<Trait> traits = []>
    : Op<FDPP_Dialect, mnemonic, traits>;

// A computation in one of the three forms: pure, destination style, planned.
// `arguments` of a subclass end with `Variadic<FDPP_Shaped>:$outs`. Upstream's
// DestinationStyleOpInterface does not fit: it knows no pure form.
class FDPP_ComputeOp<string mnemonic, list<Trait> traits = []>
    : FDPP_Op<mnemonic, !listconcat(traits, [
        DeclareOpInterfaceMethods<MemoryEffectsOpInterface>,
        DeclareOpInterfaceMethods<ReifyRankedShapedTypeOpInterface,
                                 ["reifyResultShapes"]>])> {
  let results = (outs Variadic<AnyRankedTensor>:$outputs);
  let hasVerifier = 1;
}

#endif // FDPP_DIALECT_FDPP_IR_FDPPOPBASE_TD
