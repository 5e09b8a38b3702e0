// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- Attention.cpp - Rules of attention and rotary embedding ------------===//
#include "Rules.h"

#include <cmath>
#include <limits>

namespace mlir::fdpp::onnx::detail {

/// [B, S, heads * D] as [B, heads, S, D]; a tensor of rank 4 as it is.
static FailureOr<Tensor> splitHeads(Evaluation &e, const Tensor &x,
                                    int64_t heads) {
  if (x.rank() == 4)
    return x;
  if (x.rank() != 3 || heads <= 0 || x.dim(2) % heads)
    return e.fail("operand has no whole heads");
  Tensor split = x.reshaped({x.dim(0), x.dim(1), heads, x.dim(2) / heads});
  return permuted(split, {0, 2, 1, 3});
}

/// The reverse for results.
static Tensor mergeHeads(const Tensor &x) {
  Tensor merged = permuted(x, {0, 2, 1, 3});
  return merged.reshaped({x.dim(0), x.dim(2), x.dim(1) * x.dim(3)});
}

//===----------------------------------------------------------------------===//
// Rotary embedding
//===----------------------------------------------------------------------===//

/// Rotates x [B, heads, S, D] by the caches [B, S, R/2].
static void rotate(Tensor &x, const Tensor &cos, const Tensor &sin,
                   bool interleaved) {
  int64_t half = cos.dim(2), heads = x.dim(1), length = x.dim(2);
  auto values = x.f();
  for (int64_t row = 0; row < x.size() / x.dim(3); ++row) {
    int64_t batch = row / (heads * length), s = row % length;
    // A cache of batch 1 serves all sequences.
    int64_t at = ((cos.dim(0) == 1 ? 0 : batch) * length + s) * half;
    double *v = values.data() + row * x.dim(3);
    for (int64_t j = 0; j < half; ++j) {
      double &a = v[interleaved ? 2 * j : j];
      double &b = v[interleaved ? 2 * j + 1 : j + half];
      double c = cos.f()[at + j], d = sin.f()[at + j], first = a;
      a = c * first - d * b;
      b = d * first + c * b;
    }
  }
}

/// The cache rows of each position: [B, S] into [max, R/2].
static FailureOr<Tensor> rowsAt(Evaluation &e, const Tensor &cache,
                                const Tensor &positions) {
  if (cache.rank() != 2)
    return e.fail("positions need a cache of rank 2");
  int64_t half = cache.dim(1);
  std::vector<int64_t> indices;
  for (int64_t position : positions.i()) {
    if (position < 0 || position >= cache.dim(0))
      return e.fail("position " + Twine(position) + " is outside the cache");
    for (int64_t j = 0; j < half; ++j)
      indices.push_back(position * half + j);
  }
  Dims shape(positions.shape());
  shape.push_back(half);
  return pick(cache, indices, shape);
}

static LogicalResult rotaryEmbedding(Evaluation &e) {
  bool microsoft = !e.op.getSchema().domain.empty();
  unsigned cosAt = microsoft ? 2 : 1, positionsAt = microsoft ? 1 : 3;
  const Tensor &x = e.in(0);
  Tensor cos = e.in(cosAt), sin = e.in(cosAt + 1);
  int64_t heads = e.attr("num_heads", int64_t(0));
  if (microsoft && heads == 0 && x.rank() == 3 && cos.dim(cos.rank() - 1) > 0)
    heads = x.dim(2) / (2 * cos.dim(cos.rank() - 1));
  if (microsoft && e.in(1).size() == 1 && x.rank() == 3) {
    // One position stands for consecutive ones from it on.
    Tensor all(TensorKind::Int, {x.dim(0), x.dim(1)});
    for (int64_t n = 0; n < all.size(); ++n)
      all.i()[n] = e.in(1).i()[0] + n % x.dim(1);
    auto c = rowsAt(e, cos, all), s = rowsAt(e, sin, all);
    if (failed(c) || failed(s))
      return failure();
    cos = *c, sin = *s;
  } else if (e.has(positionsAt)) {
    auto c = rowsAt(e, cos, e.in(positionsAt));
    auto s = rowsAt(e, sin, e.in(positionsAt));
    if (failed(c) || failed(s))
      return failure();
    cos = *c, sin = *s;
  }
  auto split = splitHeads(e, x, heads);
  if (failed(split))
    return failure();
  int64_t dim = e.attr("rotary_embedding_dim", int64_t(0));
  dim = dim ? dim : split->dim(3);
  bool fits = cos.rank() == 3 && cos.shape() == sin.shape() &&
              cos.dim(1) == split->dim(2) && 2 * cos.dim(2) == dim &&
              dim <= split->dim(3) &&
              (cos.dim(0) == 1 || cos.dim(0) == split->dim(0));
  if (!fits)
    return e.fail("caches do not fit the input");
  rotate(*split, cos, sin, e.attr("interleaved", int64_t(0)));
  return e.give(x.rank() == 3 ? mergeHeads(*split) : *split);
}

//===----------------------------------------------------------------------===//
// Attention
//===----------------------------------------------------------------------===//

namespace {
struct Problem {
  Tensor q, k, v;           // [B, heads, length, size], cache appended
  std::vector<double> bias; // [B, Hq, Q, T]; -inf hides
  double scale, softcap;
  int64_t batch() const { return q.dim(0); }
  int64_t heads() const { return q.dim(1); }
  int64_t queries() const { return q.dim(2); }
  int64_t keys() const { return k.dim(2); }
};
} // namespace

/// Adds mask, causal triangle and padding to the bias.
static LogicalResult fillBias(Evaluation &e, Problem &p) {
  double hidden = -std::numeric_limits<double>::infinity();
  int64_t total = p.keys(), rows = p.queries();
  Dims shape{p.batch(), p.heads(), rows, total};
  p.bias.assign(numElements(shape), 0);
  if (e.has(3)) {
    Tensor mask = e.in(3);
    int64_t missing = mask.rank() ? total - mask.dim(mask.rank() - 1) : 0;
    if (missing > 0 && mask.dim(mask.rank() - 1) != 1) {
      // A mask that ends early hides the keys behind its end.
      Dims rest(mask.shape());
      rest.back() = missing;
      Tensor pad(mask.kind(), rest);
      for (int64_t n = 0; mask.isFloat() && n < pad.size(); ++n)
        pad.f()[n] = hidden;
      mask = concatenated({mask, pad}, mask.rank() - 1);
    }
    Dims check;
    if (!broadcastShapes(mask.shape(), shape, check) || check != shape)
      return e.fail("mask does not broadcast to the scores");
    auto at = broadcastIndices(mask.shape(), shape);
    bool additive = mask.kind() != TensorKind::Bool;
    for (auto [n, bias] : llvm::enumerate(p.bias))
      bias += additive ? mask.asDouble(at[n]) : mask.i()[at[n]] ? 0 : hidden;
  }
  bool causal = e.attr("is_causal", int64_t(0));
  for (int64_t n = 0; n < int64_t(p.bias.size()); ++n) {
    int64_t key = n % total, query = n / total % rows;
    int64_t batch = n / (total * rows * p.heads());
    // Up to opset 24 the triangle stands in the upper left corner.
    bool isHidden = causal && key > query;
    if (e.has(6))
      isHidden |= key >= e.in(6).i()[batch];
    if (isHidden)
      p.bias[n] = hidden;
  }
  return success();
}

/// One row of scores in place: softmax. A row that sees nothing becomes 0.
static void softmaxRow(MutableArrayRef<double> row) {
  double most = *llvm::max_element(row), sum = 0;
  if (most == -std::numeric_limits<double>::infinity()) {
    llvm::fill(row, 0.0);
    return;
  }
  for (double &x : row)
    sum += x = std::exp(x - most);
  for (double &x : row)
    x /= sum;
}

/// Scores of query head `row / queries`; fills `scores` with one per key.
static void scoreRow(const Problem &p, int64_t row,
                     MutableArrayRef<double> scores) {
  int64_t head = row / p.queries() % p.heads();
  int64_t batch = row / (p.queries() * p.heads()), size = p.q.dim(3);
  int64_t group = p.heads() / p.k.dim(1);
  const double *q = p.q.f().data() + row * size;
  const double *k =
      p.k.f().data() + (batch * p.k.dim(1) + head / group) * p.keys() * size;
  for (int64_t t = 0; t < p.keys(); ++t) {
    double dot = 0;
    for (int64_t d = 0; d < size; ++d)
      dot += q[d] * k[t * size + d];
    scores[t] = dot * p.scale;
  }
}

static LogicalResult attend(Evaluation &e, Problem &p) {
  int64_t mode = e.attr("qk_matmul_output_mode", int64_t(0));
  int64_t rows = p.batch() * p.heads() * p.queries(), keys = p.keys();
  int64_t size = p.v.dim(3), group = p.heads() / p.k.dim(1);
  Tensor y(TensorKind::Float, {p.batch(), p.heads(), p.queries(), size});
  Tensor qk(TensorKind::Float, {p.batch(), p.heads(), p.queries(), keys});
  std::vector<double> scores(keys);
  auto keep = [&](int64_t row, int64_t stage) {
    if (mode == stage)
      llvm::copy(scores, qk.f().begin() + row * keys);
  };
  for (int64_t row = 0; keys > 0 && row < rows; ++row) {
    scoreRow(p, row, scores);
    keep(row, 0);
    if (p.softcap > 0)
      for (double &s : scores)
        s = p.softcap * std::tanh(s / p.softcap);
    keep(row, 1);
    for (int64_t t = 0; t < keys; ++t)
      scores[t] += p.bias[row * keys + t];
    keep(row, 2);
    softmaxRow(scores);
    keep(row, 3);
    int64_t head = row / p.queries() % p.heads();
    int64_t batch = row / (p.queries() * p.heads());
    const double *v =
        p.v.f().data() + (batch * p.k.dim(1) + head / group) * keys * size;
    double *out = y.f().data() + row * size;
    for (int64_t t = 0; t < keys; ++t)
      for (int64_t d = 0; d < size; ++d)
        out[d] += scores[t] * v[t * size + d];
  }
  e.results[0] = e.in(0).rank() == 3 ? mergeHeads(y) : y;
  e.results[3] = qk;
  return success();
}

static LogicalResult attention(Evaluation &e) {
  int64_t kvHeads = e.attr("kv_num_heads", int64_t(0));
  auto q = splitHeads(e, e.in(0), e.attr("q_num_heads", int64_t(0)));
  auto k = splitHeads(e, e.in(1), kvHeads), v = splitHeads(e, e.in(2), kvHeads);
  if (failed(q) || failed(k) || failed(v))
    return failure();
  auto append = [&](unsigned past, Tensor next) -> FailureOr<Tensor> {
    if (!e.has(past))
      return next;
    const Tensor &old = e.in(past);
    if (old.rank() != 4 || old.dim(0) != next.dim(0) ||
        old.dim(1) != next.dim(1) || old.dim(3) != next.dim(3))
      return e.fail("cache does not fit the keys and values");
    return concatenated({old, next}, 2);
  };
  auto allK = append(4, *k), allV = append(5, *v);
  if (failed(allK) || failed(allV))
    return failure();
  bool fits = q->dim(0) == allK->dim(0) && q->dim(3) == allK->dim(3) &&
              allK->dim(1) > 0 && q->dim(1) % allK->dim(1) == 0 &&
              allK->shape().drop_back() == allV->shape().drop_back();
  if (!fits)
    return e.fail("queries, keys and values do not fit each other");
  Problem p{*q,
            *allK,
            *allV,
            {},
            e.attr("scale", 1 / std::sqrt(double(q->dim(3)))),
            e.attr("softcap", 0.0)};
  if (failed(fillBias(e, p)) || failed(attend(e, p)))
    return failure();
  e.results[1] = *allK;
  e.results[2] = *allV;
  return success();
}

void addAttentionRules(RuleTable &table) {
  add(table, {"RotaryEmbedding", "microsoft.RotaryEmbedding"}, rotaryEmbedding);
  add(table, {"Attention"}, attention);
}

} // namespace mlir::fdpp::onnx::detail
