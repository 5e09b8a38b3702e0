// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- ScalarOps.cpp - arith and math -------------------------------------===//
//
// Each operation is a function of one or two numbers; on tensors it is applied
// elementwise.
//
//===----------------------------------------------------------------------===//
#include "Machine.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/Matchers.h"
#include "llvm/Support/MathExtras.h"

#include <cmath>

using namespace mlir;
using namespace mlir::fdpp;

//===----------------------------------------------------------------------===//
// Application of a function to registers.
//===----------------------------------------------------------------------===//

/// A register's number, whatever its kind; element `i` of an array.
static double number(Frame &frame, Slot slot, ArrayRef<double> elements,
                     int64_t i) {
  if (slot.kind == Kind::Array)
    return elements[i];
  return slot.kind == Kind::Real ? frame.real(slot)
                                 : static_cast<double>(frame.integer(slot));
}

/// Applies `fn(operands...)` elementwise; operands are one, two or three.
template <typename Fn>
static LogicalResult elementwise(Frame &frame, const Instr &instr, Fn fn) {
  ArrayRef<int64_t> shape;
  std::vector<double> storage[3];
  ArrayRef<double> elements[3];
  for (auto [i, slot] : llvm::enumerate(instr.in)) {
    if (slot.kind != Kind::Array)
      continue;
    const Array &array = frame.array(slot);
    if (!shape.empty() && shape != array.shape())
      return frame.fail(instr, "operands have different shapes");
    shape = array.shape();
    elements[i] = array.dense(storage[i]);
  }
  int64_t count = 1;
  for (int64_t extent : shape)
    count *= extent;
  std::vector<double> result(count);
  for (int64_t n = 0; n < count; ++n) {
    double x[3] = {};
    for (unsigned i = 0; i < instr.in.size(); ++i)
      x[i] = number(frame, instr.in[i], elements[i], n);
    result[n] = fn(x);
  }
  frame.array(instr.out[0]) = Array::of(shape, std::move(result));
  return success();
}

static bool onArrays(const Instr &instr) {
  return instr.out[0].kind == Kind::Array;
}

template <auto Fn> static LogicalResult real1(Frame &f, const Instr &i) {
  if (onArrays(i))
    return elementwise(f, i, [](double *x) { return Fn(x[0]); });
  f.real(i.out[0]) = Fn(f.real(i.in[0]));
  return success();
}

template <auto Fn> static LogicalResult real2(Frame &f, const Instr &i) {
  if (onArrays(i))
    return elementwise(f, i, [](double *x) { return Fn(x[0], x[1]); });
  f.real(i.out[0]) = Fn(f.real(i.in[0]), f.real(i.in[1]));
  return success();
}

template <auto Fn> static LogicalResult int2(Frame &f, const Instr &i) {
  if (onArrays(i))
    return elementwise(f, i, [](double *x) -> double {
      return Fn(static_cast<int64_t>(x[0]), static_cast<int64_t>(x[1]));
    });
  f.integer(i.out[0]) = Fn(f.integer(i.in[0]), f.integer(i.in[1]));
  return success();
}

/// Division by zero is an error and not a crash.
template <auto Fn> static LogicalResult divide(Frame &f, const Instr &i) {
  if (!onArrays(i) && f.integer(i.in[1]) == 0)
    return f.fail(i, "division by zero");
  return int2<Fn>(f, i);
}

//===----------------------------------------------------------------------===//
// Constants, comparisons, conversions.
//===----------------------------------------------------------------------===//

static LogicalResult runConstant(Frame &f, const Instr &i) {
  switch (i.out[0].kind) {
  case Kind::Real:
    f.real(i.out[0]) = i.real;
    break;
  case Kind::Integer:
    f.integer(i.out[0]) = i.integer;
    break;
  case Kind::Array:
    if (i.constant.isNull())
      return f.fail(i, "only dense constants have elements");
    f.array(i.out[0]) = i.constant;
    break;
  }
  return success();
}

