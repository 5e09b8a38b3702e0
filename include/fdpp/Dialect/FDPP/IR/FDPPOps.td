// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Operations of the fdpp dialect.

#ifndef FDPP_DIALECT_FDPP_IR_FDPPOPS_TD
#define FDPP_DIALECT_FDPP_IR_FDPPOPS_TD

include "fdpp/Dialect/FDPP/IR/FDPPAttentionOps.td"
include "fdpp/Dialect/FDPP/IR/FDPPFusedOps.td"
include "fdpp/Dialect/FDPP/IR/FDPPModelOps.td"
include "fdpp/Dialect/FDPP/IR/FDPPWeightOps.td"

#endif // FDPP_DIALECT_FDPP_IR_FDPPOPS_TD
