// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "fdpp/Engine/NativeCompiler.h"

#include "OutputFile.h"
#include "fdpp/Engine/Inputs.h"
#include "fdpp/Engine/InternalError.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SmallString.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/BLAKE3.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Process.h"
#include "llvm/Support/Program.h"

#include <sys/mman.h>
#include <unistd.h>

using namespace mlir::fdpp;
using llvm::createStringError;
using llvm::SmallString;
using llvm::StringRef;
namespace fs = llvm::sys::fs;
namespace path = llvm::sys::path;

char InternalError::ID = 0;

void InternalError::log(llvm::raw_ostream &os) const { os << text; }

std::error_code InternalError::convertToErrorCode() const {
  return llvm::inconvertibleErrorCode();
}

//===----------------------------------------------------------------------===//
// Finding.
//===----------------------------------------------------------------------===//

static bool holdsHeaders(StringRef folder) {
  return fs::exists(folder + "/kernels/cpu/kernels.h") &&
         fs::exists(folder + "/include/fdpp-runtime/model_abi.h");
}

static llvm::Expected<std::string> findHeaders(StringRef executable) {
  if (auto given = llvm::sys::Process::GetEnv("FDPP_INCLUDE_DIR")) {
    if (holdsHeaders(*given))
      return *given;
    return createStringError("FDPP_INCLUDE_DIR: " + *given +
                             " holds no kernels/cpu/kernels.h; give the folder "
                             "of the runtime's headers");
  }
  SmallString<256> installed(path::parent_path(path::parent_path(executable)));
  path::append(installed, "share", "fdpp");
  if (holdsHeaders(installed))
    return installed.str().str();
  return createStringError("no kernel headers in " + installed +
                           "; install fdpp again or set FDPP_INCLUDE_DIR");
}

namespace {
/// A compiler: where it is looked for and how it is told from other programs.
struct Kind {
  StringRef variable; // of the environment
  std::initializer_list<StringRef> names;
  StringRef called, install;
  StringRef version; // the line of --version that tells it has this
};
} // namespace

static const Kind kClang = {
    "FDPP_CXX",
    {"clang++-22", "/usr/lib/llvm-22/bin/clang++", "clang++"},
    "clang++",
    "no clang++-22 or clang++ found; install clang-22 (utils/setup.sh does)",
    "clang"};
static const Kind kNvcc = {
    "FDPP_NVCC",
    {"nvcc", "/usr/local/cuda/bin/nvcc"},
    "nvcc",
    "no nvcc found; install the CUDA Toolkit 13 (it needs no gpu)",
    "release "};

static llvm::Expected<std::string> findProgram(const Kind &kind,
                                               StringRef cxx) {
  std::string wanted = cxx.str();
  StringRef origin = "--cxx";
  if (wanted.empty()) {
    wanted = llvm::sys::Process::GetEnv(kind.variable).value_or("");
    origin = kind.variable;
  }
  if (!wanted.empty()) {
    if (auto found = llvm::sys::findProgramByName(wanted))
      return *found;
    return createStringError(origin + ": no program '" + wanted + "'; name a " +
                             kind.called);
  }
  for (StringRef name : kind.names)
    if (auto found = llvm::sys::findProgramByName(name);
        found && llvm::sys::fs::can_execute(*found))
      return *found;
  return createStringError(kind.install + " or name one with --cxx");
}

namespace {
/// What a program says. In memory: a file could not hold it where the disk is
/// full, which is when it matters most.
class Log {
public:
  Log() : file(memfd_create("compiler.log", 0)) {}
  ~Log() { close(file); }
  Log(const Log &) = delete;

  /// Inherited by the program, which opens it by this name.
  std::string path() const { return "/proc/self/fd/" + std::to_string(file); }
  std::string read() const {
    auto buffer = llvm::MemoryBuffer::getOpenFile(file, path(), -1);
    return buffer ? (*buffer)->getBuffer().str() : "";
  }

private:
  int file;
};
} // namespace

