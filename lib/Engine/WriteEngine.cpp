// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "fdpp/Engine/WriteEngine.h"

#include "Manifest.h"
#include "OutputFile.h"
#include "PhiFile.h"
#include "fdpp/Engine/ObjectCache.h"
#include "fdpp/Engine/WeightEvaluator.h"

#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"

using namespace mlir;
using namespace mlir::fdpp;

namespace {

class EngineWriter {
public:
  EngineWriter(ModuleOp module, const EngineRequest &request,
               StageListener listener, EngineFolder folder)
      : module(module), request(request), listener(listener),
        folder(std::move(folder)), evaluator(module, request.modelFolder) {}

  llvm::Error write(StringRef source, ArrayRef<Decision> decisions,
                    const NativeCompiler &compiler);

private:
  llvm::Error openWeights();
  llvm::Error readInputs();
  llvm::Error checkInputs();
  llvm::Error writeWeights();
  llvm::Error writeCode(StringRef source, const NativeCompiler &compiler);
  llvm::Error takeCode(const ReusedEngine &engine);
  llvm::Error compileCode(StringRef source, const NativeCompiler &compiler);
  llvm::Error copyCompanions();
  llvm::Error writePhi();
  llvm::Error writeReports(ArrayRef<Decision> decisions);
  llvm::Error writeManifestFile();
  std::string modelPath(StringRef name) const {
    return (request.modelFolder + "/" + name).str();
  }

  ModuleOp module;
  const EngineRequest &request;
  StageListener listener;
  EngineFolder folder;
  WeightEvaluator evaluator;
  ModelInfo info;
  std::vector<EvaluatedWeight> weights;
  std::vector<InputFile> inputs;
  std::vector<llvm::sys::fs::file_status> states; // of inputs, when hashed
  std::optional<TokenizerIds> tokenizer;
  std::optional<PhiReport> phi;
};

} // namespace

llvm::Error EngineWriter::openWeights() {
  llvm::Expected<ModelInfo> described = describeModel(module);
  if (!described)
    return described.takeError();
  info = std::move(*described);
  for (WeightOp weight : info.weights) {
    llvm::Expected<EvaluatedWeight> opened = evaluator.open(weight);
    if (!opened)
      return opened.takeError();
    weights.push_back(std::move(*opened));
  }
  return llvm::Error::success();
}

llvm::Error EngineWriter::readInputs() {
  std::vector<std::string> names = evaluator.getFiles();
  llvm::append_range(names, request.companions);
  names.push_back(request.modelName);
  llvm::sort(names);
  names.erase(llvm::unique(names), names.end());
  for (const std::string &name : names) {
    states.emplace_back();
    if (auto error = llvm::sys::fs::status(modelPath(name), states.back()))
      return fileError(modelPath(name), "read the file", error.value());
    llvm::Expected<InputFile> input = readInput(request.modelFolder, name);
    if (!input)
      return input.takeError();
    inputs.push_back(std::move(*input));
  }
  llvm::Expected<std::optional<TokenizerIds>> ids =
      readTokenizerIds(request.modelFolder, request.companions);
  if (!ids)
    return ids.takeError();
  tokenizer = std::move(*ids);
  return llvm::Error::success();
}

/// What was hashed must be what was compiled.
llvm::Error EngineWriter::checkInputs() {
  for (auto [input, before] : llvm::zip(inputs, states)) {
    llvm::sys::fs::file_status now;
    if (llvm::sys::fs::status(modelPath(input.name), now) ||
        now.getSize() != before.getSize() ||
        now.getUniqueID() != before.getUniqueID() ||
        now.getLastModificationTime() != before.getLastModificationTime())
      return llvm::createStringError(modelPath(input.name) +
                                     ": changed while it was compiled; run "
                                     "the command again");
  }
  return llvm::Error::success();
}

llvm::Error EngineWriter::writeWeights() {
  llvm::Expected<FileDigest> digest =
      writeSafetensors(weights, folder.pathOf("weights.safetensors"),
                       request.threads, [&](uint64_t done, uint64_t total) {
                         listener("packing weights", done, total);
                       });
  if (!digest)
    return digest.takeError();
  folder.list("weights.safetensors", *digest);
  return llvm::Error::success();
}

llvm::Error EngineWriter::writeCode(StringRef source,
                                    const NativeCompiler &compiler) {
  std::string command;
  for (const std::string &word : compiler.describe(request.arch))
    command += (command.empty() ? "" : " ") + word;
  if (llvm::Error error = folder.makeSubfolder("source"))
    return error;
  if (llvm::Error error =
          folder.write("source/" + compiler.getSourceName().str(), source))
    return error;
  if (request.reused)
    return takeCode(*request.reused);
  if (llvm::Error error = folder.write("source/command.txt", command + "\n"))
    return error;
  if (llvm::Error error = compileCode(source, compiler))
    return error;
  return folder.adopt("model.so");
}

llvm::Error EngineWriter::takeCode(const ReusedEngine &engine) {
  listener("taking over compiled kernels", 0, 0);
  for (StringRef name : {"source/command.txt", "model.so"}) {
    auto buffer = llvm::MemoryBuffer::getFile(engine.pathOf(name));
    if (!buffer)
      return fileError(engine.pathOf(name), "read the file",
                       buffer.getError().value());
    if (llvm::Error error = folder.write(name, (*buffer)->getBuffer()))
      return error;
  }
  return llvm::Error::success();
}

