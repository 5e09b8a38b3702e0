// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "fdpp/Target/Common/Text.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/BuiltinTypes.h"
#include "llvm/ADT/StringExtras.h"
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
  // C++ needs no second digit of an exponent.
  for (StringRef zero : {"e-0", "e+0"})
    if (size_t at = text.find(zero); at != std::string::npos)
      text.erase(at + 2, 1);
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
      // Registers hold f32, indices are ints and the model's scalars are
      // printed as floats: these change nothing.
      .Case<arith::IndexCastOp, arith::ExtFOp, arith::TruncFOp>(
          [&](Operation *cast) { return operand(cast->getOperand(0)); })
      .Default([](Operation *) { return std::nullopt; });
}

Expr fdpp::scaled(const Expr &index, int64_t stride) {
  // Rows are tokens or layers: fewer than 2^15 times 2^16 is an int.
  bool isLong = stride >= 1 << 16;
  return binary(index, "*", Expr{std::to_string(stride) + (isLong ? "L" : "")});
}

//===----------------------------------------------------------------------===//
// Lines.
//===----------------------------------------------------------------------===//

void fdpp::printCall(raw_ostream &os, unsigned indent, StringRef head,
                     ArrayRef<std::string> arguments, StringRef tail,
                     StringRef brackets) {
  std::string close = (brackets.drop_front() + tail).str();
  std::string all = llvm::join(arguments, ", ");
  os.indent(indent) << head << brackets.front();
  if (indent + head.size() + 1 + all.size() + close.size() <= kTextWidth) {
    os << all << close << "\n";
    return;
  }
  unsigned column = kTextWidth;
  for (auto [i, argument] : llvm::enumerate(arguments)) {
    std::string text = argument;
    text += i + 1 < arguments.size() ? "," : close;
    if (column + 1 + text.size() > kTextWidth) {
      os << "\n";
      os.indent(indent + 4);
      column = indent + 4;
    } else {
      os << " ";
      ++column;
    }
    os << text;
    column += text.size();
  }
  os << "\n";
}

void fdpp::printComment(raw_ostream &os, unsigned indent, StringRef text,
                        StringRef mark) {
  unsigned column = kTextWidth;
  SmallVector<StringRef> words;
  text.split(words, ' ');
  for (auto [i, word] : llvm::enumerate(words)) {
    if (column + 1 + word.size() > kTextWidth) {
      if (i)
        os << "\n";
      os.indent(indent) << mark;
      column = indent + mark.size();
    } else {
      os << " ";
      ++column;
    }
    os << word;
    column += word.size();
  }
  os << "\n";
}

void fdpp::CommentedLines::print(raw_ostream &os) const {
  size_t width = 0;
  for (const auto &[text, comment] : lines)
    width = std::max(width, text.size());
  for (const auto &[text, comment] : lines) {
    os.indent(indent) << text;
    if (!comment.empty())
      os.indent(width - text.size()) << " // " << comment;
    os << "\n";
  }
}