/// This process' environment, with `scratch` for temporary files: what a killed
/// or failing compiler leaves there goes away with the folder.
static std::vector<std::string> environmentWith(StringRef scratch) {
  std::vector<std::string> environment;
  for (char **entry = environ; *entry; ++entry)
    if (!StringRef(*entry).starts_with("TMPDIR="))
      environment.push_back(*entry);
  environment.push_back("TMPDIR=" + scratch.str());
  return environment;
}

/// Runs the program with its output in `log`; returns its exit status.
static int run(llvm::ArrayRef<std::string> arguments, const Log &log,
               llvm::ArrayRef<std::string> environment = {}) {
  llvm::SmallVector<StringRef> words(arguments), variables(environment);
  std::optional<llvm::ArrayRef<StringRef>> given;
  if (!environment.empty())
    given = variables;
  std::string output = log.path();
  std::optional<StringRef> redirects[] = {StringRef(""), output, output};
  return llvm::sys::ExecuteAndWait(arguments.front(), words, given, redirects);
}

llvm::Expected<NativeCompiler>
NativeCompiler::find(StringRef target, StringRef cxx, StringRef executable) {
  NativeCompiler compiler;
  compiler.isCuda = target == "cuda";
  const Kind &kind = compiler.isCuda ? kNvcc : kClang;
  llvm::Expected<std::string> program = findProgram(kind, cxx);
  if (!program)
    return program.takeError();
  compiler.program = *program;
  llvm::Expected<std::string> headers = findHeaders(executable);
  if (!headers)
    return headers.takeError();
  compiler.headers = *headers;
  Log log;
  int status = run({compiler.program, "--version"}, log);
  std::string text = log.read();
  llvm::SmallVector<StringRef> lines;
  StringRef(text).split(lines, '\n');
  auto line = llvm::find_if(
      lines, [&](StringRef line) { return line.contains(kind.version); });
  if (status != 0 || line == lines.end())
    return createStringError(compiler.program + ": not a " + kind.called +
                             "; name one with --cxx");
  compiler.version = line->str();
  return compiler;
}

llvm::Expected<NativeCompiler>
NativeCompiler::findHeadersOnly(StringRef target, StringRef executable) {
  NativeCompiler compiler;
  compiler.isCuda = target == "cuda";
  llvm::Expected<std::string> headers = findHeaders(executable);
  if (!headers)
    return headers.takeError();
  compiler.headers = *headers;
  return compiler;
}

llvm::Expected<std::string> NativeCompiler::digestHeaders() const {
  StringRef others = isCuda ? "/kernels/cpu/" : "/kernels/cuda/";
  std::vector<std::string> files;
  std::error_code error;
  for (StringRef part : {"/kernels", "/include/fdpp-runtime"})
    for (fs::recursive_directory_iterator at(headers + part, error), end;
         at != end && !error; at.increment(error))
      if (path::extension(at->path()) == ".h" &&
          !StringRef(at->path()).contains(others))
        files.push_back(at->path());
  if (error)
    return fileError(headers, "read the headers", error.value());
  llvm::sort(files);
  llvm::BLAKE3 hash;
  for (const std::string &file : files) {
    auto buffer = llvm::MemoryBuffer::getFile(file);
    if (!buffer)
      return fileError(file, "read the header", buffer.getError().value());
    hash.update(StringRef(file).drop_front(headers.size()));
    hash.update((*buffer)->getBuffer());
  }
  return llvm::toHex(hash.final(), /*LowerCase=*/true);
}

static bool isScript(StringRef program) {
  auto start = llvm::MemoryBuffer::getFileSlice(program, /*MapSize=*/2, 0);
  return !start || (*start)->getBuffer() == "#!";
}

std::optional<std::string>
NativeCompiler::getObjectKey(const TargetArch &arch, StringRef source,
                             StringRef digest) const {
  fs::file_status status;
  if (isCuda || isScript(program) || fs::status(program, status))
    return std::nullopt;
  // Versions of a compiler under development may share a name.
  auto changed = status.getLastModificationTime().time_since_epoch().count();
  std::vector<std::string> texts = {"object 1",
                                    source.str(),
                                    digest.str(),
                                    version,
                                    std::to_string(status.getSize()),
                                    std::to_string(changed)};
  llvm::append_range(texts, arguments(arch, "headers", "source", "output"));
  for (const char *name :
       {"CPATH", "C_INCLUDE_PATH", "CPLUS_INCLUDE_PATH", "LIBRARY_PATH",
        "COMPILER_PATH", "CCC_OVERRIDE_OPTIONS", "CLANG_CONFIG_FILE_USER_DIR"})
    texts.push_back(llvm::sys::Process::GetEnv(name).value_or(""));
  return hashTexts(texts);
}