static void prepareConstant(Instr &instr) {
  Attribute value = cast<arith::ConstantOp>(instr.op).getValue();
  if (auto real = dyn_cast<FloatAttr>(value))
    instr.real = toDouble(real);
  if (auto integer = dyn_cast<IntegerAttr>(value))
    instr.integer = integer.getType().isInteger(1)
                        ? integer.getValue().getZExtValue()
                        : integer.getValue().getSExtValue();
  auto dense = dyn_cast<DenseElementsAttr>(value);
  if (!dense)
    return;
  WeightSource reader;
  auto array = reader.read(dense, cast<RankedTensorType>(dense.getType()));
  if (array)
    instr.constant = *array;
  else
    llvm::consumeError(array.takeError());
}

static LogicalResult runLayerConstant(Frame &f, const Instr &i) {
  auto op = cast<LayerConstantOp>(i.op);
  auto values = dyn_cast<DenseElementsAttr>(op.getValues());
  int64_t layer = f.integer(i.in[0]);
  if (!values || layer < 0 || layer >= values.getNumElements())
    return f.fail(i, "has no value for layer " + Twine(layer));
  if (i.out[0].kind == Kind::Real)
    f.real(i.out[0]) = values.getValues<double>()[layer];
  else
    f.integer(i.out[0]) = values.getValues<APInt>()[layer].getSExtValue();
  return success();
}

static bool compare(arith::CmpIPredicate predicate, int64_t a, int64_t b) {
  using P = arith::CmpIPredicate;
  auto ua = static_cast<uint64_t>(a), ub = static_cast<uint64_t>(b);
  switch (predicate) {
  case P::eq:
    return a == b;
  case P::ne:
    return a != b;
  case P::slt:
    return a < b;
  case P::sle:
    return a <= b;
  case P::sgt:
    return a > b;
  case P::sge:
    return a >= b;
  case P::ult:
    return ua < ub;
  case P::ule:
    return ua <= ub;
  case P::ugt:
    return ua > ub;
  case P::uge:
    return ua >= ub;
  }
  llvm_unreachable("ten predicates");
}

static LogicalResult runCmpI(Frame &f, const Instr &i) {
  auto predicate = static_cast<arith::CmpIPredicate>(i.integer);
  if (onArrays(i))
    return elementwise(f, i, [&](double *x) -> double {
      return compare(predicate, static_cast<int64_t>(x[0]),
                     static_cast<int64_t>(x[1]));
    });
  f.integer(i.out[0]) =
      compare(predicate, f.integer(i.in[0]), f.integer(i.in[1]));
  return success();
}

static bool compare(arith::CmpFPredicate predicate, double a, double b) {
  using P = arith::CmpFPredicate;
  bool unordered = std::isnan(a) || std::isnan(b);
  switch (predicate) {
  case P::AlwaysFalse:
    return false;
  case P::AlwaysTrue:
    return true;
  case P::OEQ:
    return a == b;
  case P::OGT:
    return a > b;
  case P::OGE:
    return a >= b;
  case P::OLT:
    return a < b;
  case P::OLE:
    return a <= b;
  case P::ONE:
    return !unordered && a != b;
  case P::ORD:
    return !unordered;
  case P::UEQ:
    return unordered || a == b;
  case P::UGT:
    return unordered || a > b;
  case P::UGE:
    return unordered || a >= b;
  case P::ULT:
    return unordered || a < b;
  case P::ULE:
    return unordered || a <= b;
  case P::UNE:
    return unordered || a != b;
  case P::UNO:
    return unordered;
  }
  llvm_unreachable("sixteen predicates");
}

static LogicalResult runCmpF(Frame &f, const Instr &i) {
  auto predicate = static_cast<arith::CmpFPredicate>(i.integer);
  if (onArrays(i))
    return elementwise(f, i, [&](double *x) -> double {
      return compare(predicate, x[0], x[1]);
    });
  f.integer(i.out[0]) = compare(predicate, f.real(i.in[0]), f.real(i.in[1]));
  return success();
}

