// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// From `fdpp.weight` symbols to row sources.

#include "fdpp/Engine/WeightEvaluator.h"

#include "RowSource.h"
#include "fdpp/Engine/StoredWeight.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

using namespace mlir;
using namespace mlir::fdpp;
using llvm::createStringError;

WeightEvaluator::WeightEvaluator(ModuleOp module, StringRef folder)
    : symbols(module), folder(folder) {}

WeightEvaluator::~WeightEvaluator() = default;

static llvm::Error weightError(WeightOp weight, const Twine &why) {
  return createStringError("weight @" + weight.getSymName() + ": " + why);
}

static MatrixShape shapeOf(Type type) {
  return MatrixShape::of(cast<RankedTensorType>(type).getShape());
}

static int64_t elementBytesOf(Type type) {
  return llvm::divideCeil(getElementTypeOrSelf(type).getIntOrFloatBitWidth(),
                          8);
}

//===----------------------------------------------------------------------===//
// Sources.
//===----------------------------------------------------------------------===//

llvm::Expected<StringRef> WeightEvaluator::mapFile(StringRef path) {
  auto found = files.find(path);
  if (found != files.end())
    return found->second->getBuffer();
  bool leaves =
      llvm::sys::path::is_absolute(path) || path.empty() ||
      llvm::is_contained(llvm::make_range(llvm::sys::path::begin(path),
                                          llvm::sys::path::end(path)),
                         "..");
  if (leaves)
    return createStringError("path '" + path + "' leaves the model's folder");
  SmallString<256> full(folder);
  llvm::sys::path::append(full, path);
  llvm::sys::fs::file_status status;
  if (!llvm::sys::fs::status(full, status, /*follow=*/false) &&
      status.type() == llvm::sys::fs::file_type::symlink_file)
    return createStringError(full + ": is a link; weights must lie in the "
                                    "model's folder");
  auto buffer = llvm::MemoryBuffer::getFile(full, /*IsText=*/false,
                                            /*RequiresNullTerminator=*/false);
  if (!buffer)
    return createStringError(full + ": cannot read the weights (" +
                             buffer.getError().message() +
                             "); it belongs beside the model");
  return files.try_emplace(path, std::move(*buffer)).first->second->getBuffer();
}

WeightEvaluator::Source WeightEvaluator::openFile(WeightOp weight,
                                                  FileAttr file) {
  llvm::Expected<StringRef> bytes = mapFile(file.getPath());
  if (!bytes)
    return bytes.takeError();
  uint64_t size = bytes->size(), offset = file.getOffset();
  if (file.getOffset() < 0 || offset > size ||
      static_cast<uint64_t>(file.getBytes()) > size - offset)
    return createStringError(
        folder + "/" + file.getPath().getValue() + ": has " + Twine(size) +
        " bytes, but weight @" + weight.getSymName() + " lies at " +
        Twine(file.getOffset()) + " to " +
        Twine(file.getOffset() + file.getBytes()) + "; export the model again");
  return makeBytesSource(bytes->data() + offset, shapeOf(weight.getType()),
                         elementBytesOf(weight.getType()));
}

WeightEvaluator::Source WeightEvaluator::openAttribute(WeightOp weight,
                                                       Attribute source) {
  RankedTensorType type = weight.getTensorType();
  if (auto file = dyn_cast<FileAttr>(source))
    return openFile(weight, file);
  if (auto seeded = dyn_cast<SeededAttr>(source)) {
    if (!isCastable(type.getElementType()))
      return weightError(weight, "synthetic elements are f32, bf16 or f16");
    return makeSeededSource(seeded.getSeed(), SeededScale::of(type.getShape()),
                            shapeOf(type), type.getElementType());
  }
  auto dense = dyn_cast<DenseElementsAttr>(source);
  if (!dense || type.getElementTypeBitWidth() % 8 != 0)
    return weightError(weight, "cannot read its inline elements");
  ArrayRef<char> raw = dense.getRawData();
  if (dense.isSplat())
    return makeSplatSource({raw.data(), raw.size()});
  return makeBytesSource(raw.data(), shapeOf(type), elementBytesOf(type));
}

//===----------------------------------------------------------------------===//
// Init regions.
//===----------------------------------------------------------------------===//

