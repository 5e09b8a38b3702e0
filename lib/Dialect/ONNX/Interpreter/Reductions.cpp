// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- Reductions.cpp - Rules of products, reductions and norms -----------===//
#include "Rules.h"

#include <cmath>
#include <limits>

namespace mlir::fdpp::onnx::detail {

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//

/// out[m, n] += a[m, k] b[k, n] over one matrix each, row-major.
template <typename T>
static void multiply(const T *a, const T *b, T *out, int64_t rows,
                     int64_t inner, int64_t columns) {
  for (int64_t m = 0; m < rows; ++m)
    for (int64_t k = 0; k < inner; ++k) {
      T factor = a[m * inner + k];
      for (int64_t n = 0; n < columns; ++n)
        out[m * columns + n] += factor * b[k * columns + n];
    }
}

/// [..., M, K] . [..., K, N] with broadcast leading dimensions.
static FailureOr<Tensor> product(Evaluation &e, const Tensor &a,
                                 const Tensor &b) {
  int64_t rows = a.dim(a.rank() - 2), inner = a.dim(a.rank() - 1);
  int64_t columns = b.dim(b.rank() - 1);
  Dims lead;
  if (inner != b.dim(b.rank() - 2) ||
      !broadcastShapes(a.shape().drop_back(2), b.shape().drop_back(2), lead))
    return e.fail("shapes do not multiply");
  auto ia = broadcastIndices(a.shape().drop_back(2), lead);
  auto ib = broadcastIndices(b.shape().drop_back(2), lead);
  Dims shape(lead);
  shape.append({rows, columns});
  Tensor result(a.kind(), shape);
  for (auto [n, pair] : llvm::enumerate(llvm::zip(ia, ib))) {
    auto [x, y] = pair;
    if (a.isFloat())
      multiply(a.f().data() + x * rows * inner,
               b.f().data() + y * inner * columns,
               result.f().data() + n * rows * columns, rows, inner, columns);
    else
      multiply(a.i().data() + x * rows * inner,
               b.i().data() + y * inner * columns,
               result.i().data() + n * rows * columns, rows, inner, columns);
  }
  return result;
}

static LogicalResult matMul(Evaluation &e) {
  Tensor a = e.in(0), b = e.in(1);
  if (a.rank() == 0 || b.rank() == 0)
    return e.fail("multiplies a scalar");
  bool rowVector = a.rank() == 1, columnVector = b.rank() == 1;
  if (rowVector)
    a = a.reshaped({1, a.size()});
  if (columnVector)
    b = b.reshaped({b.size(), 1});
  auto result = product(e, a, b);
  if (failed(result))
    return failure();
  Dims shape(result->shape());
  if (columnVector)
    shape.pop_back();
  if (rowVector)
    shape.erase(shape.end() - (columnVector ? 1 : 2));
  return e.give(result->reshaped(shape));
}

static LogicalResult gemm(Evaluation &e) {
  Tensor a = e.in(0), b = e.in(1);
  if (a.rank() != 2 || b.rank() != 2)
    return e.fail("needs matrices");
  if (e.attr("transA", int64_t(0)))
    a = permuted(a, {1, 0});
  if (e.attr("transB", int64_t(0)))
    b = permuted(b, {1, 0});
  auto result = product(e, a, b);
  if (failed(result))
    return failure();
  double alpha = e.attr("alpha", 1.0), beta = e.attr("beta", 1.0);
  Dims shape;
  if (e.has(2) && (!broadcastShapes(e.in(2).shape(), result->shape(), shape) ||
                   ArrayRef<int64_t>(shape) != result->shape()))
    return e.fail("C does not broadcast to the product");
  std::vector<int64_t> at;
  if (e.has(2))
    at = broadcastIndices(e.in(2).shape(), result->shape());
  for (int64_t n = 0; n < result->size(); ++n)
    result->set(n, alpha * result->asDouble(n) +
                       (e.has(2) ? beta * e.in(2).asDouble(at[n]) : 0));
  return e.give(*result);
}

//===----------------------------------------------------------------------===//
// Reductions
//===----------------------------------------------------------------------===//

namespace {
/// How one kind of reduction starts and takes in a value.
struct Reduction {
  double start;
  double (*take)(double sum, double value);
  bool divide;
};
} // namespace

static Reduction reductionOf(StringRef name) {
  double infinity = std::numeric_limits<double>::infinity();
  auto sum = [](double a, double b) { return a + b; };
  if (name == "ReduceMax")
    return {-infinity, [](double a, double b) { return std::max(a, b); },
            false};
  if (name == "ReduceMin")
    return {infinity, [](double a, double b) { return std::min(a, b); }, false};
  if (name == "ReduceProd")
    return {1, [](double a, double b) { return a * b; }, false};
  if (name == "ReduceSumSquare")
    return {0, [](double a, double b) { return a + b * b; }, false};
  return {0, sum, name == "ReduceMean"};
}

static LogicalResult reduce(Evaluation &e) {
  const Tensor &data = e.in(0);
  bool all = !e.has(1) || e.in(1).size() == 0;
  if (all && e.attr("noop_with_empty_axes", int64_t(0)))
    return e.give(data);
  SmallVector<bool> gone(data.rank(), all);
  for (int64_t i = 0; !all && i < e.in(1).size(); ++i) {
    auto axis = e.axis(e.in(1).asInt(i), data.rank());
    if (failed(axis))
      return failure();
    gone[*axis] = true;
  }
  Dims kept, final;
  for (int64_t d = 0; d < data.rank(); ++d) {
    kept.push_back(gone[d] ? 1 : data.dim(d));
    if (!gone[d] || e.attr("keepdims", int64_t(1)))
      final.push_back(kept.back());
  }
  Reduction reduction = reductionOf(e.op.getSchema().name);
  std::vector<double> sums(numElements(kept), reduction.start);
  auto at = broadcastIndices(kept, data.shape());
  for (int64_t n = 0; n < data.size(); ++n)
    sums[at[n]] = reduction.take(sums[at[n]], data.asDouble(n));
  if (reduction.divide)
    for (double &sum : sums)
      sum /= double(data.size()) / double(sums.size());
  return e.give(Tensor::floats(final, std::move(sums)));
}

static LogicalResult cumSum(Evaluation &e) {
  Tensor result = e.in(0);
  auto axis = e.axis(e.in(1).asInt(0), result.rank());
  if (failed(axis))
    return failure();
  bool exclusive = e.attr("exclusive", int64_t(0));
  bool reverse = e.attr("reverse", int64_t(0));
  int64_t extent = result.dim(*axis);
  int64_t step = stridesOf(result.shape())[*axis];
  for (int64_t first = 0; first < result.size(); ++first) {
    if (first / step % extent != 0)
      continue; // not the first along the axis
    double sum = 0;
    for (int64_t i = 0; i < extent; ++i) {
      int64_t at = first + (reverse ? extent - 1 - i : i) * step;
      double value = result.asDouble(at);
      result.set(at, exclusive ? sum : sum + value);
      sum += value;
    }
  }
  return e.give(std::move(result));
}

static LogicalResult softmax(Evaluation &e) {
  Tensor result = e.in(0);
  auto axis = e.axis(e.attr("axis", int64_t(-1)), result.rank());
  if (failed(axis))
    return failure();
  int64_t extent = result.dim(*axis);
  int64_t step = stridesOf(result.shape())[*axis];
  auto x = result.f();
  for (int64_t first = 0; first < result.size(); ++first) {
    if (first / step % extent != 0)
      continue;
    double most = -std::numeric_limits<double>::infinity(), sum = 0;
    for (int64_t i = 0; i < extent; ++i)
      most = std::max(most, x[first + i * step]);
    for (int64_t i = 0; i < extent; ++i)
      sum += x[first + i * step] = std::exp(x[first + i * step] - most);
    for (int64_t i = 0; i < extent; ++i)
      x[first + i * step] /= sum;
  }
  return e.give(std::move(result));
}

//===----------------------------------------------------------------------===//
// Norms
//===----------------------------------------------------------------------===//

namespace {
struct NormInputs {
  Tensor x;
  Tensor scale;
  Tensor bias; // may be absent
  bool center; // LayerNorm rather than RMSNorm
};
} // namespace

/// Normalises over the dimensions from `axis` on. The scale broadcasts.
static LogicalResult normalise(Evaluation &e, const NormInputs &in) {
  auto axis = e.axis(e.attr("axis", int64_t(-1)), in.x.rank());
  if (failed(axis))
    return failure();
  double eps = e.attr("epsilon", 1e-5);
  int64_t inner = numElements(in.x.shape().drop_front(*axis));
  int64_t outer = inner ? in.x.size() / inner : 0;
  Dims statistics(in.x.shape());
  std::fill(statistics.begin() + *axis, statistics.end(), 1);
  Tensor result = in.x, means(TensorKind::Float, statistics), inverse = means;
  auto scaleAt = broadcastIndices(in.scale.shape(), in.x.shape());
  std::vector<int64_t> biasAt;
  if (!in.bias.isAbsent())
    biasAt = broadcastIndices(in.bias.shape(), in.x.shape());
  auto y = result.f();
  for (int64_t o = 0; o < outer; ++o) {
    auto row = y.slice(o * inner, inner);
    double mean = 0, squares = 0;
    for (double value : row)
      mean += in.center ? value / inner : 0;
    for (double value : row)
      squares += (value - mean) * (value - mean) / inner;
    double factor = 1 / std::sqrt(squares + eps);
    means.f()[o] = mean;
    inverse.f()[o] = factor;
    for (int64_t i = 0; i < inner; ++i) {
      int64_t n = o * inner + i;
      row[i] = (row[i] - mean) * factor * in.scale.asDouble(scaleAt[n]);
      if (!biasAt.empty())
        row[i] += in.bias.asDouble(biasAt[n]);
    }
  }
  e.results[0] = std::move(result);
  if (in.center && e.results.size() > 2) {
    e.results[1] = std::move(means);
    e.results[2] = std::move(inverse);
  } else if (e.op.getSchema().name == "SimplifiedLayerNormalization") {
    e.results[1] = std::move(inverse);
  }
  return success();
}

static LogicalResult rmsNorm(Evaluation &e) {
  return normalise(e, {e.in(0), e.in(1), Tensor(), false});
}

static LogicalResult layerNorm(Evaluation &e) {
  return normalise(e, {e.in(0), e.in(1), e.in(2), true});
}

/// x + skip (+ bias), normalised; the sum is the fourth result.
static LogicalResult skipNorm(Evaluation &e) {
  bool simple = e.op.getSchema().name == "SkipSimplifiedLayerNormalization";
  Tensor sum = e.in(0);
  unsigned bias = simple ? 3 : 4;
  for (unsigned i : {1u, bias}) {
    if (!e.has(i))
      continue;
    Dims shape;
    if (!broadcastShapes(e.in(i).shape(), sum.shape(), shape) ||
        ArrayRef<int64_t>(shape) != sum.shape())
      return e.fail("operands do not broadcast to the input");
    auto at = broadcastIndices(e.in(i).shape(), sum.shape());
    auto out = sum.f();
    for (int64_t n = 0; n < sum.size(); ++n)
      out[n] += e.in(i).f()[at[n]];
  }
  Tensor beta = simple ? Tensor() : e.in(3);
  if (failed(normalise(e, {sum, e.in(2), beta, !simple})))
    return failure();
  e.results[3] = std::move(sum);
  return success();
}

void addReductionRules(RuleTable &table) {
  add(table, {"MatMul"}, matMul);
  add(table, {"Gemm"}, gemm);
  add(table,
      {"ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum",
       "ReduceSumSquare"},
      reduce);
  add(table, {"CumSum"}, cumSum);
  add(table, {"Softmax"}, softmax);
  add(table, {"RMSNormalization", "SimplifiedLayerNormalization"}, rmsNorm);
  add(table, {"LayerNormalization"}, layerNorm);
  add(table,
      {"microsoft.SkipLayerNormalization",
       "microsoft.SkipSimplifiedLayerNormalization"},
      skipNorm);
}

} // namespace mlir::fdpp::onnx::detail
