// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef FDPP_TOOLS_FDPP_EVAL_EVALUATE_H
#define FDPP_TOOLS_FDPP_EVAL_EVALUATE_H

#include "Client.h"
#include "Reference.h"
#include "Statistics.h"

#include <optional>

namespace fdpp::eval {

/// How an engine differs from a reference, over all scored tokens.
struct Difference {
  Estimate nll;               // engine minus reference, nats
  Estimate sameTop;           // share of tokens with the same most likely one
  std::optional<Estimate> kl; // KL(reference || engine), nats
  double klMedian = 0, kl99 = 0, klMax = 0;
};

struct Evaluation {
  int64_t windows = 0, scored = 0;
  Estimate nll; // nats a token
  std::optional<Difference> difference;
  double seconds = 0;
};

struct Wish {
  int32_t threads = 0;                  // 0: the runtime's default
  ReferenceReader *reference = nullptr; // to compare with, of the same windows
  ReferenceWriter *writer = nullptr;    // to write to
};

/// Runs every window by itself and scores it.
Evaluation evaluate(const tools::Engine &engine,
                    const std::vector<Window> &windows, const Wish &wish);

} // namespace fdpp::eval

#endif // FDPP_TOOLS_FDPP_EVAL_EVALUATE_H
