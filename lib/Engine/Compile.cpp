// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "fdpp/Engine/Compile.h"

#include "EngineFolder.h"
#include "LoadModel.h"
#include "fdpp/Engine/CpuArch.h"
#include "fdpp/Engine/CudaArch.h"
#include "fdpp/Engine/InternalError.h"
#include "fdpp/Engine/WriteEngine.h"
#include "fdpp/Pipelines/Registration.h"
#include "fdpp/Target/CPU/EmitCPU.h"
#include "fdpp/Target/CUDA/EmitCUDA.h"
#include "fdpp/Target/Common/ModelPrinter.h"
#include "fdpp/Tuning/TuningTable.h"

#include "device/cpu/CpuIdentity.h"
#include "kernels/common/tiles.h"

#include "mlir/IR/DialectRegistry.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

using namespace mlir;
using namespace mlir::fdpp;
using ::fdpp::Phase;
using llvm::createStringError;
namespace path = llvm::sys::path;

namespace {

class Compilation {
public:
  Compilation(const CompileOptions &options, raw_ostream &out,
              StageListener listener);

  llvm::Expected<CompileResult> run();
  StringRef getTuningNote() const { return tuningNote; }

private:
  llvm::Error prepare();
  llvm::Error prepareArch();
  llvm::Error prepareTuning();
  void useTable(const TuningTable &table, StringRef file);
  llvm::Error openReused();
  llvm::Error openPhi();
  llvm::Error prepareEngine();
  llvm::Error load();
  llvm::Error decideContext();
  llvm::Error lower();
  llvm::Error emitText();
  llvm::Expected<CompileResult> writeFolder();
  std::vector<std::string> describeCommand() const;
  llvm::Expected<std::string> computeKey() const;
  void setAttributes();
  llvm::Error passError(Phase phase, FirstError &errors,
                        StringRef reproducer) const;

  const CompileOptions &options;
  ::fdpp::PhaseOptions phases; // those of the command, completed
  raw_ostream &out;
  StageListener listener;
  MLIRContext context;
  std::vector<Decision> decisions;
  std::optional<NativeCompiler> compiler;
  EngineRequest request;
  OwningOpRef<ModuleOp> module;
  std::string source, tuningNote;
};

/// The dialects, and no threads: passes must remark in one order always.
MLIRContext::Threading single() { return MLIRContext::Threading::DISABLED; }

DialectRegistry allDialects() {
  DialectRegistry registry;
  ::fdpp::registerAllDialects(registry);
  return registry;
}

} // namespace

Compilation::Compilation(const CompileOptions &options, raw_ostream &out,
                         StageListener listener)
    : options(options), phases(options.phases), out(out), listener(listener),
      context(allDialects(), single()) {}

//===----------------------------------------------------------------------===//
// Before the model is read.
//===----------------------------------------------------------------------===//

llvm::Error Compilation::prepare() {
  phases.target = options.target;
  if (llvm::Error error = prepareArch())
    return error;
  request.modelName = path::filename(options.model).str();
  request.modelFolder = path::parent_path(options.model).str();
  if (request.modelFolder.empty())
    request.modelFolder = ".";
  return options.target == "cpu" ? prepareTuning() : llvm::Error::success();
}

llvm::Error Compilation::prepareArch() {
  if (options.target == "cpu") {
    llvm::Expected<CpuArch> arch = resolveCpuArch(options.arch);
    if (!arch)
      return arch.takeError();
    request.arch = *arch;
    phases.tileTokens = arch->tileTokens();
    phases.kernels = arch->kernels();
    phases.features = llvm::join(arch->features, ",");
    return llvm::Error::success();
  }
  if (options.target != "cuda")
    return createStringError("--target=" + options.target +
                             ": this version compiles for cpu and cuda");
  if (options.taps || !options.tuning.empty())
    return createStringError("--target=cuda: this version has no " +
                             StringRef(options.taps ? "taps" : "tuning") +
                             " for cuda");
  if (phases.dtype == "f32")
    return createStringError("--dtype=f32: cuda engines take bf16 or f16");
  llvm::Expected<TargetArch> arch = resolveCudaArch(options.arch);
  if (!arch)
    return arch.takeError();
  request.arch = *arch;
  phases.tileTokens = ::fdpp::most_block_tokens;
  return llvm::Error::success();
}

