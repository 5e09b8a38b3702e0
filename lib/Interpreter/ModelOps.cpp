// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- ModelOps.cpp - The model's arithmetic ------------------------------===//
#include "Machine.h"

#include <cmath>

using namespace mlir;
using namespace mlir::fdpp;

//===----------------------------------------------------------------------===//
// What handlers share.
//===----------------------------------------------------------------------===//

static std::string describe(ArrayRef<int64_t> shape) {
  std::string text;
  llvm::raw_string_ostream out(text);
  llvm::interleave(shape, out, "x");
  return text.empty() ? "scalar" : text;
}

/// True if the static extents of `type` are those of `shape`.
static bool agree(ShapedType type, ArrayRef<int64_t> shape) {
  if (type.getRank() != static_cast<int64_t>(shape.size()))
    return false;
  for (auto [extent, actual] : llvm::zip(type.getShape(), shape))
    if (!ShapedType::isDynamic(extent) && extent != actual)
      return false;
  return true;
}

LogicalResult mlir::fdpp::deliver(Frame &frame, const Instr &instr, unsigned k,
                                  unsigned outputs, ArrayRef<int64_t> shape,
                                  std::vector<double> values) {
  bool planned = instr.out.empty();
  unsigned operand = instr.in.size() - outputs + k;
  auto type = cast<ShapedType>(planned ? instr.op->getOperand(operand).getType()
                                       : instr.op->getResult(k).getType());
  if (!agree(type, shape))
    return frame.fail(instr, "computes " + describe(shape) +
                                 ", which its type does not say");
  Rounder round = frame.machine.storage(type);
  if (!round.isIdentity())
    for (double &value : values)
      value = round(value);
  if (!planned) {
    frame.array(instr.out[k]) = Array::of(shape, std::move(values));
    return success();
  }
  const Array &target = frame.array(instr.in[operand]);
  if (target.shape() != shape)
    return frame.fail(instr, "computes " + describe(shape) +
                                 " into a destination of " +
                                 describe(target.shape()));
  target.assign(values);
  return success();
}

LogicalResult mlir::fdpp::checkNoOverlap(Frame &frame, const Instr &instr,
                                         unsigned outputs) {
  if (!instr.out.empty())
    return success();
  unsigned firstOut = instr.in.size() - outputs;
  for (unsigned out = firstOut; out < instr.in.size(); ++out)
    for (unsigned other = 0; other < out; ++other)
      if (instr.in[other].kind == Kind::Array &&
          frame.array(instr.in[out]).overlaps(frame.array(instr.in[other])))
        return frame.fail(instr, "destination " + Twine(out - firstOut) +
                                     " overlaps operand " + Twine(other));
  return success();
}

/// Eight partial sums, so that the compiler may use vectors.
static double dot(const double *x, const double *w, int64_t k) {
  double sums[8] = {};
  int64_t i = 0;
  for (; i + 8 <= k; i += 8)
    for (int64_t j = 0; j < 8; ++j)
      sums[j] += x[i + j] * w[i + j];
  double total = 0;
  for (; i < k; ++i)
    total += x[i] * w[i];
  for (double sum : sums)
    total += sum;
  return total;
}

void mlir::fdpp::multiply(ArrayRef<double> x, ArrayRef<double> w, int64_t rows,
                          int64_t k, int64_t n, MutableArrayRef<double> y) {
  // A row of w is read from memory once.
  for (int64_t c = 0; c < n; ++c)
    for (int64_t r = 0; r < rows; ++r)
      y[r * n + c] = dot(&x[r * k], &w[c * k], k);
}

void mlir::fdpp::normalise(ArrayRef<double> x, ArrayRef<double> gamma,
                           double eps, MutableArrayRef<double> y) {
  double squares = 0;
  for (double value : x)
    squares += value * value;
  double factor = 1 / std::sqrt(squares / x.size() + eps);
  for (size_t i = 0; i < x.size(); ++i)
    y[i] = x[i] * factor * gamma[i];
}

void mlir::fdpp::normaliseCentered(ArrayRef<double> x, ArrayRef<double> gamma,
                                   ArrayRef<double> beta, double eps,
                                   MutableArrayRef<double> y) {
  double mean = 0;
  for (double value : x)
    mean += value / x.size();
  std::vector<double> centered;
  for (double value : x)
    centered.push_back(value - mean);
  normalise(centered, gamma, eps, y);
  for (size_t i = 0; i < beta.size(); ++i)
    y[i] += beta[i];
}

double mlir::fdpp::activate(ActivationKind kind, double x) {
  switch (kind) {
  case ActivationKind::SiLU:
    return x / (1 + std::exp(-x));
  case ActivationKind::GELU:
    return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)));
  case ActivationKind::GELUTanh:
    return 0.5 * x *
           (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
  case ActivationKind::ReLU:
    return x > 0 ? x : 0;
  case ActivationKind::Tanh:
    return std::tanh(x);
  case ActivationKind::Sigmoid:
    return 1 / (1 + std::exp(-x));
  }
  llvm_unreachable("six activations");
}

