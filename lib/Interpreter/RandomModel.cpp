// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- RandomModel.cpp - Models to check passes with ----------------------===//
//
// The form is the one test/Dialect/FDPP/raised.mlir writes down.
//
//===----------------------------------------------------------------------===//
#include "fdpp/Interpreter/Testing.h"

#include "Dice.h"
#include "fdpp/Dialect/FDPP/IR/FDPP.h"
#include "fdpp/Interpreter/Tensor.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

#include <cmath>

using namespace mlir;
using namespace mlir::fdpp;

namespace {
/// Everything that is drawn before the module is built.
struct Structure {
  int64_t layers, kvHeads, heads, headDim, hidden, ffn, vocab, pageTokens;
  bool attentionBias, outputBias, ffnBias, tied, transposed, narrowVectors;
  int64_t period; ///< Layers after which attention windows repeat.
  int64_t window; ///< Of the first layer of a period; 0 for none.
  double softcap, attentionSoftcap, branchScale, theta;
  ActivationKind activation;
  Type dtype;
  // What only unusual models have.
  bool interleaved = false, layerNorms = false, gated = true;
  double embeddingScale = 1;
  int64_t pairs;              ///< Of the elements of a head, those that rotate.
  bool unevenWindows = false; ///< Windows follow no period.
  unsigned numTables = 1;     ///< Rotary tables; each layer picks one.

  Structure(Dice &dice, Builder builder, ModelFamily family);
};

class ModelBuilder {
public:
  ModelBuilder(ModuleOp module, uint64_t seed, ModelFamily family)
      : dice(seed), builder(module.getLoc(), module.getContext()),
        body(builder), module(module), s(dice, builder, family) {
    builder.setInsertionPointToEnd(module.getBody());
  }
  void build();

private:
  func::FuncOp declareStep();
  Value layer(Value x, int64_t index);
  Value feedForward(Value x, StringRef name);
  Value logits(Value x, Value rows, Value destination);

  Value weight(StringRef name, ArrayRef<int64_t> shape, double mean,
               double deviation, Type type);
  void declareWeight(StringRef name, ArrayRef<int64_t> shape, double mean,
                     double deviation, Type type);
  Value read(StringRef name, ArrayRef<int64_t> shape, Type type);
  Value vector(StringRef name, int64_t size, double mean, double deviation);
  Value norm(Value x, StringRef name);
  Value linear(Value x, StringRef name, int64_t n, bool bias);
  Value rope(Value x, RopeTableOp table);
  void makeTable(StringRef name, double theta);
  Value addBranch(Value x, Value branch);
  RankedTensorType activations(int64_t width) {
    return RankedTensorType::get({ShapedType::kDynamic, width},
                                 builder.getF32Type());
  }
  FloatAttr real(double value) { return builder.getF64FloatAttr(value); }

  Dice dice;
  ImplicitLocOpBuilder builder; ///< At the module's end.
  ImplicitLocOpBuilder body;    ///< In the step.
  ModuleOp module;
  Structure s;
  func::FuncOp step;
  SmallVector<RopeTableOp> tables;
  Value slots, cache;
};
} // namespace

Structure::Structure(Dice &dice, Builder builder, ModelFamily family) {
  layers = dice.between(1, 4);
  kvHeads = dice.between(1, 3);
  heads = kvHeads * dice.between(1, 3);
  headDim = 2 * dice.between(1, 5);
  hidden = dice.oneIn(3) ? heads * headDim : dice.between(3, 29);
  ffn = dice.between(3, 35);
  vocab = dice.between(5, 41);
  pageTokens = dice.pick<int64_t>({1, 2, 3, 4, 8, 16});
  attentionBias = dice.oneIn(3);
  outputBias = attentionBias && dice.oneIn(2);
  ffnBias = dice.oneIn(4);
  tied = dice.oneIn(3);
  transposed = dice.oneIn(5);
  narrowVectors = dice.oneIn(2);
  period = dice.pick<int64_t>({1, 1, 2});
  window = dice.oneIn(3) ? dice.between(1, 6) : 0;
  softcap = dice.oneIn(4) ? 3 : 0;
  attentionSoftcap = dice.oneIn(5) ? 2.5 : 0;
  branchScale = dice.oneIn(5) ? 0.7 : 1;
  theta = dice.pick<double>({100, 10000, 500000});
  activation = dice.pick({ActivationKind::SiLU, ActivationKind::SiLU,
                          ActivationKind::GELU, ActivationKind::GELUTanh});
  dtype = dice.pick<Type>(
      {builder.getF32Type(), builder.getBF16Type(), builder.getF16Type()});
  pairs = headDim / 2;
  if (family == ModelFamily::Llama)
    return;
  interleaved = dice.oneIn(2);
  layerNorms = dice.oneIn(2);
  gated = !dice.oneIn(3);
  embeddingScale = dice.oneIn(2) ? 1.7 : 1;
  pairs = dice.between(1, pairs);
  unevenWindows = dice.oneIn(2);
  numTables = dice.oneIn(2) ? 2 : 1;
}

