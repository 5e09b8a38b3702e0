// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Calibrate.h"

#include "Progress.h"

#include <algorithm>
#include <chrono>
#include <cmath>

namespace fdpp::calibrate {

using namespace fdpp::tools;

Counts::Counts(int32_t layers, int32_t heads)
    : layers(layers), heads(heads), logits(size_t(rows()) * kBins),
      rowMaximum(logits.size()), rowLogSumExp(logits.size()),
      extremes(size_t(rows()) * 4) {
  for (size_t i = 0; i < extremes.size(); ++i)
    extremes[i] = i % 2 == 0 ? INFINITY : -INFINITY;
}

Counts collect(const Engine &engine, const std::vector<Window> &windows,
               int32_t threads) {
  auto start = std::chrono::steady_clock::now();
  fdpp_engine_info info = infoOf(engine);
  Counts counts(info.layers, info.query_heads);
  auto options = sized<fdpp_session_options>();
  options.threads = threads;
  for (const Window &window : windows) {
    options.context =
        std::max(options.context, static_cast<int32_t>(window.tokens.size()));
    counts.tokens += window.tokens.size();
  }
  counts.windows = windows.size();
  Session session = createSession(engine, options);
  auto where = sized<fdpp_logit_counts>();
  where.bins = Counts::kBins;
  where.low = Counts::kLow;
  where.width = Counts::kWidth;
  where.logits = counts.logits.data();
  where.row_maximum = counts.rowMaximum.data();
  where.row_log_sum_exp = counts.rowLogSumExp.data();
  where.extremes = counts.extremes.data();
  check(fdpp_session_count_logits(session.get(), &where));

  Progress progress("counting logits of windows");
  for (size_t index = 0; index < windows.size(); ++index) {
    progress.update(static_cast<int32_t>(index),
                    static_cast<int32_t>(windows.size()));
    fdpp_sequence *sequence = createSequence(session, index);
    auto item = sized<fdpp_step_item>();
    item.sequence = sequence;
    item.tokens = windows[index].tokens.data();
    item.count = static_cast<int32_t>(windows[index].tokens.size());
    check(fdpp_session_step(session.get(), &item, 1));
    fdpp_sequence_destroy(sequence);
    if (interrupted())
      throw Failure(kInterrupted, "interrupted");
  }
  for (float extreme : counts.extremes)
    if (!std::isfinite(extreme))
      fail("a head has logits that are no finite numbers");
  counts.seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start)
          .count();
  return counts;
}

} // namespace fdpp::calibrate
