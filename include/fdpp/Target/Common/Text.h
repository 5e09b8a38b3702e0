// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Small pieces of C-family text: literals, element types and expressions with
// no more parentheses than they need.

#ifndef FDPP_TARGET_COMMON_TEXT_H
#define FDPP_TARGET_COMMON_TEXT_H

#include "mlir/IR/Operation.h"
#include "mlir/IR/Types.h"
#include "llvm/ADT/STLFunctionalExtras.h"

#include <string>

namespace fdpp {

/// How tightly an expression's outermost operator binds; smaller is tighter.
enum class Precedence { Primary, Unary, Product, Sum };

struct Expr {
  std::string text;
  Precedence precedence = Precedence::Primary;

  /// The text as an operand of an operator that binds like `outer`.
  std::string in(Precedence outer) const {
    return precedence <= outer ? text : "(" + text + ")";
  }
};

/// `lhs op rhs`; the right operand of - / % needs tighter binding. Leaves out
/// additions of 0 and products by 1.
Expr binary(const Expr &lhs, llvm::StringRef op, const Expr &rhs);

/// The shortest literal that reads back as `value` rounded to f32: 1e-05f.
std::string floatLiteral(double value);

/// float, bf16, f16 or int32_t.
llvm::StringRef elementType(mlir::Type type);

/// The expression of an integer or float arithmetic operation, constants
/// included, or nothing if the op is none. `operand` gives the operands' text.
std::optional<Expr> arithmetic(mlir::Operation *op,
                               llvm::function_ref<Expr(mlir::Value)> operand);

} // namespace fdpp

#endif // FDPP_TARGET_COMMON_TEXT_H
