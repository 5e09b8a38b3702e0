// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- Elementwise.cpp - Rules of elementwise onnx ops --------------------===//
#include "Rules.h"

#include <cmath>
#include <numbers>

namespace mlir::fdpp::onnx::detail {

//===----------------------------------------------------------------------===//
// One operand
//===----------------------------------------------------------------------===//

template <double (*function)(double)>
static LogicalResult unary(Evaluation &e) {
  Tensor result = e.in(0);
  if (result.isFloat()) {
    for (double &x : result.f())
      x = function(x);
  } else {
    for (int64_t &x : result.i())
      x = static_cast<int64_t>(function(static_cast<double>(x)));
  }
  return e.give(std::move(result));
}

/// To a boolean tensor.
template <bool (*function)(double)> static LogicalResult test(Evaluation &e) {
  const Tensor &x = e.in(0);
  Tensor result(TensorKind::Bool, x.shape());
  auto out = result.i();
  for (int64_t n = 0; n < x.size(); ++n)
    out[n] = function(x.asDouble(n));
  return e.give(std::move(result));
}

static double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
static double softplus(double x) {
  return x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x));
}
static double sign(double x) { return x > 0 ? 1 : x < 0 ? -1 : x; }
static double relu(double x) { return x > 0 ? x : x * 0; }
static double gelu(double x) {
  return 0.5 * x * (1 + std::erf(x / std::numbers::sqrt2));
}
static double geluTanh(double x) {
  double inner = std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x);
  return 0.5 * x * (1 + std::tanh(inner));
}

static LogicalResult negate(Evaluation &e) {
  Tensor result = e.in(0);
  if (result.isFloat())
    for (double &x : result.f())
      x = -x;
  else
    for (int64_t &x : result.i())
      x = static_cast<int64_t>(-static_cast<uint64_t>(x));
  return e.give(std::move(result));
}

static LogicalResult isInf(Evaluation &e) {
  const Tensor &x = e.in(0);
  bool negative = e.attr("detect_negative", int64_t(1));
  bool positive = e.attr("detect_positive", int64_t(1));
  Tensor result(TensorKind::Bool, x.shape());
  auto out = result.i();
  for (int64_t n = 0; n < x.size(); ++n)
    out[n] =
        std::isinf(x.asDouble(n)) && (x.asDouble(n) > 0 ? positive : negative);
  return e.give(std::move(result));
}

/// x sigmoid(alpha x).
static LogicalResult swish(Evaluation &e) {
  double alpha =
      e.attr("alpha", e.op.getSchema().name == "Swish" ? 1.0 : 1.702f);
  Tensor result = e.in(0);
  for (double &x : result.f())
    x *= sigmoid(alpha * x);
  return e.give(std::move(result));
}

static LogicalResult geluRule(Evaluation &e) {
  auto form = e.op->getAttrOfType<StringAttr>("approximate");
  return form && form.getValue() == "tanh" ? unary<geluTanh>(e)
                                           : unary<gelu>(e);
}

/// Kinds convert when the result is typed; the value is the same.
static LogicalResult same(Evaluation &e) { return e.give(e.in(0)); }

/// A cast to bool asks whether elements are not zero, one from float to int
/// truncates; converted() does both.
static LogicalResult cast(Evaluation &e) {
  Type to = llvm::cast<TensorType>(e.op.outputAt(0).getType()).getElementType();
  std::optional<TensorKind> kind = kindOf(to);
  return kind ? e.give(e.in(0).converted(*kind)) : e.fail("has no such cast");
}

//===----------------------------------------------------------------------===//
// Two operands
//===----------------------------------------------------------------------===//

/// Calls `apply(n, a, b)` for each element of the broadcast shape with the
/// indices into both operands.
template <typename Apply>
static FailureOr<Dims> forBroadcast(Evaluation &e, const Tensor &a,
                                    const Tensor &b, Apply prepare) {
  Dims shape;
  if (!broadcastShapes(a.shape(), b.shape(), shape))
    return e.fail("operand shapes do not broadcast");
  auto ia = broadcastIndices(a.shape(), shape);
  auto ib = broadcastIndices(b.shape(), shape);
  prepare(shape, ia, ib);
  return shape;
}

template <typename FloatOp, typename IntOp>
static FailureOr<Tensor> combine(Evaluation &e, const Tensor &a,
                                 const Tensor &b, FloatOp floatOp,
                                 IntOp intOp) {
  Tensor result;
  auto shape =
      forBroadcast(e, a, b, [&](ArrayRef<int64_t> shape, auto &ia, auto &ib) {
        result = Tensor(a.kind(), shape);
        if (a.isFloat()) {
          auto out = result.f();
          for (size_t n = 0; n < out.size(); ++n)
            out[n] = floatOp(a.f()[ia[n]], b.asDouble(ib[n]));
        } else {
          auto out = result.i();
          for (size_t n = 0; n < out.size(); ++n)
            out[n] = intOp(a.i()[ia[n]], b.asInt(ib[n]));
        }
      });
  if (failed(shape))
    return failure();
  return result;
}