static LogicalResult runSelect(Frame &f, const Instr &i) {
  if (i.in[0].kind == Kind::Array)
    return elementwise(f, i, [](double *x) { return x[0] != 0 ? x[1] : x[2]; });
  f.copy(f.integer(i.in[0]) ? i.in[1] : i.in[2], i.out[0]);
  return success();
}

/// Conversions that keep the number: registers have no widths.
static LogicalResult runConvert(Frame &f, const Instr &i) {
  if (onArrays(i))
    return elementwise(f, i, [](double *x) { return x[0]; });
  double value = number(f, i.in[0], {}, 0);
  if (i.out[0].kind == Kind::Real)
    f.real(i.out[0]) = value;
  else if (i.in[0].kind == Kind::Integer)
    f.integer(i.out[0]) = f.integer(i.in[0]);
  else
    f.integer(i.out[0]) = static_cast<int64_t>(value);
  return success();
}

/// Float truncation rounds, unless all numbers are real.
static LogicalResult runTruncF(Frame &f, const Instr &i) {
  Rounder round = f.machine.storage(i.op->getResult(0).getType());
  if (onArrays(i))
    return elementwise(f, i, [&](double *x) { return round(x[0]); });
  f.real(i.out[0]) = round(f.real(i.in[0]));
  return success();
}

static LogicalResult runTruncI(Frame &f, const Instr &i) {
  auto type = cast<IntegerType>(getElementTypeOrSelf(i.op->getResult(0)));
  auto wrap = [&](int64_t value) {
    uint64_t bits = static_cast<uint64_t>(value);
    unsigned width = type.getWidth();
    return width == 1 ? int64_t(bits & 1) : llvm::SignExtend64(bits, width);
  };
  if (onArrays(i))
    return elementwise(f, i, [&](double *x) -> double {
      return wrap(static_cast<int64_t>(x[0]));
    });
  f.integer(i.out[0]) = wrap(f.integer(i.in[0]));
  return success();
}

//===----------------------------------------------------------------------===//
// The table.
//===----------------------------------------------------------------------===//

static void addArithFloat(HandlerMap &map) {
  map["arith.addf"] = {real2<[](double a, double b) { return a + b; }>};
  map["arith.subf"] = {real2<[](double a, double b) { return a - b; }>};
  map["arith.mulf"] = {real2<[](double a, double b) { return a * b; }>};
  map["arith.divf"] = {real2<[](double a, double b) { return a / b; }>};
  map["arith.negf"] = {real1<[](double a) { return -a; }>};
  map["arith.maxnumf"] = {
      real2<[](double a, double b) { return std::fmax(a, b); }>};
  map["arith.minnumf"] = {
      real2<[](double a, double b) { return std::fmin(a, b); }>};
  map["arith.maximumf"] = {real2<[](double a, double b) {
    return std::isnan(a) || std::isnan(b) ? kPoison : std::fmax(a, b);
  }>};
  map["arith.minimumf"] = {real2<[](double a, double b) {
    return std::isnan(a) || std::isnan(b) ? kPoison : std::fmin(a, b);
  }>};
}