//===----------------------------------------------------------------------===//
// Weights.
//===----------------------------------------------------------------------===//

void ModelBuilder::declareWeight(StringRef name, ArrayRef<int64_t> shape,
                                 double mean, double deviation, Type type) {
  if (SymbolTable::lookupSymbolIn(module, name))
    return;
  Tensor elements(TensorKind::Float, shape);
  for (double &value : elements.f())
    value = mean + deviation * dice.bell();
  Attribute source = attrFrom(roundedTo(type, elements), type);
  WeightOp::create(builder, name, StringAttr(),
                   RankedTensorType::get(shape, type), 1,
                   builder.getArrayAttr(source), PanelsAttr());
}

Value ModelBuilder::read(StringRef name, ArrayRef<int64_t> shape, Type type) {
  return WeightAtOp::create(body, RankedTensorType::get(shape, type), name,
                            Value());
}

Value ModelBuilder::weight(StringRef name, ArrayRef<int64_t> shape, double mean,
                           double deviation, Type type) {
  if (!s.transposed || shape.size() != 2 || name.contains("embed")) {
    declareWeight(name, shape, mean, deviation, type);
    return read(name, shape, type);
  }
  // As a graph has it whose linears are MatMul(x, W) with W stored as [K, N].
  std::string stored = (name + ".stored").str();
  int64_t turned[] = {shape[1], shape[0]};
  declareWeight(stored, turned, mean, deviation, type);
  auto resultType = RankedTensorType::get(shape, type);
  auto op = WeightOp::create(builder, name, StringAttr(), resultType, 1,
                             ArrayAttr(), PanelsAttr());
  OpBuilder::InsertionGuard guard(builder);
  builder.createBlock(&op.getInit(), {}, builder.getIndexType(),
                      builder.getLoc());
  Value whole = WeightAtOp::create(builder, RankedTensorType::get(turned, type),
                                   stored, Value());
  Value result = TransposeOp::create(builder, resultType, whole);
  YieldOp::create(builder, result);
  return read(name, shape, type);
}

Value ModelBuilder::vector(StringRef name, int64_t size, double mean,
                           double deviation) {
  return weight(name, {size}, mean, deviation,
                s.narrowVectors ? s.dtype : Type(builder.getF32Type()));
}

//===----------------------------------------------------------------------===//
// Parts of a layer.
//===----------------------------------------------------------------------===//

Value ModelBuilder::norm(Value x, StringRef name) {
  Value gamma = vector(name, s.hidden, 1, 0.25);
  double eps = dice.pick<double>({1e-5, 1e-6, 1e-2});
  if (s.layerNorms) {
    Value beta = vector((name + ".beta").str(), s.hidden, 0, 0.25);
    return LayerNormOp::create(body, x.getType(), x, gamma, beta, Value(),
                               real(eps), ValueRange())
        .getResult(0);
  }
  return RMSNormOp::create(body, x.getType(), x, gamma, Value(), real(eps),
                           ValueRange())
      .getResult(0);
}

