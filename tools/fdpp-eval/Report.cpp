// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Options.h"

#include "Json.h"

#include <cmath>
#include <cstdio>

namespace fdpp::eval {
namespace {

/// exp of a mean loss, with the error that the loss's brings.
Estimate exponential(const Estimate &nll) {
  double value = std::exp(nll.mean);
  return {value, value * nll.error};
}

std::string asJson(const Estimate &estimate) {
  return tools::JsonObjectWriter()
      .add("mean", estimate.mean)
      .add("error", estimate.error)
      .text();
}

void printJson(const Options &options, const tools::Engine &engine,
               const ReferenceReader *reference, const Evaluation &e) {
  tools::JsonObjectWriter writer;
  writer.add("engine", options.folder)
      .add("model", describe(engine))
      .add("windows", e.windows)
      .add("scored_tokens", e.scored)
      .add("seconds", e.seconds)
      .raw("nll", asJson(e.nll))
      .raw("perplexity", asJson(exponential(e.nll)));
  if (const auto &d = e.difference) {
    writer.add("reference", reference->path())
        .add("reference_model", reference->source())
        .raw("perplexity_ratio", asJson(exponential(d->nll)))
        .raw("same_top", asJson(d->sameTop));
    if (d->kl)
      writer.raw("kl", asJson(*d->kl))
          .add("kl_median", d->klMedian)
          .add("kl_99", d->kl99)
          .add("kl_max", d->klMax);
  }
  std::printf("%s\n", writer.text().c_str());
}

} // namespace

std::string describe(const tools::Engine &engine) {
  fdpp_engine_info info = tools::infoOf(engine);
  std::string name = info.name;
  return (name.empty() ? "unnamed" : name) + " " + info.weight_dtype + " (" +
         info.target + " " + info.arch + "), fdpp " + info.product_version;
}

void print(const Options &options, const tools::Engine &engine,
           const ReferenceReader *reference, const Evaluation &e) {
  if (options.json)
    return printJson(options, engine, reference, e);
  Estimate perplexity = exponential(e.nll);
  std::printf("engine      %s\n"
              "text        %lld tokens scored in %lld windows, %.1f s\n"
              "perplexity  %.4f +- %.4f\n",
              describe(engine).c_str(), static_cast<long long>(e.scored),
              static_cast<long long>(e.windows), e.seconds, perplexity.mean,
              perplexity.error);
  const auto &d = e.difference;
  if (!d)
    return;
  Estimate ratio = exponential(d->nll);
  std::printf("reference   %s\n"
              "  perplexity  %+.4f %% +- %.4f %%\n"
              "  same top-1  %.3f %% +- %.3f %%\n",
              reference->source().c_str(), 100 * (ratio.mean - 1),
              100 * ratio.error, 100 * d->sameTop.mean, 100 * d->sameTop.error);
  if (d->kl)
    std::printf(
        "  mean KL     %.3e +- %.1e nats; median %.1e, 99 %% %.1e, most "
        "%.1e\n",
        d->kl->mean, d->kl->error, d->klMedian, d->kl99, d->klMax);
  else
    std::printf("  mean KL     the reference has no log-probabilities\n");
}

void checkGates(const Options &options, const Evaluation &evaluation) {
  const auto &d = evaluation.difference;
  if (!d)
    return;
  char line[160] = "";
  double change = std::exp(d->nll.mean) - 1;
  if (options.maxChange && !(std::abs(change) <= *options.maxChange))
    std::snprintf(line, sizeof(line),
                  "perplexity is %+.4f %% off the reference's, %.4f %% is "
                  "allowed",
                  100 * change, 100 * *options.maxChange);
  else if (options.maxKl && !d->kl)
    std::snprintf(line, sizeof(line),
                  "--max-kl: the reference has no log-probabilities");
  else if (options.maxKl && !(d->kl->mean <= *options.maxKl))
    std::snprintf(line, sizeof(line), "mean KL is %.3e nats, %.3e is allowed",
                  d->kl->mean, *options.maxKl);
  else if (options.minSameTop && !(d->sameTop.mean >= *options.minSameTop))
    std::snprintf(line, sizeof(line),
                  "the most likely token agrees in %.3f %%, %.3f %% is wanted",
                  100 * d->sameTop.mean, 100 * *options.minSameTop);
  if (line[0])
    tools::fail(line);
}

} // namespace fdpp::eval