/// Whether code of --arch is for the very machine that compiles it.
static bool isForHost(StringRef arch) {
  return arch.split('+').first == "native";
}

/// Compiles by the table if it applies. Passes judge by the same target.
void Compilation::useTable(const TuningTable &table, StringRef file) {
  TuningTarget target{phases.device, phases.kernels, request.arch.features};
  tuningNote = table.whyForeign(target);
  phases.tuning = file.str();
  if (!tuningNote.empty())
    return;
  request.tuning =
      InputFile{table.getName().str(), /*bytes=*/0, table.getHash().str()};
  request.tuningFormat = table.getFormat();
}

/// Which table decides. A shipped one is taken by itself only where the
/// processor is known to be the table's.
llvm::Error Compilation::prepareTuning() {
  if (isForHost(options.arch))
    phases.device = ::fdpp::runtime::cpuIdentity().key();
  if (options.tuning == "none")
    return llvm::Error::success();
  bool wanted = !options.tuning.empty();
  std::string file = options.tuning;
  for (const std::string &shipped : findShippedTables(options.executable)) {
    if (wanted && path::filename(shipped) == options.tuning &&
        !llvm::sys::fs::exists(options.tuning))
      file = shipped;
    if (wanted || phases.device.empty())
      continue;
    llvm::Expected<TuningTable> table = TuningTable::read(shipped);
    if (!table)
      return table.takeError();
    if (table->whyForeign({phases.device, phases.kernels, {}}).empty())
      useTable(*table, shipped);
  }
  if (!wanted)
    return llvm::Error::success();
  llvm::Expected<TuningTable> table = TuningTable::read(file);
  if (!table)
    return table.takeError();
  useTable(*table, file);
  return llvm::Error::success();
}

std::vector<std::string> Compilation::describeCommand() const {
  std::vector<std::string> command = {"fdpp-compile",
                                      request.modelName,
                                      "--target=" + options.target,
                                      "--arch=" + request.arch.name,
                                      "--dtype=" + phases.dtype,
                                      "--page-tokens=" +
                                          std::to_string(phases.pageTokens)};
  if (options.maxContext)
    command.push_back("--max-context=" + std::to_string(*options.maxContext));
  if (options.syntheticSeed)
    command.push_back("--synthetic-weights=" +
                      std::to_string(*options.syntheticSeed));
  if (options.taps)
    command.push_back("--taps");
  if (phases.asyncSoftmax != "auto")
    command.push_back("--async-softmax=" + phases.asyncSoftmax);
  if (request.phi)
    command.push_back("--phi=" + path::filename(request.phi->name).str());
  if (request.tuning)
    command.push_back("--tuning=" + request.tuning->name);
  return command;
}

/// Of everything an engine depends on but the content of the files it is made
/// from: this program, the headers, the compiler and the command.
llvm::Expected<std::string> Compilation::computeKey() const {
  llvm::Expected<InputFile> program =
      readInput(path::parent_path(options.executable),
                path::filename(options.executable));
  if (!program)
    return program.takeError();
  std::vector<std::string> texts = {program->hash, request.kernels,
                                    compiler->getVersion().str()};
  if (request.reused)
    texts.back() = request.reused->getLibraryHash();
  texts.push_back(request.tuning ? request.tuning->hash : "");
  texts.push_back(request.phi ? request.phi->hash : "");
  llvm::append_range(texts, request.command);
  return hashTexts(texts);
}

llvm::Error Compilation::openReused() {
  if (options.reuse.empty())
    return llvm::Error::success();
  llvm::Expected<ReusedEngine> engine = ReusedEngine::open(options.reuse);
  if (!engine)
    return engine.takeError();
  request.reused = std::move(*engine);
  return request.reused->checkRequest(request.product, request.kernels,
                                      request.command);
}

/// A phi of the command's takes the place of the one beside the model.
llvm::Error Compilation::openPhi() {
  if (options.phi.empty())
    return llvm::Error::success();
  StringRef folder = path::parent_path(options.phi);
  llvm::Expected<InputFile> file =
      readInput(folder.empty() ? "." : folder, path::filename(options.phi));
  if (!file)
    return file.takeError();
  request.phi = InputFile{options.phi, file->bytes, file->hash};
  llvm::erase(request.companions, "phi.json");
  return llvm::Error::success();
}