namespace {
struct Sum {
  double operator()(double a, double b) { return a + b; }
  int64_t operator()(int64_t a, int64_t b) {
    return int64_t(uint64_t(a) + uint64_t(b));
  }
};
struct Difference {
  double operator()(double a, double b) { return a - b; }
  int64_t operator()(int64_t a, int64_t b) {
    return int64_t(uint64_t(a) - uint64_t(b));
  }
};
struct Product {
  double operator()(double a, double b) { return a * b; }
  int64_t operator()(int64_t a, int64_t b) {
    return int64_t(uint64_t(a) * uint64_t(b));
  }
};
struct Quotient {
  double operator()(double a, double b) { return a / b; }
  int64_t operator()(int64_t a, int64_t b) {
    return b == 0 ? 0 : b == -1 ? int64_t(-uint64_t(a)) : a / b;
  }
};
struct Power {
  double operator()(double a, double b) { return std::pow(a, b); }
  int64_t operator()(int64_t a, int64_t b) {
    double power = std::pow(double(a), double(b));
    return std::fabs(power) < 0x1p63 ? int64_t(power) : 0;
  }
};
struct Larger {
  double operator()(double a, double b) {
    return std::isnan(a) || std::isnan(b) ? a + b : std::max(a, b);
  }
  int64_t operator()(int64_t a, int64_t b) { return std::max(a, b); }
};
struct Smaller {
  double operator()(double a, double b) {
    return std::isnan(a) || std::isnan(b) ? a + b : std::min(a, b);
  }
  int64_t operator()(int64_t a, int64_t b) { return std::min(a, b); }
};
/// The remainder with the divisor's sign.
struct Modulo {
  double operator()(double a, double b) {
    double r = std::fmod(a, b);
    return r != 0 && (r < 0) != (b < 0) ? r + b : r;
  }
  int64_t operator()(int64_t a, int64_t b) {
    if (b == 0 || b == -1)
      return 0;
    int64_t r = a % b;
    return r != 0 && (r < 0) != (b < 0) ? r + b : r;
  }
};
/// The remainder with the dividend's sign.
struct Remainder {
  double operator()(double a, double b) { return std::fmod(a, b); }
  int64_t operator()(int64_t a, int64_t b) {
    return b == 0 || b == -1 ? 0 : a % b;
  }
};
} // namespace

template <typename Function> static LogicalResult binary(Evaluation &e) {
  auto result = combine(e, e.in(0), e.in(1), Function(), Function());
  return failed(result) ? failure() : e.give(*result);
}

static LogicalResult mod(Evaluation &e) {
  return e.attr("fmod", int64_t(0)) ? binary<Remainder>(e) : binary<Modulo>(e);
}

/// Folds all inputs of a variadic op.
template <typename Function> static LogicalResult fold(Evaluation &e) {
  ArrayRef<Tensor> inputs = e.group(0);
  Tensor result = inputs[0];
  for (const Tensor &next : inputs.drop_front()) {
    auto combined = combine(e, result, next, Function(), Function());
    if (failed(combined))
      return failure();
    result = *combined;
  }
  return e.give(result);
}

static LogicalResult mean(Evaluation &e) {
  if (failed(fold<Sum>(e)))
    return failure();
  for (double &x : e.results[0].f())
    x /= e.group(0).size();
  return success();
}

template <typename Compare> static LogicalResult compare(Evaluation &e) {
  const Tensor &a = e.in(0), &b = e.in(1);
  auto shape =
      forBroadcast(e, a, b, [&](ArrayRef<int64_t> shape, auto &ia, auto &ib) {
        Tensor result(TensorKind::Bool, shape);
        auto out = result.i();
        for (size_t n = 0; n < out.size(); ++n)
          out[n] = a.isFloat() ? Compare()(a.f()[ia[n]], b.f()[ib[n]])
                               : Compare()(a.i()[ia[n]], b.i()[ib[n]]);
        (void)e.give(std::move(result));
      });
  return success(succeeded(shape));
}

