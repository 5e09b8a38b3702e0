// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef FDPP_TOOLS_FDPP_RUN_RUN_H
#define FDPP_TOOLS_FDPP_RUN_RUN_H

#include "Options.h"
#include "RowCounts.h"

#include <chrono>
#include <string>
#include <vector>

namespace fdpp::tools {

/// The prompts of the command line or of stdin, as tokens.
std::vector<std::vector<int32_t>> readPrompts(const RunOptions &options,
                                              const Engine &engine);

/// Completes every prompt, in one batch, and writes the results.
int runPrompts(const RunOptions &options, const Engine &engine,
               std::chrono::steady_clock::time_point start);

/// A conversation on the terminal until its end (Ctrl-D).
int runChat(const RunOptions &options, const Engine &engine);

int listDevices(const RunOptions &options);
int showPlan(const RunOptions &options, const Engine &engine);

/// What a run took; `firstTokenMs` counts from the start of the process' main.
void printStats(const fdpp_stats &stats, const RowCounts &recomputed,
                double firstTokenMs);
std::string statsAsJson(const fdpp_stats &stats, const RowCounts &recomputed,
                        double firstTokenMs);

/// Writes the intermediate values of a prompt's steps.
int runTaps(const RunOptions &options, const Engine &engine);

/// What stands before the elements in a float32 [rows, columns] .npy.
std::string npyHeader(int64_t rows, int64_t columns);

/// float32 [rows, columns] as NumPy's .npy, version 1.0.
void writeNpy(const std::string &path, const std::vector<float> &values,
              int64_t rows, int64_t columns);

} // namespace fdpp::tools

#endif // FDPP_TOOLS_FDPP_RUN_RUN_H
