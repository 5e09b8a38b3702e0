// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "KernelCalls.h"

#include "EntryValues.h"
#include "fdpp/Target/Common/EpiloguePrinter.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace mlir::fdpp;
using ::fdpp::Call;
using ::fdpp::elementType;
using ::fdpp::floatLiteral;
using ::fdpp::TargetText;

static MemRefType bufferType(Value value) {
  return cast<MemRefType>(value.getType());
}

static std::string width(Value value) {
  return std::to_string(bufferType(value).getShape().back());
}

static std::string text(Value value) { return ::fdpp::valueText(value).text; }
static std::string rows(Value value) { return ::fdpp::rowsText(value); }

/// A scalar of the model: a literal, or the layer's.
static std::string scalar(FloatAttr attribute, Value ofLayer) {
  return ofLayer ? text(ofLayer) : floatLiteral(attribute.getValueAsDouble());
}

//===----------------------------------------------------------------------===//
// Rows on their way in.
//===----------------------------------------------------------------------===//

/// RmsNorm<576>{...}, or with a type of x other than float RmsNorm<576, bf16>.
static Call rowsObject(StringRef name, Value x,
                       SmallVector<std::string> fields) {
  StringRef type = elementType(bufferType(x).getElementType());
  fields.insert(fields.begin(), text(x));
  return {name.str() + "<" + width(x) +
              (type == "float" ? "" : ", " + type.str()) + ">",
          fields};
}

static Call rmsNorm(Value x, Value gamma, const std::string &eps) {
  return rowsObject("RmsNorm", x, {text(gamma), eps});
}

static Call layerNorm(Value x, Value gamma, Value beta,
                      const std::string &eps) {
  return rowsObject("LayerNorm", x,
                    {text(gamma), beta ? text(beta) : "nullptr", eps});
}

/// Of a fused linear, or of the prologue of a library's.
template <typename OpTy> static Call prologueOf(OpTy op) {
  if (!op.getGamma())
    return rowsObject("Rows", op.getInput(), {});
  std::string eps = scalar(op.getEpsAttr(), op.getEpsOfLayer());
  if (op.getCentered())
    return layerNorm(op.getInput(), op.getGamma(), op.getBeta(), eps);
  return rmsNorm(op.getInput(), op.getGamma(), eps);
}

auto ::fdpp::prologueObject(FusedLinearOp op) -> Call { return prologueOf(op); }

static Call prologueCall(PrologueOp op) {
  return {
      ("prologue<" + elementType(op.getRounding()) + ">").str(),
      {rows(op.getInput()), prologueOf(op).object(), text(op.getOuts()[0])}};
}

static Call gemmCall(LibraryGemmOp op) {
  return {"library_gemm<" + width(op.getInput()) + ", " +
              width(op.getOuts()[0]) + ">",
          {"step.sgemm", rows(op.getInput()), text(op.getInput()),
           text(op.getWeight()), "step.scratch", text(op.getOuts()[0])}};
}

static Call normCall(Value x, const Call &norm, Value out) {
  return {"normalize", {rows(x), norm.object(), text(out)}};
}

//===----------------------------------------------------------------------===//
// Elementwise.
//===----------------------------------------------------------------------===//

namespace {
/// A function of elements, printed as a lambda.
struct Function {
  SmallVector<StringRef> arguments;
  std::string body;
  std::string capture = ""; ///< `name = value`, of what the layer decides

  std::string text(const TargetText &target) const {
    std::string list;
    for (StringRef argument : arguments)
      list += (list.empty() ? "" : ", ") + target.elementType.str() + " " +
              argument.str();
    std::string qualifier = target.qualifier.rtrim().str();
    return "[" + capture + "]" + (qualifier.empty() ? "" : " " + qualifier) +
           "(" + list + ") { return " + body + "; }";
  }
};
} // namespace

/// f(x) with a scalar: a literal in the body, or captured if the layer's.
static Function withScalar(StringRef name, FloatAttr attribute, Value ofLayer,
                           function_ref<std::string(std::string)> body) {
  std::string value = scalar(attribute, ofLayer);
  if (!ofLayer)
    return {{"x"}, body(value)};
  return {{"x"}, body(name.str()), name.str() + " = " + value};
}