/// From the object cache, or by the compiler; what that makes is kept there.
/// The cache saves time and is never in the way: what fails about it is said
/// (-v) and no error.
llvm::Error EngineWriter::compileCode(StringRef source,
                                      const NativeCompiler &compiler) {
  std::string library = folder.pathOf("model.so");
  std::optional<ObjectCache> cache;
  std::optional<std::string> key;
  if (request.useCache)
    key = compiler.getObjectKey(request.arch, source, request.kernels);
  if (key) {
    llvm::Expected<ObjectCache> found = ObjectCache::find();
    if (!found)
      return found.takeError();
    cache = std::move(*found);
    listener("looking in the object cache", 0, 0);
    llvm::Expected<bool> fetched = cache->fetch(*key, library);
    if (!fetched)
      return fetched.takeError();
    if (*fetched) {
      listener("kernels from the object cache: " + key->substr(0, 16), 0, 0);
      return llvm::Error::success();
    }
  }
  listener("compiling the kernels", 0, 0);
  if (llvm::Error error = compiler.compile(
          request.arch,
          folder.pathOf("source/" + compiler.getSourceName().str()), library,
          folder.pathOf("scratch")))
    return error;
  if (!cache)
    return llvm::Error::success();
  if (llvm::Error error = cache->store(*key, library))
    listener("object cache: " + llvm::toString(std::move(error)), 0, 0);
  else
    listener("kept in the object cache: " + key->substr(0, 16), 0, 0);
  return llvm::Error::success();
}

llvm::Error EngineWriter::copyCompanions() {
  for (const std::string &name : request.companions) {
    if (name == "phi.json")
      continue;
    auto buffer = llvm::MemoryBuffer::getFile(modelPath(name));
    if (!buffer)
      return fileError(modelPath(name), "read the file",
                       buffer.getError().value());
    if (llvm::Error error = folder.write(name, (*buffer)->getBuffer()))
      return error;
  }
  return llvm::Error::success();
}

/// The command's phi, else the one beside the model, else zeros where attention
/// wants one.
llvm::Error EngineWriter::writePhi() {
  PhiReport report;
  report.heads = int64_t(info.limits.layers) * info.limits.query_heads;
  std::string file;
  if (request.phi)
    file = request.phi->name;
  else if (llvm::is_contained(request.companions, "phi.json"))
    file = modelPath("phi.json");
  else if (!info.readsPhi)
    return llvm::Error::success();
  std::string text = file.empty() ? writeZeroPhi(info) : "";
  if (!file.empty()) {
    auto buffer = llvm::MemoryBuffer::getFile(file);
    if (!buffer)
      return fileError(file, "read the file", buffer.getError().value());
    text = (*buffer)->getBuffer().str();
  }
  llvm::Expected<int64_t> exact = countExactHeads(text, file, info);
  if (!exact)
    return exact.takeError();
  report.exact = *exact;
  report.source = llvm::sys::path::filename(file).str();
  if (llvm::Error error = folder.write("phi.json", text))
    return error;
  report.sha256 = folder.getFiles().at("phi.json").sha256;
  phi = report;
  return llvm::Error::success();
}

llvm::Error EngineWriter::writeReports(ArrayRef<Decision> decisions) {
  if (llvm::Error error =
          folder.write("report.json", writeReportJson(info, decisions, phi)))
    return error;
  return folder.write("report.md", writeReportMarkdown(info, decisions, phi));
}

llvm::Error EngineWriter::writeManifestFile() {
  llvm::Expected<FileDigest> model = digestFile(modelPath(request.modelName));
  if (!model)
    return model.takeError();
  std::string text = writeManifest(info, request, tokenizer, inputs, *model,
                                   folder.getFiles());
  return folder.write("engine.json", text);
}

llvm::Error EngineWriter::write(StringRef source, ArrayRef<Decision> decisions,
                                const NativeCompiler &compiler) {
  // What fails fast comes first.
  if (llvm::Error error = openWeights())
    return error;
  if (llvm::Error error = readInputs())
    return error;
  if (request.reused) {
    if (llvm::Error error = request.reused->checkModel(info))
      return error;
    if (llvm::Error error = request.reused->checkSource(source))
      return error;
  }
  if (llvm::Error error = writeCode(source, compiler))
    return error;
  if (llvm::Error error = writeWeights())
    return error;
  if (llvm::Error error = copyCompanions())
    return error;
  if (llvm::Error error = writePhi())
    return error;
  if (llvm::Error error = writeReports(decisions))
    return error;
  if (llvm::Error error = checkInputs())
    return error;
  if (llvm::Error error = writeManifestFile())
    return error;
  return folder.publish();
}

llvm::Error mlir::fdpp::writeEngine(ModuleOp module, StringRef source,
                                    ArrayRef<Decision> decisions,
                                    const NativeCompiler &compiler,
                                    const EngineRequest &request,
                                    StageListener listener) {
  if (llvm::Error error = checkReplaceable(request.target))
    return error;
  llvm::Expected<EngineFolder> folder = EngineFolder::create(request.target);
  if (!folder)
    return folder.takeError();
  return EngineWriter(module, request, listener, std::move(*folder))
      .write(source, decisions, compiler);
}