llvm::Error Compilation::prepareEngine() {
  request.target = options.output;
  if (request.target.empty())
    request.target = path::stem(options.model).str() + ".fdpp";
  while (request.target.size() > 1 && request.target.back() == '/')
    request.target.pop_back();
  if (llvm::Error error = checkReplaceable(request.target))
    return error;
  llvm::Expected<NativeCompiler> found =
      options.reuse.empty()
          ? NativeCompiler::find(options.target, options.cxx,
                                 options.executable)
          : NativeCompiler::findHeadersOnly(options.target, options.executable);
  if (!found)
    return found.takeError();
  compiler = std::move(*found);
  llvm::Expected<std::string> kernels = compiler->digestHeaders();
  if (!kernels)
    return kernels.takeError();
  request.kernels = *kernels;
  request.useCache = options.useCache;
  request.product = options.product;
  request.threads = options.threads;
  request.companions = findCompanions(request.modelFolder);
  if (llvm::Error error = openPhi())
    return error;
  request.command = describeCommand();
  if (llvm::Error error = openReused())
    return error;
  llvm::Expected<std::string> key = computeKey();
  if (!key)
    return key.takeError();
  request.key = *key;
  return llvm::Error::success();
}

//===----------------------------------------------------------------------===//
// Phase by phase.
//===----------------------------------------------------------------------===//

void Compilation::setAttributes() {
  Builder builder(&context);
  std::string features;
  for (const std::string &feature : request.arch.features)
    features += (features.empty() ? "" : ",") + feature;
  (*module)->setAttr(kArchAttr, builder.getStringAttr(request.arch.name));
  (*module)->setAttr(kFeaturesAttr, builder.getStringAttr(features));
  (*module)->setAttr(kMaxContextAttr,
                     builder.getI64IntegerAttr(phases.maxContext));
  if (options.taps)
    (*module)->setAttr(::fdpp::kTapsAttr, builder.getUnitAttr());
}

llvm::Error Compilation::load() {
  listener("reading the model", 0, 0);
  if (llvm::Error error = collectDecisions(context, decisions, options.remarks))
    return error;
  llvm::Expected<OwningOpRef<ModuleOp>> loaded =
      loadModel(options.model, context);
  if (!loaded)
    return loaded.takeError();
  module = std::move(*loaded);
  if (options.syntheticSeed)
    makeWeightsSynthetic(*module, *options.syntheticSeed);
  return decideContext();
}

/// The positions a model was trained for are the most it can be asked for: the
/// command's wish, else what an earlier phase wrote down, else all of them.
llvm::Error Compilation::decideContext() {
  std::optional<int64_t> positions = getTrainedContext(*module);
  if (options.maxContext && positions && *options.maxContext > *positions)
    return createStringError(
        "--max-context=" + std::to_string(*options.maxContext) +
        ": the model was trained for " + std::to_string(*positions) +
        " positions (max_position_embeddings); give at most that");
  phases.maxContext = positions.value_or(kDefaultMaxContext);
  if (auto decided = (*module)->getAttrOfType<IntegerAttr>(kMaxContextAttr))
    phases.maxContext = decided.getInt();
  if (options.maxContext)
    phases.maxContext = *options.maxContext;
  return llvm::Error::success();
}

/// A graph that cannot be raised is the user's; what fails later in a model
/// that came from ONNX is a defect of a pass.
llvm::Error Compilation::passError(Phase phase, FirstError &errors,
                                   StringRef reproducer) const {
  std::string line = errors.take("a pass failed without saying why");
  if (phase <= Phase::Raised || isMLIR(options.model)) {
    llvm::sys::fs::remove(reproducer);
    return createStringError(line);
  }
  return llvm::make_error<InternalError>(
      "internal error on the way to phase '" +
      ::fdpp::getPhaseName(phase).str() + "': " + line +
      "; reproducer: " + reproducer.str());
}