/// out = f(x).
static Call mapCall(Value x, const std::string &function, Value out) {
  return {"map_rows<" + width(x) + ">",
          {rows(x), text(x), text(out), function}};
}

/// out = f(a, b).
static Call zipCall(Value a, Value b, const std::string &function, Value out) {
  return {"zip_rows<" + width(a) + ">",
          {rows(a), text(a), text(b), text(out), function}};
}

static Call scaleCall(ScaleOp op, const TargetText &target) {
  Function scale =
      withScalar("factor", op.getFactorAttr(), op.getFactorOfLayer(),
                 [](const std::string &factor) { return factor + " * x"; });
  return mapCall(op.getInput(), scale.text(target), op.getOuts()[0]);
}

static Call softcapCall(SoftcapOp op, const TargetText &target) {
  Function cap = withScalar(
      "cap", op.getCapAttr(), op.getCapOfLayer(),
      [](const std::string &cap) { return cap + " * tanh(x / " + cap + ")"; });
  return mapCall(op.getInput(), cap.text(target), op.getOuts()[0]);
}

static Call activationCall(ActivationOp op, const TargetText &target) {
  StringRef activation = stringifyActivationKind(op.getActivation());
  Function apply{{"x"}, activation.str() + "(x)"};
  return mapCall(op.getInput(), apply.text(target), op.getOuts()[0]);
}

static Call addCall(AddOp op, const TargetText &target) {
  return zipCall(op.getLhs(), op.getRhs(),
                 Function{{"a", "b"}, "a + b"}.text(target), op.getOuts()[0]);
}

static Call gluCall(GluOp op, const TargetText &target) {
  StringRef activation = stringifyActivationKind(op.getActivation());
  Function gate{{"a", "b"}, activation.str() + "(a) * b"};
  return zipCall(op.getLhs(), op.getRhs(), gate.text(target), op.getOuts()[0]);
}

static Call ropeCall(RopeOp op) {
  Value input = op.getInput(), cos = op.getCos();
  // The table may be a range of columns of a wider one.
  auto view = cos.getDefiningOp<memref::SubViewOp>();
  std::string stride = width(view ? view.getSource() : cos);
  int64_t rotary = 2 * bufferType(cos).getShape().back();
  StringRef pairs = op.getInterleaved() ? "neighbours" : "halves";
  return {"rope<" + width(input) + ", " + std::to_string(op.getHeadDim()) +
              ", " + std::to_string(rotary) + ", RotaryPairs::" + pairs.str() +
              ">",
          {rows(input), text(input), text(cos), text(op.getSin()), stride,
           text(op.getOuts()[0])}};
}

//===----------------------------------------------------------------------===//
// Tokens, cache and attention.
//===----------------------------------------------------------------------===//

static Call tableCall(RopeTableOp op) {
  Call call{"rope_table<" + width(op.getInvFreq()) + ">",
            {rows(op.getPositions()), text(op.getPositions()),
             text(op.getInvFreq()), text(op.getOuts()[0]),
             text(op.getOuts()[1])}};
  if (double magnitude = op.getMagnitude().convertToDouble(); magnitude != 1)
    call.arguments.push_back(floatLiteral(magnitude));
  return call;
}

static Call embedCall(EmbedOp op) {
  auto at = op.getTable().getDefiningOp<WeightAtOp>();
  auto weight =
      SymbolTable::lookupNearestSymbolFrom<WeightOp>(at, at.getWeightAttr());
  StringRef layout = weight.getLayout() ? "packed" : "rows";
  Call call{"embed<Table::" + layout.str() + ", " + width(op.getTable()) + ">",
            {rows(op.getTokens()), text(op.getTokens()), text(op.getTable()),
             text(op.getOuts()[0])}};
  if (double scale = op.getScale().convertToDouble(); scale != 1)
    call.arguments.push_back(floatLiteral(scale));
  return call;
}