Value ModelBuilder::linear(Value x, StringRef name, int64_t n, bool bias) {
  int64_t k = cast<ShapedType>(x.getType()).getDimSize(1);
  Value w = weight((name + ".weight").str(), {n, k}, 0,
                   1.2 / std::sqrt(double(k)), s.dtype);
  Value b = bias ? vector((name + ".bias").str(), n, 0, 0.3) : Value();
  return LinearOp::create(body, activations(n), x, w, b, ValueRange())
      .getResult(0);
}

Value ModelBuilder::rope(Value x, RopeTableOp table) {
  return RopeOp::create(
             body, x.getType(), x, table.getResult(0), table.getResult(1),
             builder.getI64IntegerAttr(s.headDim),
             s.interleaved ? builder.getUnitAttr() : UnitAttr(), ValueRange())
      .getResult(0);
}

/// Some models scale what a layer adds to the residual stream.
Value ModelBuilder::addBranch(Value x, Value branch) {
  if (s.branchScale != 1)
    branch = ScaleOp::create(body, branch.getType(), branch, Value(),
                             real(s.branchScale), ValueRange())
                 .getResult(0);
  return AddOp::create(body, x.getType(), x, branch, ValueRange()).getResult(0);
}

Value ModelBuilder::feedForward(Value x, StringRef name) {
  Value h = norm(x, (name + "post_attention_layernorm.weight").str());
  std::string mlp = (name + "mlp.").str();
  Value gate = linear(h, mlp + "gate_proj", s.ffn, s.ffnBias);
  if (!s.gated) {
    Value active = ActivationOp::create(body, gate.getType(), gate,
                                        s.activation, ValueRange())
                       .getResult(0);
    return addBranch(x, linear(active, mlp + "down_proj", s.hidden, s.ffnBias));
  }
  Value up = linear(h, mlp + "up_proj", s.ffn, s.ffnBias);
  Value both =
      GluOp::create(body, gate.getType(), gate, up, s.activation, ValueRange())
          .getResult(0);
  return addBranch(x, linear(both, mlp + "down_proj", s.hidden, s.ffnBias));
}

Value ModelBuilder::layer(Value x, int64_t index) {
  std::string name = "model.layers." + std::to_string(index) + ".";
  std::string attn = name + "self_attn.";
  Value h = norm(x, name + "input_layernorm.weight");
  Value q = linear(h, attn + "q_proj", s.heads * s.headDim, s.attentionBias);
  Value k = linear(h, attn + "k_proj", s.kvHeads * s.headDim, s.attentionBias);
  Value v = linear(h, attn + "v_proj", s.kvHeads * s.headDim, s.attentionBias);
  RopeTableOp table = tables[dice.below(s.numTables)];
  q = rope(q, table);
  k = rope(k, table);
  Value number = arith::ConstantIndexOp::create(body, body.getLoc(), index);
  cache = KVAppendOp::create(body, cache.getType(), k, v, slots, number, cache)
              .getResult(0);
  int64_t window = index % s.period == 0 ? s.window : 0;
  if (s.unevenWindows)
    window = dice.oneIn(3) ? 0 : dice.between(1, 6);
  Value offsets = step.getArgument(2), context = step.getArgument(3),
        pages = step.getArgument(4);
  Value a =
      AttentionOp::create(body, q.getType(), q, cache, number, offsets, context,
                          pages, Value(), Value(), Value(), Value(), Value(),
                          real(1 / std::sqrt(double(s.headDim))),
                          builder.getI64IntegerAttr(window),
                          real(s.attentionSoftcap), ValueRange())
          .getResult(0);
  x = addBranch(x, linear(a, attn + "o_proj", s.hidden, s.outputBias));
  return feedForward(x, name);
}

//===----------------------------------------------------------------------===//
// The step.
//===----------------------------------------------------------------------===//