static void addArithInteger(HandlerMap &map) {
  map["arith.addi"] = {int2<[](int64_t a, int64_t b) { return a + b; }>};
  map["arith.subi"] = {int2<[](int64_t a, int64_t b) { return a - b; }>};
  map["arith.muli"] = {int2<[](int64_t a, int64_t b) { return a * b; }>};
  map["arith.andi"] = {int2<[](int64_t a, int64_t b) { return a & b; }>};
  map["arith.ori"] = {int2<[](int64_t a, int64_t b) { return a | b; }>};
  map["arith.xori"] = {int2<[](int64_t a, int64_t b) { return a ^ b; }>};
  map["arith.shli"] = {int2<[](int64_t a, int64_t b) { return a << b; }>};
  map["arith.shrsi"] = {int2<[](int64_t a, int64_t b) { return a >> b; }>};
  auto most = int2<[](int64_t a, int64_t b) { return std::max(a, b); }>;
  auto least = int2<[](int64_t a, int64_t b) { return std::min(a, b); }>;
  map["arith.maxsi"] = map["arith.maxui"] = {most};
  map["arith.minsi"] = map["arith.minui"] = {least};
  // Sizes and indices are not negative, so signs do not matter here.
  auto quotient = divide<[](int64_t a, int64_t b) { return a / b; }>;
  auto remainder = divide<[](int64_t a, int64_t b) { return a % b; }>;
  map["arith.divsi"] = map["arith.divui"] = {quotient};
  map["arith.remsi"] = map["arith.remui"] = {remainder};
  auto ceiling = divide<[](int64_t a, int64_t b) {
    return a / b + (a % b != 0 && (a < 0) == (b < 0));
  }>;
  map["arith.ceildivsi"] = map["arith.ceildivui"] = {ceiling};
  map["arith.floordivsi"] = {divide<[](int64_t a, int64_t b) {
    return a / b - (a % b != 0 && (a < 0) != (b < 0));
  }>};
}

static void addConversions(HandlerMap &map) {
  for (StringRef name :
       {"arith.index_cast", "arith.index_castui", "arith.extsi", "arith.extui",
        "arith.sitofp", "arith.uitofp", "arith.fptosi", "arith.fptoui",
        "arith.extf"})
    map[name] = {runConvert};
  map["arith.truncf"] = {runTruncF};
  map["arith.trunci"] = {runTruncI};
  map["arith.select"] = {runSelect};
  map["fdpp.layer_constant"] = {runLayerConstant};
  map["arith.constant"] = {runConstant, prepareConstant};
  map["arith.cmpi"] = {runCmpI, [](Instr &instr) {
                         instr.integer = static_cast<int64_t>(
                             cast<arith::CmpIOp>(instr.op).getPredicate());
                       }};
  map["arith.cmpf"] = {runCmpF, [](Instr &instr) {
                         instr.integer = static_cast<int64_t>(
                             cast<arith::CmpFOp>(instr.op).getPredicate());
                       }};
}

static void addMath(HandlerMap &map) {
  map["math.exp"] = {real1<[](double a) { return std::exp(a); }>};
  map["math.exp2"] = {real1<[](double a) { return std::exp2(a); }>};
  map["math.log"] = {real1<[](double a) { return std::log(a); }>};
  map["math.tanh"] = {real1<[](double a) { return std::tanh(a); }>};
  map["math.erf"] = {real1<[](double a) { return std::erf(a); }>};
  map["math.sqrt"] = {real1<[](double a) { return std::sqrt(a); }>};
  map["math.rsqrt"] = {real1<[](double a) { return 1 / std::sqrt(a); }>};
  map["math.sin"] = {real1<[](double a) { return std::sin(a); }>};
  map["math.cos"] = {real1<[](double a) { return std::cos(a); }>};
  map["math.absf"] = {real1<[](double a) { return std::fabs(a); }>};
  map["math.powf"] = {real2<[](double a, double b) { return std::pow(a, b); }>};
  map["math.fma"] = {[](Frame &f, const Instr &i) -> LogicalResult {
    if (onArrays(i))
      return elementwise(f, i, [](double *x) { return x[0] * x[1] + x[2]; });
    f.real(i.out[0]) = f.real(i.in[0]) * f.real(i.in[1]) + f.real(i.in[2]);
    return success();
  }};
  map["fdpp.scalar_activation"] = {
      [](Frame &f, const Instr &i) -> LogicalResult {
        auto kind = static_cast<ActivationKind>(i.integer);
        f.real(i.out[0]) = activate(kind, f.real(i.in[0]));
        return success();
      },
      [](Instr &instr) {
        auto op = cast<ScalarActivationOp>(instr.op);
        instr.integer = static_cast<int64_t>(op.getActivation());
      }};
}

void mlir::fdpp::addScalarHandlers(HandlerMap &map) {
  addArithFloat(map);
  addArithInteger(map);
  addConversions(map);
  addMath(map);
}