static LogicalResult where(Evaluation &e) {
  const Tensor &condition = e.in(0), &x = e.in(1), &y = e.in(2);
  Dims both, shape;
  if (!broadcastShapes(x.shape(), y.shape(), both) ||
      !broadcastShapes(condition.shape(), both, shape))
    return e.fail("operand shapes do not broadcast");
  auto ic = broadcastIndices(condition.shape(), shape);
  auto ix = broadcastIndices(x.shape(), shape);
  auto iy = broadcastIndices(y.shape(), shape);
  Tensor result(x.kind(), shape);
  for (int64_t n = 0; n < result.size(); ++n) {
    bool first = condition.i()[ic[n]];
    if (result.isFloat())
      result.f()[n] = first ? x.f()[ix[n]] : y.f()[iy[n]];
    else
      result.i()[n] = first ? x.i()[ix[n]] : y.i()[iy[n]];
  }
  return e.give(std::move(result));
}

static LogicalResult clip(Evaluation &e) {
  Tensor result = e.in(0);
  for (auto [position, isLow] : {std::pair(1, true), std::pair(2, false)}) {
    if (!e.has(position))
      continue;
    auto limited =
        isLow ? combine(e, result, e.in(position), Larger(), Larger())
              : combine(e, result, e.in(position), Smaller(), Smaller());
    if (failed(limited))
      return failure();
    result = *limited;
  }
  return e.give(result);
}

static LogicalResult fastGelu(Evaluation &e) {
  Tensor x = e.in(0);
  if (e.has(1)) {
    auto sum = combine(e, x, e.in(1), Sum(), Sum());
    if (failed(sum))
      return failure();
    x = *sum;
  }
  for (double &value : x.f())
    value = geluTanh(value);
  return e.give(std::move(x));
}

//===----------------------------------------------------------------------===//
// Table
//===----------------------------------------------------------------------===//

static double absolute(double x) { return std::fabs(x); }
static double squareRoot(double x) { return std::sqrt(x); }
static double reciprocal(double x) { return 1 / x; }
static double exponential(double x) { return std::exp(x); }
static double logarithm(double x) { return std::log(x); }
static double cosine(double x) { return std::cos(x); }
static double sine(double x) { return std::sin(x); }
static double tangent(double x) { return std::tanh(x); }
static double errorFunction(double x) { return std::erf(x); }
static double down(double x) { return std::floor(x); }
static double up(double x) { return std::ceil(x); }
static double toEven(double x) { return std::nearbyint(x); }
static bool isNan(double x) { return std::isnan(x); }
static bool isZero(double x) { return x == 0; }

void addElementwiseRules(RuleTable &table) {
  add(table, {"Abs"}, unary<absolute>);
  add(table, {"Sqrt"}, unary<squareRoot>);
  add(table, {"Reciprocal"}, unary<reciprocal>);
  add(table, {"Exp"}, unary<exponential>);
  add(table, {"Log"}, unary<logarithm>);
  add(table, {"Cos"}, unary<cosine>);
  add(table, {"Sin"}, unary<sine>);
  add(table, {"Tanh"}, unary<tangent>);
  add(table, {"Erf"}, unary<errorFunction>);
  add(table, {"Floor"}, unary<down>);
  add(table, {"Ceil"}, unary<up>);
  add(table, {"Round"}, unary<toEven>);
  add(table, {"Sigmoid"}, unary<sigmoid>);
  add(table, {"Softplus"}, unary<softplus>);
  add(table, {"Sign"}, unary<sign>);
  add(table, {"Relu"}, unary<relu>);
  add(table, {"Neg"}, negate);
  add(table, {"Gelu"}, geluRule);
  add(table, {"microsoft.FastGelu"}, fastGelu);
  add(table, {"Swish", "microsoft.QuickGelu"}, swish);
  add(table, {"IsNaN"}, test<isNan>);
  add(table, {"Not"}, test<isZero>);
  add(table, {"IsInf"}, isInf);
  add(table, {"Identity"}, same);
  add(table, {"Cast", "CastLike"}, cast);
  add(table, {"Add"}, binary<Sum>);
  add(table, {"Sub"}, binary<Difference>);
  add(table, {"Mul"}, binary<Product>);
  add(table, {"Div"}, binary<Quotient>);
  add(table, {"Pow"}, binary<Power>);
  add(table, {"Mod"}, mod);
  add(table, {"Max"}, fold<Larger>);
  add(table, {"Min"}, fold<Smaller>);
  add(table, {"Sum"}, fold<Sum>);
  add(table, {"Mean"}, mean);
  add(table, {"Equal"}, compare<std::equal_to<>>);
  add(table, {"Less"}, compare<std::less<>>);
  add(table, {"LessOrEqual"}, compare<std::less_equal<>>);
  add(table, {"Greater"}, compare<std::greater<>>);
  add(table, {"GreaterOrEqual"}, compare<std::greater_equal<>>);
  add(table, {"And"}, compare<std::logical_and<>>);
  add(table, {"Or"}, compare<std::logical_or<>>);
  add(table, {"Where"}, where);
  add(table, {"Clip"}, clip);
}

} // namespace mlir::fdpp::onnx::detail