/// What a pass leaves behind that forgets an operation of the graph.
static void bringBackGraphOperation(ModuleOp module) {
  OpBuilder builder = OpBuilder::atBlockEnd(module.getBody());
  Location loc = module.getLoc();
  Type type = RankedTensorType::get({1}, builder.getF32Type());
  auto func = func::FuncOp::create(builder, loc, "left_behind",
                                   builder.getFunctionType(type, type));
  func.setPrivate();
  builder.setInsertionPointToStart(func.addEntryBlock());
  OperationState state(loc, "onnx.Identity", func.getArguments(), type);
  func::ReturnOp::create(builder, loc, builder.create(state)->getResults());
}

llvm::Error Compilation::lower() {
  SmallString<128> reproducer;
  if (auto error = llvm::sys::fs::createTemporaryFile("fdpp-reproducer", "mlir",
                                                      reproducer))
    return createStringError("cannot create a temporary file (" +
                             error.message() + ")");
  FirstError errors(context);
  Phase last = std::min(options.emit, Phase::Emittable);
  for (Phase phase = ::fdpp::detectPhase(*module); phase < last;) {
    phase = static_cast<Phase>(static_cast<int>(phase) + 1);
    listener("lowering", static_cast<int>(phase),
             static_cast<int>(Phase::Emittable));
    PassManager passes(&context);
    passes.enableCrashReproducerGeneration(reproducer);
    ::fdpp::addPassesTo(phase, phases, passes);
    if (options.faultBefore == phase)
      bringBackGraphOperation(*module);
    if (failed(passes.run(*module)))
      return passError(phase, errors, reproducer);
  }
  llvm::sys::fs::remove(reproducer);
  return llvm::Error::success();
}

llvm::Error Compilation::emitText() {
  // Its kernels read 16 bytes of a head at a time.
  if (options.target == "cuda")
    if (auto model = (*module)->getAttrOfType<ModelAttr>(kModelAttr);
        model && model.getHeadDim() % 8 != 0)
      return createStringError("--target=cuda: heads of " +
                               llvm::Twine(model.getHeadDim()) +
                               " elements; cuda takes multiples of 8");
  FirstError errors(context);
  llvm::raw_string_ostream os(source);
  auto emit = options.target == "cuda" ? ::fdpp::emitCUDA : ::fdpp::emitCPU;
  if (failed(emit(*module, os)))
    return createStringError(
        errors.take("the module cannot be printed as source"));
  return llvm::Error::success();
}

llvm::Expected<CompileResult> Compilation::writeFolder() {
  llvm::Expected<ModelInfo> info = describeModel(*module);
  if (!info)
    return info.takeError();
  CompileResult result;
  result.folder = request.target;
  result.layers = info->limits.layers;
  result.weightBytes = info->weightBytes;
  result.phiUnused = request.phi && !info->readsPhi;
  if (llvm::Error error =
          writeEngine(*module, source, decisions, *compiler, request, listener))
    return error;
  return result;
}

llvm::Expected<CompileResult> Compilation::run() {
  if (llvm::Error error = prepare())
    return error;
  if (options.emit == Phase::Engine) {
    if (llvm::Error error = prepareEngine())
      return error;
    if (!options.force && options.remarks.empty() &&
        isUpToDate(request.target, request.key, request.modelFolder,
                   request.companions)) {
      CompileResult result;
      result.folder = request.target;
      result.upToDate = true;
      return result;
    }
  }
  if (llvm::Error error = load())
    return error;
  if (llvm::Error error = lower())
    return error;
  if (options.emit >= Phase::Emittable)
    setAttributes();
  if (options.emit <= Phase::Emittable) {
    module->print(out);
    out << "\n";
    return CompileResult();
  }
  if (llvm::Error error = emitText())
    return error;
  if (options.emit == Phase::Engine)
    return writeFolder();
  out << source;
  return CompileResult();
}

llvm::Expected<CompileResult> mlir::fdpp::compile(const CompileOptions &options,
                                                  raw_ostream &out,
                                                  StageListener listener) {
  Compilation compilation(options, out, listener);
  llvm::Expected<CompileResult> result = compilation.run();
  if (result)
    result->tuningNote = compilation.getTuningNote().str();
  return result;
}
