// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Profile.h"

#include "Json.h"

#include <algorithm>

namespace fdpp::tools {

template <class... Values>
static std::string format(const char *pattern, Values... values) {
  char text[256];
  std::snprintf(text, sizeof(text), pattern, values...);
  return text;
}

void Profile::note(void *self, const fdpp_kernel_time *kernel) {
  auto &profile = *static_cast<Profile *>(self);
  if (kernel->start_ms == 0) { // a step's first
    ++profile.steps;
    if (!profile.calls.empty())
      profile.begin = profile.calls.back().start + profile.calls.back().ms;
  }
  profile.calls.push_back({kernel->name, kernel->layer, profile.steps - 1,
                           profile.begin + kernel->start_ms, kernel->ms,
                           kernel->bytes});
}

std::vector<KernelSum> Profile::sums() const {
  std::vector<KernelSum> list;
  for (const Call &call : calls) {
    auto found = std::find_if(list.begin(), list.end(), [&](const auto &sum) {
      return sum.name == call.name;
    });
    if (found == list.end())
      found = list.insert(found, {call.name});
    ++found->calls;
    found->bytes += call.bytes;
    found->ms += call.ms;
  }
  return list;
}

std::string Profile::markdown(const std::string &row, double ceiling) const {
  std::string text =
      "\n" + row + ", a mean step of " + std::to_string(steps) +
      "\n| kernel | calls | us a call | ms a step | of the step | MB a step | "
      "GB/s | share of the ceiling |\n"
      "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n";
  double total = 0;
  for (const KernelSum &sum : sums())
    total += sum.ms;
  for (const KernelSum &sum : sums()) {
    auto bytes = static_cast<double>(sum.bytes);
    double rate = sum.ms > 0 ? bytes / (sum.ms / 1e3) : 0;
    text += format("| %s | %.4g | %.2f | %.4f | %.3f | ", sum.name.c_str(),
                   static_cast<double>(sum.calls) / steps,
                   sum.ms * 1e3 / static_cast<double>(sum.calls),
                   sum.ms / steps, sum.ms / total);
    if (sum.bytes == 0)
      text += "- | - | - |\n";
    else if (ceiling == 0)
      text += format("%.2f | %.2f | - |\n", bytes / steps / 1e6, rate / 1e9);
    else
      text += format("%.2f | %.2f | %.2f |\n", bytes / steps / 1e6, rate / 1e9,
                     rate / ceiling);
  }
  return text + format("| all | %.4g | | %.4f | 1.000 | | | |\n",
                       static_cast<double>(calls.size()) / steps,
                       total / steps);
}

std::string Profile::json() const {
  std::string text;
  for (const KernelSum &sum : sums())
    text += (text.empty() ? "" : ", ") +
            JsonObjectWriter()
                .add("name", sum.name)
                .add("calls", static_cast<double>(sum.calls) / steps)
                .add("ms", sum.ms / steps)
                .add("bytes", static_cast<double>(sum.bytes) / steps)
                .text();
  return "[" + text + "]";
}

std::string Profile::traceEvents(const std::string &row, int number) const {
  std::string text =
      JsonObjectWriter()
          .add("name", "thread_name")
          .add("ph", "M")
          .add("pid", 1)
          .add("tid", number)
          .raw("args", JsonObjectWriter().add("name", row).text())
          .text() +
      ",\n";
  for (const Call &call : calls)
    text += JsonObjectWriter()
                .add("name", call.name)
                .add("ph", "X")
                .add("pid", 1)
                .add("tid", number)
                .add("ts", call.start * 1e3)
                .add("dur", call.ms * 1e3)
                .raw("args", JsonObjectWriter()
                                 .add("layer", call.layer)
                                 .add("step", call.step)
                                 .add("bytes", call.bytes)
                                 .text())
                .text() +
            ",\n";
  return text;
}

TraceFile::TraceFile(const std::string &path) : path(path), file(path) {
  if (!file)
    fail(path + ": cannot write the trace");
}

void TraceFile::write(const std::string &events) {
  file << "{\"traceEvents\": [\n"
       << events.substr(0, events.size() - 2) << "\n]}\n";
  file.close();
  if (!file)
    fail(path + ": cannot write the trace");
}

} // namespace fdpp::tools
