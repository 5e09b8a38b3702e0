// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Small pieces of C-family text: literals, element types, expressions with no
// more parentheses than they need, calls and comments within 80 columns.

#ifndef FDPP_TARGET_COMMON_TEXT_H
#define FDPP_TARGET_COMMON_TEXT_H

#include "mlir/IR/Operation.h"
#include "mlir/IR/Types.h"
#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/Support/raw_ostream.h"

#include <string>
#include <vector>

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

/// `index * stride`, in 64 bits where the product of ints could overflow.
Expr scaled(const Expr &index, int64_t stride);

/// float, bf16, f16 or int32_t.
llvm::StringRef elementType(mlir::Type type);

/// The expression of an integer or float arithmetic operation, constants
/// included, or nothing if the op is none. `operand` gives the operands' text.
std::optional<Expr> arithmetic(mlir::Operation *op,
                               llvm::function_ref<Expr(mlir::Value)> operand);

//===----------------------------------------------------------------------===//
// Lines.
//===----------------------------------------------------------------------===//

/// Columns of a line of emitted text.
inline constexpr unsigned kTextWidth = 80;

/// `head(argument, ...)tail` on one line if it fits, else with the arguments on
/// lines of their own, as many on each as fit.
void printCall(llvm::raw_ostream &os, unsigned indent, llvm::StringRef head,
               llvm::ArrayRef<std::string> arguments,
               llvm::StringRef tail = ";", llvm::StringRef brackets = "()");

/// `// text`, broken between words.
void printComment(llvm::raw_ostream &os, unsigned indent, llvm::StringRef text,
                  llvm::StringRef mark = "// ");

/// Lines with comments behind them, which begin in one column.
class CommentedLines {
public:
  explicit CommentedLines(unsigned indent) : indent(indent) {}
  void add(const std::string &text, const std::string &comment) {
    lines.push_back({text, comment});
  }
  bool empty() const { return lines.empty(); }
  void print(llvm::raw_ostream &os) const;

private:
  unsigned indent;
  std::vector<std::pair<std::string, std::string>> lines;
};

} // namespace fdpp

#endif // FDPP_TARGET_COMMON_TEXT_H