ArrayRef<double> mlir::fdpp::rounded(Rounder round, ArrayRef<double> values,
                                     std::vector<double> &storage) {
  if (round.isIdentity())
    return values;
  storage.resize(values.size());
  for (size_t i = 0; i < values.size(); ++i)
    storage[i] = round(values[i]);
  return storage;
}

//===----------------------------------------------------------------------===//
// Elementwise operations.
//===----------------------------------------------------------------------===//

template <typename Fn>
static LogicalResult unary(Frame &frame, const Instr &instr, Fn fn) {
  const Array &input = frame.array(instr.in[0]);
  std::vector<double> storage, values = input.dense(storage).vec();
  for (double &value : values)
    value = fn(value);
  return deliver(frame, instr, 0, 1, input.shape(), std::move(values));
}

template <typename Fn>
static LogicalResult binary(Frame &frame, const Instr &instr, Fn fn) {
  const Array &lhs = frame.array(instr.in[0]), &rhs = frame.array(instr.in[1]);
  if (lhs.shape() != rhs.shape())
    return frame.fail(instr, "adds " + describe(lhs.shape()) + " and " +
                                 describe(rhs.shape()));
  std::vector<double> a, b;
  ArrayRef<double> x = lhs.dense(a), y = rhs.dense(b);
  std::vector<double> values(x.size());
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = fn(x[i], y[i]);
  return deliver(frame, instr, 0, 1, lhs.shape(), std::move(values));
}

static LogicalResult runAdd(Frame &frame, const Instr &instr) {
  return binary(frame, instr, std::plus<double>());
}

static LogicalResult runGlu(Frame &frame, const Instr &instr) {
  ActivationKind kind = cast<GluOp>(instr.op).getActivation();
  return binary(frame, instr, [&](double gate, double up) {
    return activate(kind, gate) * up;
  });
}

static LogicalResult runActivation(Frame &frame, const Instr &instr) {
  ActivationKind kind = cast<ActivationOp>(instr.op).getActivation();
  return unary(frame, instr, [&](double x) { return activate(kind, x); });
}

static LogicalResult runScale(Frame &frame, const Instr &instr) {
  Operands<ScaleOp> in(frame, instr);
  double factor = f32ScalarOf(in, /*group=*/1, in.op.getFactorAttr());
  return unary(frame, instr, [&](double x) { return factor * x; });
}

static LogicalResult runSoftcap(Frame &frame, const Instr &instr) {
  Operands<SoftcapOp> in(frame, instr);
  double cap = f32ScalarOf(in, /*group=*/1, in.op.getCapAttr());
  return unary(frame, instr,
               [&](double x) { return cap * std::tanh(x / cap); });
}

//===----------------------------------------------------------------------===//
// Rows.
//===----------------------------------------------------------------------===//

/// Rows of `table` that `indices` name, times `factor`, shaped as the indices
/// are.
static LogicalResult gather(Frame &frame, const Instr &instr,
                            const Array &table, const Array &indices,
                            Rounder round, double factor) {
  if (failed(checkNoOverlap(frame, instr, 1)))
    return failure();
  std::vector<double> a, b;
  ArrayRef<double> rows = table.dense(a), wanted = indices.dense(b);
  int64_t width = table.dim(1);
  std::vector<double> values;
  values.reserve(wanted.size() * width);
  for (double index : wanted) {
    if (!(index >= 0 && index < table.dim(0)))
      return frame.fail(instr, "row " + std::to_string(index) + " of " +
                                   Twine(table.dim(0)));
    for (double value : rows.slice(static_cast<int64_t>(index) * width, width))
      values.push_back(factor * round(value));
  }
  Array::Shape shape(indices.shape());
  shape.push_back(width);
  return deliver(frame, instr, 0, 1, shape, std::move(values));
}

static LogicalResult runEmbed(Frame &frame, const Instr &instr) {
  auto factor =
      static_cast<float>(toDouble(cast<EmbedOp>(instr.op).getScaleAttr()));
  return gather(frame, instr, frame.array(instr.in[1]),
                frame.array(instr.in[0]), frame.machine.modeRounder, factor);
}

static LogicalResult runSelectRows(Frame &frame, const Instr &instr) {
  return gather(frame, instr, frame.array(instr.in[0]),
                frame.array(instr.in[1]), Rounder(), /*factor=*/1);
}

static LogicalResult runLinear(Frame &frame, const Instr &instr) {
  if (failed(checkNoOverlap(frame, instr, 1)))
    return failure();
  Operands<LinearOp> in(frame, instr);
  const Array &input = in.array(0), &weight = in.array(1);
  std::vector<double> a, b, roundedInput, roundedWeight;
  Rounder round = frame.machine.modeRounder;
  ArrayRef<double> x = rounded(round, input.dense(a), roundedInput);
  ArrayRef<double> w = rounded(round, weight.dense(b), roundedWeight);
  int64_t rows = input.rows(), k = weight.dim(1), n = weight.dim(0);
  std::vector<double> values(rows * n);
  multiply(x, w, rows, k, n, values);
  if (in.count(2)) {
    std::vector<double> c;
    ArrayRef<double> bias = in.array(2).dense(c);
    for (int64_t i = 0; i < rows * n; ++i)
      values[i] += bias[i % n];
  }
  Array::Shape shape(input.shape());
  shape.back() = n;
  return deliver(frame, instr, 0, 1, shape, std::move(values));
}