static Call selectCall(SelectRowsOp op) {
  return {"select_rows<" + width(op.getInput()) + ">",
          {rows(op.getRows()), text(op.getRows()), text(op.getInput()),
           text(op.getOuts()[0])}};
}

static Call appendCall(KVAppendOp op) {
  return {"kv_append",
          {rows(op.getKey()), text(op.getKey()), text(op.getValue()),
           text(op.getSlots()), text(op.getLayer()), "step.cache"}};
}

template <typename OpTy> static std::string attentionOptions(OpTy op) {
  std::string options =
      "{.scale = " + scalar(op.getScaleAttr(), op.getScaleOfLayer());
  if (Value window = op.getWindowOfLayer())
    options += ", .window = " + text(window);
  else if (op.getWindow() != 0)
    options += ", .window = " + std::to_string(op.getWindow());
  if (op.getSoftcapOfLayer() || !op.getSoftcap().isZero())
    options +=
        ", .softcap = " + scalar(op.getSoftcapAttr(), op.getSoftcapOfLayer());
  return options + "}";
}

/// What all attentions begin with; `types` are template arguments behind the
/// number of query heads.
template <typename OpTy>
static Call attentionHead(OpTy op, StringRef kernel, StringRef types = "") {
  int64_t headDim = bufferType(op.getCache()).getDimSize(5);
  int64_t heads = bufferType(op.getQ()).getDimSize(1) / headDim;
  std::string batch = "step.batch";
  if (op.getFirstSeq())
    batch +=
        ".range(" + text(op.getFirstSeq()) + ", " + text(op.getEndSeq()) + ")";
  return {kernel.str() + "<" + std::to_string(heads) + types.str() + ">",
          {batch, text(op.getLayer()), text(op.getQ()), "step.cache",
           attentionOptions(op)}};
}

template <typename OpTy>
static Call attentionCall(OpTy op, StringRef kernel, bool scratch) {
  Call call = attentionHead(op, kernel);
  if (scratch)
    call.arguments.push_back("step.scratch");
  call.arguments.push_back(text(op.getOuts()[0]));
  return call;
}

template <typename OpTy>
static Call asyncCall(OpTy op, StringRef kernel, bool scratch) {
  Call call =
      attentionHead(op, kernel, (", " + elementType(op.getPType())).str());
  call.arguments.push_back(text(op.getPhi()));
  if (scratch)
    call.arguments.push_back("step.scratch");
  call.arguments.push_back(text(op.getOuts()[0]));
  call.arguments.push_back(text(op.getOuts()[1]));
  return call;
}

static Call recomputeCall(RecomputeRowsOp op) {
  Call call = attentionHead(op, op.getPrefill() ? "recompute_prefill_rows"
                                                : "recompute_rows");
  call.arguments.push_back(text(op.getInvalid()));
  call.arguments.push_back("step.recomputed_rows");
  if (!op.getPrefill())
    call.arguments.push_back("step.scratch");
  call.arguments.push_back(text(op.getOuts()[0]));
  return call;
}