WeightEvaluator::Source
WeightEvaluator::openRead(WeightOp weight, WeightAtOp read, int64_t layer) {
  auto target = symbols.lookup<WeightOp>(read.getWeight());
  if (!target)
    return weightError(weight,
                       "reads @" + read.getWeight() + ", which does not exist");
  int64_t index = 0;
  if (Value operand = read.getLayer()) {
    APInt constant;
    if (matchPattern(operand, m_ConstantInt(&constant)))
      index = constant.getSExtValue();
    else if (isa<BlockArgument>(operand))
      index = layer;
    else
      return weightError(weight, "reads a layer that is no constant");
  }
  if (index < 0 || index >= static_cast<int64_t>(target.getLayers()))
    return weightError(weight, "reads layer " + Twine(index) + " of @" +
                                   target.getSymName() + ", which has " +
                                   Twine(target.getLayers()));
  return openLayer(target, index);
}

WeightEvaluator::Source
WeightEvaluator::openConcat(WeightOp weight, Operation *op, int64_t layer) {
  auto concat = cast<tensor::ConcatOp>(op);
  if (concat.getDim() != 0)
    return weightError(weight, "concatenates along dimension " +
                                   Twine(concat.getDim()) + ", not 0");
  std::vector<RowPart> parts;
  for (Value input : concat.getInputs()) {
    Source part = openValue(weight, input, layer);
    if (!part)
      return part.takeError();
    parts.push_back({shapeOf(input.getType()).rows, std::move(*part)});
  }
  return makeConcatSource(std::move(parts), elementBytesOf(concat.getType()));
}

WeightEvaluator::Source
WeightEvaluator::openCast(WeightOp weight, Operation *cast, int64_t layer) {
  Type from = getElementTypeOrSelf(cast->getOperand(0).getType());
  Type to = getElementTypeOrSelf(cast->getResult(0).getType());
  if (!isCastable(from) || !isCastable(to))
    return weightError(weight, "cannot convert its elements");
  Source input = openValue(weight, cast->getOperand(0), layer);
  if (!input)
    return input.takeError();
  return makeCastSource(std::move(*input), from, to);
}

WeightEvaluator::Source WeightEvaluator::openValue(WeightOp weight, Value value,
                                                   int64_t layer) {
  Operation *op = value.getDefiningOp();
  if (!op)
    return weightError(weight, "init region yields its own argument");
  if (auto read = dyn_cast<WeightAtOp>(op))
    return openRead(weight, read, layer);
  if (isa<tensor::ConcatOp>(op))
    return openConcat(weight, op, layer);
  if (isa<arith::TruncFOp, arith::ExtFOp>(op))
    return openCast(weight, op, layer);
  if (isa<TransposeOp>(op)) {
    Source input = openValue(weight, op->getOperand(0), layer);
    if (!input)
      return input.takeError();
    return makeTransposeSource(std::move(*input),
                               elementBytesOf(value.getType()));
  }
  return weightError(weight, "init region holds " +
                                 op->getName().getStringRef() +
                                 ", which cannot be evaluated");
}

WeightEvaluator::Source WeightEvaluator::openLayer(WeightOp weight,
                                                   int64_t layer) {
  if (weight.getSources())
    return openAttribute(weight, (*weight.getSources())[layer]);
  if (llvm::is_contained(opening, weight))
    return weightError(weight, "init region reads the weight itself");
  opening.push_back(weight);
  auto yield = cast<YieldOp>(weight.getInit().front().getTerminator());
  Source source = openValue(weight, yield.getOperand(0), layer);
  opening.pop_back();
  return source;
}

llvm::Expected<EvaluatedWeight> WeightEvaluator::open(WeightOp weight) {
  Type element = weight.getTensorType().getElementType();
  if (!getStoredType(element)) {
    std::string name;
    llvm::raw_string_ostream(name) << element;
    return weightError(weight, "has elements of type " + name +
                                   ", which no engine stores");
  }
  std::vector<std::unique_ptr<const RowSource>> layers;
  for (int64_t layer = 0; layer < int64_t(weight.getLayers()); ++layer) {
    Source source = openLayer(weight, layer);
    if (!source)
      return source.takeError();
    layers.push_back(std::move(*source));
  }
  return EvaluatedWeight(weight, std::move(layers));
}

std::vector<std::string> WeightEvaluator::getFiles() const {
  std::vector<std::string> names;
  for (const auto &entry : files)
    names.push_back(entry.getKey().str());
  llvm::sort(names);
  return names;
}