static LogicalResult runRMSNorm(Frame &frame, const Instr &instr) {
  Operands<RMSNormOp> in(frame, instr);
  double eps = f32ScalarOf(in, /*group=*/2, in.op.getEpsAttr());
  const Array &input = frame.array(instr.in[0]);
  std::vector<double> a, b;
  ArrayRef<double> x = input.dense(a),
                   gamma = frame.array(instr.in[1]).dense(b);
  std::vector<double> values(x.size());
  size_t width = gamma.size();
  for (size_t r = 0; r < x.size(); r += width)
    normalise(x.slice(r, width), gamma, eps,
              MutableArrayRef(values).slice(r, width));
  return deliver(frame, instr, 0, 1, input.shape(), std::move(values));
}

static LogicalResult runLayerNorm(Frame &frame, const Instr &instr) {
  Operands<LayerNormOp> in(frame, instr);
  double eps = f32ScalarOf(in, /*group=*/3, in.op.getEpsAttr());
  std::vector<double> a, b, c;
  ArrayRef<double> x = in.array(0).dense(a), gamma = in.array(1).dense(b), beta;
  if (in.count(2))
    beta = in.array(2).dense(c);
  std::vector<double> values(x.size());
  size_t width = gamma.size();
  for (size_t r = 0; r < x.size(); r += width)
    normaliseCentered(x.slice(r, width), gamma, beta, eps,
                      MutableArrayRef(values).slice(r, width));
  return deliver(frame, instr, 0, 1, in.array(0).shape(), std::move(values));
}

//===----------------------------------------------------------------------===//
// Positions.
//===----------------------------------------------------------------------===//

static LogicalResult runRopeTable(Frame &frame, const Instr &instr) {
  double magnitude = toDouble(cast<RopeTableOp>(instr.op).getMagnitudeAttr());
  const Array &positions = frame.array(instr.in[0]);
  std::vector<double> a, b;
  ArrayRef<double> p = positions.dense(a),
                   freq = frame.array(instr.in[1]).dense(b);
  std::vector<double> cosines, sines;
  for (double position : p)
    for (double f : freq) {
      // Trained models know this angle, whatever else is computed exactly.
      float angle = static_cast<float>(position) * static_cast<float>(f);
      cosines.push_back(magnitude * std::cos(double(angle)));
      sines.push_back(magnitude * std::sin(double(angle)));
    }
  Array::Shape shape(positions.shape());
  shape.push_back(freq.size());
  if (failed(deliver(frame, instr, 0, 2, shape, std::move(cosines))))
    return failure();
  return deliver(frame, instr, 1, 2, shape, std::move(sines));
}

static LogicalResult runRope(Frame &frame, const Instr &instr) {
  auto op = cast<RopeOp>(instr.op);
  const Array &input = frame.array(instr.in[0]),
              &table = frame.array(instr.in[1]);
  std::vector<double> a, b, c;
  std::vector<double> values = input.dense(a).vec();
  ArrayRef<double> cosines = table.dense(b),
                   sines = frame.array(instr.in[2]).dense(c);
  int64_t rows = input.rows(), width = input.shape().back();
  int64_t half = table.shape().back(), head = op.getHeadDim();
  if (table.rows() != rows)
    return frame.fail(instr, Twine(rows) + " rows and " + Twine(table.rows()) +
                                 " rows of angles");
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t h = 0; h < width; h += head)
      for (int64_t j = 0; j < half; ++j) {
        int64_t first = op.getInterleaved() ? 2 * j : j;
        int64_t second = op.getInterleaved() ? 2 * j + 1 : j + half;
        double &x = values[r * width + h + first];
        double &y = values[r * width + h + second];
        double cosine = cosines[r * half + j], sine = sines[r * half + j];
        double turned = x * cosine - y * sine;
        y = y * cosine + x * sine;
        x = turned;
      }
  return deliver(frame, instr, 0, 1, input.shape(), std::move(values));
}

void mlir::fdpp::addModelHandlers(HandlerMap &map) {
  map["fdpp.add"] = {runAdd};
  map["fdpp.glu"] = {runGlu};
  map["fdpp.activation"] = {runActivation};
  map["fdpp.scale"] = {runScale};
  map["fdpp.softcap"] = {runSoftcap};
  map["fdpp.embed"] = {runEmbed};
  map["fdpp.select_rows"] = {runSelectRows};
  map["fdpp.linear"] = {runLinear};
  map["fdpp.rms_norm"] = {runRMSNorm};
  map["fdpp.layer_norm"] = {runLayerNorm};
  map["fdpp.rope_table"] = {runRopeTable};
  map["fdpp.rope"] = {runRope};
}