static std::optional<Call> callOf(Operation *op, const TargetText &target) {
  using Result = std::optional<Call>;
  return TypeSwitch<Operation *, Result>(op)
      .Case([&](TokenSlotsOp o) -> Result {
        return Call{"token_slots<" + std::to_string(o.getPageTokens()) + ">",
                    {"step.batch", text(o.getOuts()[0])}};
      })
      .Case([](RopeTableOp o) -> Result { return tableCall(o); })
      .Case([](EmbedOp o) -> Result { return embedCall(o); })
      .Case([](SelectRowsOp o) -> Result { return selectCall(o); })
      .Case([](RMSNormOp o) -> Result {
        std::string eps = scalar(o.getEpsAttr(), o.getEpsOfLayer());
        return normCall(o.getInput(), rmsNorm(o.getInput(), o.getGamma(), eps),
                        o.getOuts()[0]);
      })
      .Case([](LayerNormOp o) -> Result {
        std::string eps = scalar(o.getEpsAttr(), o.getEpsOfLayer());
        return normCall(o.getInput(),
                        layerNorm(o.getInput(), o.getGamma(), o.getBeta(), eps),
                        o.getOuts()[0]);
      })
      .Case([](RopeOp o) -> Result { return ropeCall(o); })
      .Case([](PrologueOp o) -> Result { return prologueCall(o); })
      .Case([](LibraryGemmOp o) -> Result { return gemmCall(o); })
      .Case([&](AddOp o) -> Result { return addCall(o, target); })
      .Case([&](GluOp o) -> Result { return gluCall(o, target); })
      .Case([&](ActivationOp o) -> Result { return activationCall(o, target); })
      .Case([&](ScaleOp o) -> Result { return scaleCall(o, target); })
      .Case([&](SoftcapOp o) -> Result { return softcapCall(o, target); })
      .Case([](KVAppendOp o) -> Result { return appendCall(o); })
      .Case([](PrefillAttentionOp o) -> Result {
        return attentionCall(o, "prefill_attention", /*scratch=*/false);
      })
      .Case([](DecodeAttentionOp o) -> Result {
        return attentionCall(o, "decode_attention", /*scratch=*/true);
      })
      .Case([](AsyncSoftmaxDecodeAttentionOp o) -> Result {
        return asyncCall(o, "async_softmax_decode_attention", /*scratch=*/true);
      })
      .Case([](AsyncSoftmaxPrefillAttentionOp o) -> Result {
        return asyncCall(o, "async_softmax_prefill_attention",
                         /*scratch=*/false);
      })
      .Case([](RecomputeRowsOp o) -> Result { return recomputeCall(o); })
      .Default([](Operation *) -> Result { return std::nullopt; });
}

auto ::fdpp::kernelCall(Operation *op, const TargetText &target)
    -> std::optional<Call> {
  std::optional<Call> call = callOf(op, target);
  if (call)
    call->arguments.insert(call->arguments.begin(), target.context.str());
  return call;
}

//===----------------------------------------------------------------------===//
// Linears.
//===----------------------------------------------------------------------===//

auto ::fdpp::Call::object() const -> std::string {
  return head + "{" + llvm::join(arguments, ", ") + "}";
}

auto ::fdpp::epilogueObject(EpilogueInterface op, unsigned i) -> Call {
  auto names = op->getAttrOfType<ArrayAttr>("fdpp.epilogues");
  Call object{cast<StringAttr>(names[i]).str(), {}};
  for (const ::fdpp::Capture &capture : ::fdpp::epilogueCaptures(op, i))
    object.arguments.push_back(text(capture.value));
  return object;
}

/// Everything that the text of a linear says but for the variant.
static SmallVector<std::string> linearText(FusedLinearOp op) {
  SmallVector<std::string> parts{rows(op.getInput()), text(op.getWeight()),
                                 ::fdpp::prologueObject(op).object()};
  for (unsigned i = 0; i < op.getEpilogues().size(); ++i)
    parts.push_back(::fdpp::epilogueObject(op, i).object());
  return parts;
}

auto ::fdpp::variantText(VariantAttr variant) -> std::string {
  return "Variant<" + std::to_string(variant.getTokens()) + ", " +
         std::to_string(variant.getPrefetch()) + ">";
}

auto ::fdpp::rangesOf(DispatchOp dispatch) -> SmallVector<std::string> {
  SmallVector<std::string> ranges;
  SmallVector<std::string> first;
  for (auto [i, region] : llvm::enumerate(dispatch.getVariants())) {
    auto body = region.front().without_terminator();
    auto linear = llvm::hasSingleElement(body)
                      ? dyn_cast<FusedLinearOp>(*body.begin())
                      : FusedLinearOp();
    if (!linear || text(dispatch.getRows()) != rows(linear.getInput()))
      return {};
    SmallVector<std::string> parts = linearText(linear);
    if (i > 0 && first != parts)
      return {};
    first = parts;
    std::string variant = variantText(*linear.getVariant());
    ArrayRef<int64_t> limits = dispatch.getLimits();
    ranges.push_back(i < limits.size() ? "UpTo<" + std::to_string(limits[i]) +
                                             ", " + variant + ">"
                                       : "Otherwise<" + variant + ">");
  }
  return ranges;
}
