// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "ModelLibrary.h"

#include "Dtypes.h"
#include "Error.h"

#include <cstddef>
#include <dlfcn.h>
#include <set>

namespace fdpp::runtime {
namespace {

/// Fields of the first release: a table that ends before them is not one.
constexpr uint32_t kLeastTable =
    offsetof(fdpp_model_table, destroy) + sizeof(fdpp_model_table::destroy);

void checkLimits(const std::string &path, const fdpp_model_limits &model,
                 const fdpp_model_limits &manifest) {
  auto same = [&](const char *name, uint64_t mine, uint64_t told) {
    if (mine != told)
      userError(path + ": says " + name + " " + std::to_string(mine) +
                ", but engine.json says " + std::to_string(told) +
                "; compile the model again");
  };
#define FDPP_SAME(field) same(#field, model.field, manifest.field)
  FDPP_SAME(vocab_size);
  FDPP_SAME(layers);
  FDPP_SAME(query_heads);
  FDPP_SAME(kv_heads);
  FDPP_SAME(head_dim);
  FDPP_SAME(page_tokens);
  FDPP_SAME(cache_dtype);
  FDPP_SAME(max_context);
  FDPP_SAME(max_tokens);
  FDPP_SAME(max_sequences);
  FDPP_SAME(max_rows);
  FDPP_SAME(decode_tokens);
  FDPP_SAME(entries);
  FDPP_SAME(page_bytes);
#undef FDPP_SAME
}

} // namespace

ModelLibrary::ModelLibrary(const std::string &path, const Manifest &manifest) {
  // A name without a slash would be searched for in the library path.
  std::string name = path.find('/') == std::string::npos ? "./" + path : path;
  handle = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!handle)
    userError(path + ": cannot be loaded (" + dlerror() +
              "); compile the model again");
  try {
    auto query = reinterpret_cast<fdpp_model_query_fn>(
        dlsym(handle, "fdpp_model_query"));
    if (!query)
      userError(path + ": no model: it does not export fdpp_model_query; "
                       "compile the model again");
    model = query(FDPP_STEP_ABI_VERSION);
    if (!model || model->abi_version != FDPP_STEP_ABI_VERSION ||
        model->struct_size < kLeastTable)
      userError(path + ": does not speak step abi " +
                std::to_string(FDPP_STEP_ABI_VERSION) + "; " +
                manifest.rebuild);
    if (!model->target || model->target != manifest.target)
      userError(path + ": not built for target '" + manifest.target +
                "', as engine.json says; compile the model again");
    checkLimits(path, model->limits, manifest.limits);
  } catch (...) {
    dlclose(handle);
    throw;
  }
}

ModelLibrary::~ModelLibrary() { dlclose(handle); }

std::vector<const void *> matchWeights(const fdpp_model_table &table,
                                       const WeightFile &weights) {
  std::vector<const void *> bases;
  std::set<std::string> named;
  for (int32_t i = 0; i < table.num_weights; ++i) {
    const fdpp_weight_entry &entry = table.weights[i];
    auto fail = [&](const std::string &why) {
      userError(weights.path() + ": weight '" + entry.name + "' " + why +
                "; compile the model again");
    };
    auto found = weights.tensors().find(entry.name);
    if (found == weights.tensors().end())
      fail("is missing");
    const WeightTensor &tensor = found->second;
    if (tensor.bytes != entry.bytes)
      fail("has " + std::to_string(tensor.bytes) +
           " bytes, but model.so reads " + std::to_string(entry.bytes));
    if (tensor.dtype != entry.dtype && tensor.dtype != FDPP_U8)
      fail(std::string("is ") + kDtypes[tensor.dtype].name +
           ", but model.so reads another dtype");
    named.insert(entry.name);
    bases.push_back(tensor.data);
  }
  for (const auto &[name, tensor] : weights.tensors())
    if (!named.count(name))
      userError(weights.path() + ": weight '" + name +
                "' is not read by model.so; compile the model again");
  return bases;
}

} // namespace fdpp::runtime
