// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "StepProfile.h"

#include "Error.h"

#include <cstddef>
#include <string_view>

namespace fdpp::runtime {

StepProfile::StepProfile(Device &device, const fdpp_model_table &table,
                         KernelTimeFn fn, void *ctx)
    : table(table), fn(fn), ctx(ctx), watch(device.makeStopwatch()) {
  bool known = table.struct_size >= offsetof(fdpp_model_table, names_kernels) +
                                        sizeof(fdpp_model_table::names_kernels);
  if (!known || !table.names_kernels)
    userError("the engine does not name its kernels; compile it again with "
              "this version");
}

void StepProfile::begin(fdpp_step &step) {
  kernels.clear();
  step.kernel_ctx = this;
  step.on_kernel = [](void *self, const char *name, int32_t layer) {
    auto &profile = *static_cast<StepProfile *>(self);
    profile.kernels.emplace_back(name, layer);
    profile.watch->mark();
  };
  watch->take(); // of a step that failed
  watch->mark();
}

void StepProfile::finish(const fdpp_step &step) {
  std::vector<double> ends = watch->take();
  bool reads = true; // what is computed of no row reads nothing
  for (size_t i = 0; i < kernels.size(); ++i) {
    auto [name, layer] = kernels[i];
    reads &= std::string_view(name) != "select_rows" || step.num_rows > 0;
    fn(ctx, {name, layer, ends[i], ends[i + 1] - ends[i],
             reads ? bytesOf(name, step) : 0});
  }
}

/// Of a linear its weights, of attention keys and values of all tokens that its
/// sequences hold.
uint64_t StepProfile::bytesOf(const char *name, const fdpp_step &step) const {
  const std::string_view kernel = name;
  for (int32_t i = 0; i < table.num_weights; ++i)
    if (kernel == table.weights[i].name)
      return table.weights[i].bytes / uint64_t(table.weights[i].layers);
  int32_t begin = 0, end = 0;
  if (kernel == "decode_attention")
    end = step.entry == FDPP_MIXED ? step.decode_seqs : step.num_seqs;
  else if (kernel == "prefill_attention") {
    begin = step.entry == FDPP_MIXED ? step.decode_seqs : 0;
    end = step.num_seqs;
  }
  uint64_t slots = 0;
  for (int32_t s = begin; s < end; ++s)
    slots += uint64_t(step.context[s]);
  return slots * (table.limits.page_bytes / uint64_t(table.limits.page_tokens));
}

} // namespace fdpp::runtime