//===----------------------------------------------------------------------===//
// Compiling.
//===----------------------------------------------------------------------===//

std::vector<std::string> NativeCompiler::arguments(const TargetArch &arch,
                                                   StringRef headers,
                                                   StringRef source,
                                                   StringRef output) const {
  std::vector<std::string> list = {"-std=c++20", "-O3"};
  llvm::append_range(list, arch.flags);
  // The standard library is linked in, so that an engine does not depend on
  // the one of the machine it was compiled on; so is CUDA's runtime. Symbols
  // name nvcc's temporary files. 20011 is about functions that are written for
  // contexts of the host and of the device (stream.h).
  if (isCuda)
    llvm::append_range(
        list, std::initializer_list<const char *>{
                  "--expt-relaxed-constexpr", "--extended-lambda",
                  "--diag-suppress=177,20011", "--objdir-as-tempdir", "-shared",
                  "--cudart=static",
                  "--compiler-options=-fPIC,-fvisibility=hidden,-static-"
                  "libstdc++,-static-libgcc",
                  "--linker-options=--exclude-libs,ALL,-z,defs,-s"});
  else
    llvm::append_range(
        list, std::initializer_list<const char *>{
                  "-mprefer-vector-width=512", "-ffp-contract=on", "-Wno-psabi",
                  "-fno-exceptions", "-fno-rtti", "-fPIC", "-shared",
                  "-fvisibility=hidden", "-static-libstdc++", "-static-libgcc",
                  "-Wl,--exclude-libs,ALL", "-Wl,-z,defs"});
  list.push_back("-I" + headers.str());
  list.push_back("-I" + headers.str() + "/include");
  list.push_back(source.str());
  list.push_back("-o");
  list.push_back(output.str());
  return list;
}

std::vector<std::string>
NativeCompiler::describe(const TargetArch &arch) const {
  std::vector<std::string> list =
      arguments(arch, "$FDPP_INCLUDE_DIR", getSourceName(), "../model.so");
  list.insert(list.begin(), path::filename(program).str());
  return list;
}

/// The first line that says what went wrong, without the folders it is in.
static std::string firstError(StringRef log) {
  StringRef first = log.split('\n').first;
  llvm::SmallVector<StringRef> lines;
  log.split(lines, '\n');
  for (StringRef line : lines)
    if (line.contains("error:")) {
      first = line.substr(line.find("error:") + 7);
      break;
    }
  return first.empty() ? "it said nothing" : first.str();
}

llvm::Error NativeCompiler::compile(const TargetArch &arch, StringRef source,
                                    StringRef output, StringRef scratch) const {
  std::vector<std::string> list = arguments(arch, headers, source, output);
  list.insert(list.begin(), program);
  if (std::error_code error = fs::create_directory(scratch))
    return fileError(scratch, "create the folder", error.value());
  Log log;
  int status = run(list, log, environmentWith(scratch));
  fs::remove_directories(scratch);
  if (status == 0)
    return llvm::Error::success();
  std::string text = log.read(), why = firstError(text);
  if (status < 0)
    return createStringError(program + ": was killed while it compiled "
                                       "the model; is there enough memory?");
  for (StringRef fault :
       {"No space left", "file not found", "unable to", "cannot find",
        "Disk quota", "File too large", "File size limit"})
    if (StringRef(text).contains(fault))
      return createStringError(program + ": cannot compile the model: " + why);
  // What was emitted is wrong: keep it for the report of this defect.
  SmallString<128> kept;
  if (!fs::createTemporaryFile("fdpp-model",
                               path::extension(source).drop_front(), kept))
    fs::copy_file(source, kept);
  return llvm::make_error<InternalError>(path::filename(program).str() +
                                         " refuses the emitted source: " + why +
                                         "; it is kept in " + kept.str().str());
}
