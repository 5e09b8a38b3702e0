// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "fdpp/Target/Common/Text.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/BuiltinTypes.h"
#include "llvm/ADT/TypeSwitch.h"

#include <charconv>

using namespace mlir;
using fdpp::Expr;
using fdpp::Precedence;

Expr fdpp::binary(const Expr &lhs, StringRef op, const Expr &rhs) {
  bool product = op == "*" || op == "/" || op == "%";
  if (op == "+" && lhs.text == "0")
    return rhs;
  if ((op == "+" || op == "-") && rhs.text == "0")
    return lhs;
  if (op == "*" && lhs.text == "1")
    return rhs;
  if ((op == "*" || op == "/") && rhs.text == "1")
    return lhs;
  Precedence level = product ? Precedence::Product : Precedence::Sum;
  bool associative = op == "+";
  Precedence right = associative ? level
                     : product   ? Precedence::Unary
                                 : Precedence::Product;
  return {lhs.in(level) + " " + op.str() + " " + rhs.in(right), level};
}

std::string fdpp::floatLiteral(double value) {
  char buffer[64];
  auto end =
      std::to_chars(buffer, buffer + sizeof buffer, static_cast<float>(value));
  std::string text(buffer, end.ptr);
  if (text.find_first_of(".en") == std::string::npos)
    text += ".0";
  return text + "f";
}

StringRef fdpp::elementType(Type type) {
  if (type.isBF16())
    return "bf16";
  if (type.isF16())
    return "f16";
  if (type.isF32())
    return "float";
  return "int32_t";
}

static Expr constant(arith::ConstantOp op) {
  if (auto integer = dyn_cast<IntegerAttr>(op.getValue())) {
    std::string text = std::to_string(integer.getInt());
    return {text,
            integer.getInt() < 0 ? Precedence::Unary : Precedence::Primary};
  }
  double value = cast<FloatAttr>(op.getValue()).getValueAsDouble();
  return {fdpp::floatLiteral(value),
          value < 0 ? Precedence::Unary : Precedence::Primary};
}

std::optional<Expr> fdpp::arithmetic(Operation *op,
                                     llvm::function_ref<Expr(Value)> operand) {
  auto two = [&](StringRef symbol) {
    return binary(operand(op->getOperand(0)), symbol,
                  operand(op->getOperand(1)));
  };
  return llvm::TypeSwitch<Operation *, std::optional<Expr>>(op)
      .Case([](arith::ConstantOp c) { return constant(c); })
      .Case<arith::AddIOp, arith::AddFOp>([&](auto) { return two("+"); })
      .Case<arith::SubIOp, arith::SubFOp>([&](auto) { return two("-"); })
      .Case<arith::MulIOp, arith::MulFOp>([&](auto) { return two("*"); })
      .Case<arith::DivUIOp, arith::DivFOp>([&](auto) { return two("/"); })
      .Case([&](arith::RemUIOp) { return two("%"); })
      .Case([&](arith::NegFOp neg) {
        return Expr{"-" + operand(neg.getOperand()).in(Precedence::Unary),
                    Precedence::Unary};
      })
      // Registers hold f32 and indices are ints: these change nothing.
      .Case<arith::IndexCastOp, arith::ExtFOp>(
          [&](Operation *cast) { return operand(cast->getOperand(0)); })
      .Default([](Operation *) { return std::nullopt; });
}
