// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A model with taps behind the step ABI: written by hand as it is emitted.
#include "kernels/cpu/model.h"
#include "kernels/cpu/taps.h"
#include "support.h"

#include <gtest/gtest.h>

using namespace fdpp;
using namespace fdpp::test;

namespace {

constexpr int dims = 16, heads = 2, page_tokens = 16;

/// Stores token t's key 100 * t + column, its value the negative of that.
template <class E> struct Plain {
  using KvCache = cpu::Cache<E, heads, dims, page_tokens>;
  struct Weights {
    explicit Weights(const void *const *) {}
  };
  static constexpr fdpp_weight_entry weight_table[] = {{"w", 4, FDPP_F32, 1}};
  static constexpr fdpp_model_limits limits = [] {
    fdpp_model_limits few = {};
    few.struct_size = sizeof few;
    few.max_tokens = few.max_rows = 8;
    few.max_sequences = 1;
    few.entries = 1 << FDPP_PREFILL;
    return few;
  }();
  static constexpr const char *arch = "", *features = "";
  static constexpr int64_t arena_bytes = 64;
  static int64_t scratch_bytes(int) { return tap_bytes(); }
  static int64_t tap_bytes() { return cpu::tap_scratch_bytes(8, KvCache()); }

  static void run(int, cpu::Team &team, const Weights &,
                  const cpu::Step<KvCache> &step) {
    using namespace cpu;
    int32_t *slots = step.template at<int32_t>(0);
    if (team.index == 0)
      for (int t = 0; t < step.num_tokens; ++t)
        store(step, t, slots[t] = 2 * page_tokens + 3 * t);
    team.barrier();
    static const char *const nodes[] = {"graph/key"};
    tap_keys(team, step, {"key", nodes[0], 1}, 1, slots);
    tap_values(team, step, {"value", "graph/value", 1}, 1, slots);
    if (team.index == 0)
      step.logits[0] = 7;
    team.barrier();
    tap(team, step, {"logits", "", -1}, 1, 1, step.logits);
  }

  static void store(const cpu::Step<KvCache> &step, int token, int slot) {
    for (int column = 0; column < heads * dims; ++column) {
      auto value = cpu::splat(float(100 * token + column));
      cpu::kv_store_key_columns(step.cache, 1, slot, column, value, 1);
      cpu::kv_store_value_columns(step.cache, 1, slot, column, -value, 1);
    }
  }
};

template <class E> struct Tapped : Plain<E> {
  static constexpr const char *tap_names[] = {"key", "value", "logits",
                                              nullptr};
};

struct Seen {
  std::vector<fdpp_tap> taps;
  std::vector<std::vector<float>> data;

  template <class E> static void see(void *ctx, const fdpp_tap *tap) {
    Seen &self = *static_cast<Seen *>(ctx);
    self.taps.push_back(*tap);
    auto &values = self.data.emplace_back();
    for (int i = 0; i < tap->rows * tap->columns; ++i)
      values.push_back(tap->dtype == FDPP_F32
                           ? static_cast<const float *>(tap->data)[i]
                           : to_float(static_cast<const E *>(tap->data)[i]));
  }
};

/// A step of three tokens of M, whose struct ends after `struct_size` bytes.
template <class M>
Seen run_step(size_t struct_size, int threads, bool callback = true) {
  using E = typename M::KvCache::element;
  const fdpp_model_table &table = *cpu::query<M>(FDPP_STEP_ABI_VERSION);
  Scratch workspace(table.workspace_size(threads));
  std::vector<E> cache(4 * 2 * 2 * heads * dims * page_tokens);
  float logits[1];
  int32_t tokens[3] = {};
  Seen seen;
  fdpp_executor executor = {sizeof(fdpp_executor), threads, nullptr,
                            [](void *self, fdpp_parallel_fn fn, void *ctx) {
                              std::vector<std::thread> team;
                              int count = *static_cast<int *>(self);
                              for (int i = 0; i < count; ++i)
                                team.emplace_back([=] { fn(ctx, i, count); });
                              for (std::thread &thread : team)
                                thread.join();
                            }};
  executor.self = &threads;
  fdpp_step step = {};
  step.struct_size = uint32_t(struct_size);
  step.entry = FDPP_PREFILL;
  step.num_tokens = 3;
  step.num_seqs = step.num_rows = 1;
  step.num_pages = 4;
  step.tokens = step.positions = tokens;
  step.cache = cache.data();
  step.logits = logits;
  step.workspace = workspace.data();
  step.executor = &executor;
  step.tap = callback ? Seen::see<E> : nullptr;
  step.tap_ctx = &seen;
  fdpp_model *model = table.create(0, nullptr, nullptr);
  EXPECT_EQ(table.step(model, &step), FDPP_STATUS_OK) << step.message;
  table.destroy(model);
  EXPECT_TRUE(workspace.intact());
  EXPECT_EQ(logits[0], 7);
  return seen;
}

template <class E> void expect_values(int dtype) {
  for (int threads : {1, 3}) {
    Seen seen = run_step<Tapped<E>>(sizeof(fdpp_step), threads);
    ASSERT_EQ(seen.taps.size(), 3u);
    EXPECT_STREQ(seen.taps[0].name, "key");
    EXPECT_STREQ(seen.taps[0].node, "graph/key");
    EXPECT_STREQ(seen.taps[1].name, "value");
    EXPECT_STREQ(seen.taps[2].name, "logits");
    for (int i : {0, 1}) {
      EXPECT_EQ(seen.taps[i].layer, 1);
      EXPECT_EQ(seen.taps[i].dtype, dtype);
      ASSERT_EQ(seen.taps[i].rows, 3);
      ASSERT_EQ(seen.taps[i].columns, heads * dims);
      for (int token = 0; token < 3; ++token)
        for (int column = 0; column < heads * dims; ++column) {
          float stored = to_float(from_float<E>(float(100 * token + column)));
          EXPECT_EQ(seen.data[i][token * heads * dims + column],
                    i == 0 ? stored : -stored);
        }
    }
    EXPECT_EQ(seen.data[2], std::vector<float>{7});
  }
}

TEST(Taps, ShowWhatKernelsStored) {
  expect_values<float>(FDPP_F32);
  expect_values<bf16>(FDPP_BF16);
  expect_values<f16>(FDPP_F16);
}

TEST(Taps, AStepWithoutACallbackShowsNothing) {
  EXPECT_TRUE(
      run_step<Tapped<float>>(sizeof(fdpp_step), 2, false).taps.empty());
}

/// A runtime from before taps gives a shorter struct; what lies behind it is
/// not read.
TEST(Taps, AShorterStepHasNoTap) {
  for (size_t size : {offsetof(fdpp_step, tap), offsetof(fdpp_step, tap_ctx)})
    EXPECT_TRUE(run_step<Tapped<float>>(size, 1).taps.empty());
}

TEST(Taps, OnlyModelsWithTapsNameThem) {
  const char *const *names =
      cpu::query<Tapped<float>>(FDPP_STEP_ABI_VERSION)->tap_names;
  ASSERT_NE(names, nullptr);
  EXPECT_STREQ(names[2], "logits");
  EXPECT_EQ(names[3], nullptr);
  EXPECT_EQ(cpu::query<Plain<float>>(FDPP_STEP_ABI_VERSION)->tap_names,
            nullptr);
  EXPECT_TRUE(run_step<Plain<float>>(sizeof(fdpp_step), 2).taps.empty());
}

} // namespace
