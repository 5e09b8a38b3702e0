// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Functions of an ELF library by size. Only the symbol table is read; every
// offset is checked, since the file may be anything.
#include "Inspect.h"

#include <cxxabi.h>
#include <elf.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <optional>
#include <tuple>

using namespace fdpp::inspect;

namespace {

/// Parts of a file; nothing for what lies outside.
class Bytes {
public:
  explicit Bytes(std::string text) : text(std::move(text)) {}

  template <typename T> std::optional<T> at(uint64_t offset) const {
    if (offset > text.size() || text.size() - offset < sizeof(T))
      return std::nullopt;
    T value;
    std::memcpy(&value, text.data() + offset, sizeof(T));
    return value;
  }

  std::string string(uint64_t offset) const {
    if (offset >= text.size())
      return "";
    return std::string(text.data() + offset,
                       strnlen(text.data() + offset, text.size() - offset));
  }

private:
  std::string text;
};

} // namespace

static std::string demangle(const std::string &name) {
  int status = 0;
  char *text = abi::__cxa_demangle(name.c_str(), nullptr, nullptr, &status);
  std::string out = status == 0 ? text : "";
  std::free(text);
  return out;
}

static void strip(std::string &text, const std::string &part) {
  for (size_t at; (at = text.find(part)) != std::string::npos;)
    text.erase(at, part.size());
}

/// "f<g(int)::{lambda(int)#1}>(int) const" as "f<g::{lambda#1}>". A cast, as in
/// "f<(Kind)1>", is no list of arguments and stays.
static std::string withoutArguments(const std::string &name) {
  std::string out;
  int skipped = 0; // open parentheses of a list that is left out
  for (char c : name) {
    bool follows =
        !out.empty() && (out.back() == '>' || out.back() == '_' ||
                         std::isalnum(static_cast<unsigned char>(out.back())));
    if (c == '(' && (skipped > 0 || follows))
      ++skipped;
    else if (c == ')' && skipped > 0)
      --skipped;
    else if (skipped == 0)
      out += c;
  }
  strip(out, " const");
  return out;
}

/// "void fdpp::cpu::f<int>(int)" as "f<int>"; empty for what is no kernel.
static std::string kernelName(const std::string &mangled) {
  std::string name = demangle(mangled);
  if (name.find("fdpp::cpu::") == std::string::npos)
    return "";
  for (const char *space : {"fdpp::cpu::", "fdpp::", "(anonymous namespace)::"})
    strip(name, space);
  name = withoutArguments(name);
  // The body of a lambda is called after the function that holds it.
  for (const char *part :
       {"::{lambda#1}", "::{lambda#2}", "::{lambda#3}", "::operator"})
    strip(name, part);
  // What the function returns stands in front of the last space outside of <>.
  int depth = 0;
  size_t begin = 0;
  for (size_t i = 0; i < name.size(); ++i) {
    depth += (name[i] == '<') - (name[i] == '>');
    if (depth == 0 && name[i] == ' ')
      begin = i + 1;
  }
  return name.substr(begin);
}

static void readSymbols(const Bytes &file, const Elf64_Shdr &table,
                        const Elf64_Shdr &names,
                        std::map<std::string, uint64_t> &sizes) {
  for (uint64_t at = 0; at + sizeof(Elf64_Sym) <= table.sh_size;
       at += sizeof(Elf64_Sym)) {
    auto symbol = file.at<Elf64_Sym>(table.sh_offset + at);
    if (!symbol)
      return;
    if (ELF64_ST_TYPE(symbol->st_info) != STT_FUNC || symbol->st_size == 0)
      continue;
    std::string name =
        kernelName(file.string(names.sh_offset + symbol->st_name));
    if (!name.empty())
      sizes[name] += symbol->st_size;
  }
}

std::vector<Kernel> fdpp::inspect::readKernels(const std::string &path) {
  std::ifstream stream(path, std::ios::binary);
  Bytes file(std::string(std::istreambuf_iterator<char>(stream), {}));
  auto header = file.at<Elf64_Ehdr>(0);
  if (!header || std::memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 ||
      header->e_ident[EI_CLASS] != ELFCLASS64)
    return {};
  auto section = [&](uint64_t index) {
    return file.at<Elf64_Shdr>(header->e_shoff + index * sizeof(Elf64_Shdr));
  };
  std::map<std::string, uint64_t> sizes;
  for (uint64_t i = 0; i < header->e_shnum; ++i)
    if (auto table = section(i); table && table->sh_type == SHT_SYMTAB)
      if (auto names = section(table->sh_link))
        readSymbols(file, *table, *names, sizes);
  std::vector<Kernel> kernels;
  for (const auto &[name, bytes] : sizes)
    kernels.push_back({name, bytes});
  std::sort(kernels.begin(), kernels.end(),
            [](const Kernel &a, const Kernel &b) {
              return std::tie(b.bytes, a.name) < std::tie(a.bytes, b.name);
            });
  return kernels;
}