func::FuncOp ModelBuilder::declareStep() {
  int64_t any = ShapedType::kDynamic;
  Type i32 = builder.getI32Type(), f32 = builder.getF32Type();
  auto list = RankedTensorType::get({any}, i32);
  auto table = RankedTensorType::get({any, any}, i32);
  auto cacheType = RankedTensorType::get(
      {s.layers, any, 2, s.kvHeads, s.pageTokens, s.headDim}, f32);
  Type logitsType = activations(s.vocab);
  Type inputs[] = {list, list, list, list, table, list, cacheType, logitsType};
  auto type = builder.getFunctionType(inputs, {logitsType, cacheType});
  auto func = func::FuncOp::create(builder, "step", type);
  func->setAttr(kEntryAttr, builder.getStringAttr("step"));
  std::pair<StringRef, int64_t> roles[] = {
      {"tokens", 16}, {"positions", 16}, {"seq_offsets", 5}, {"context", 4},
      {"pages", 4},   {"rows", 16},      {"cache", 0},       {"logits", 16}};
  for (auto [i, role] : llvm::enumerate(roles)) {
    func.setArgAttr(i, kRoleAttr, builder.getStringAttr(role.first));
    if (role.second)
      func.setArgAttr(i, kMaxAttr, builder.getI64IntegerAttr(role.second));
  }
  func.addEntryBlock();
  return func;
}

Value ModelBuilder::logits(Value x, Value rows, Value destination) {
  Value selected =
      SelectRowsOp::create(body, x.getType(), x, rows, ValueRange())
          .getResult(0);
  Value h = norm(selected, "model.norm.weight");
  StringRef name = s.tied ? "model.embed_tokens.weight" : "lm_head.weight";
  Value w = weight(name, {s.vocab, s.hidden}, 0,
                   1.5 / std::sqrt(double(s.hidden)), s.dtype);
  Type type = destination.getType();
  if (s.softcap == 0)
    return LinearOp::create(body, type, h, w, Value(), destination)
        .getResult(0);
  Value raw =
      LinearOp::create(body, type, h, w, Value(), ValueRange()).getResult(0);
  return SoftcapOp::create(body, type, raw, Value(), real(s.softcap),
                           destination)
      .getResult(0);
}

void ModelBuilder::makeTable(StringRef name, double theta) {
  Tensor frequencies(TensorKind::Float, {s.pairs});
  for (auto [i, f] : llvm::enumerate(frequencies.f()))
    f = std::pow(theta, -1.0 * i / s.pairs);
  Type f32 = builder.getF32Type();
  auto type = RankedTensorType::get({s.pairs}, f32);
  WeightOp::create(builder, name, StringAttr(), type, 1,
                   builder.getArrayAttr(attrFrom(frequencies, f32)),
                   PanelsAttr());
  Value inverse = read(name, {s.pairs}, f32);
  Type angles = activations(s.pairs);
  tables.push_back(RopeTableOp::create(body, TypeRange{angles, angles},
                                       step.getArgument(1), inverse, real(1),
                                       ValueRange()));
}

void ModelBuilder::build() {
  MLIRContext *context = builder.getContext();
  module->setAttr(kModelAttr,
                  ModelAttr::get(context, s.layers, s.hidden, s.heads,
                                 s.kvHeads, s.headDim, s.vocab, s.pageTokens));
  step = declareStep();
  // Weights stand before the step that reads them.
  builder.setInsertionPoint(step);
  body.setInsertionPointToEnd(&step.front());
  ValueRange in = step.getArguments();

  makeTable("inv_freq", s.theta);
  if (s.numTables > 1)
    makeTable("inv_freq_global", 20 * s.theta);
  slots = TokenSlotsOp::create(body, in[0].getType(), in[0], in[2], in[3],
                               in[4], builder.getI64IntegerAttr(s.pageTokens),
                               ValueRange())
              .getResult(0);
  cache = in[6];
  Value table =
      weight("model.embed_tokens.weight", {s.vocab, s.hidden}, 0, 1, s.dtype);
  Value x =
      EmbedOp::create(body, activations(s.hidden), in[0], table, ValueRange())
          .getResult(0);
  if (s.embeddingScale != 1)
    x = ScaleOp::create(body, x.getType(), x, Value(), real(s.embeddingScale),
                        ValueRange())
            .getResult(0);
  for (int64_t i = 0; i < s.layers; ++i)
    x = layer(x, i);
  Value result = logits(x, in[5], in[7]);
  func::ReturnOp::create(body, ValueRange{result, cache});
}

void mlir::fdpp::buildRandomModel(ModuleOp module, uint64_t seed,
                                  ModelFamily family) {
  ModelBuilder(module, seed, family).build();
}
