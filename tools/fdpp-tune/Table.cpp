// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The table's text (docs/tuning.md). Made for reading too: a point a line.
#include "Client.h"
#include "Tune.h"

#include "JsonReader.h"
#include "kernels/common/tuning.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace fdpp::tune {
namespace {

using json = nlohmann::ordered_json;

/// To a multiple of 1 / `parts`.
double rounded(double value, double parts) {
  return std::round(value * parts) / parts;
}

json deviceOf(const Machine &machine) {
  json device = {{"cpu", machine.cpu},         {"vendor", machine.vendor},
                 {"family", machine.family},   {"model", machine.model},
                 {"kernels", machine.kernels}, {"threads", machine.threads}};
  device["l1d_bytes"] = machine.l1d;
  device["l2_bytes"] = machine.l2;
  device["l3_bytes"] = machine.l3;
  if (!machine.library.empty())
    device["library"] = machine.library;
  device["read_gbs"] = rounded(machine.readGBs, 100);
  device["features"] = machine.features;
  return device;
}

json variantOf(const char *kind, Variant variant) {
  if (variant.isLibrary())
    return {{"kind", kind}};
  return {{"kind", kind},
          {"tokens", variant.tokens},
          {"prefetch", variant.prefetch}};
}

json pointOf(const Point &point, int32_t chosen) {
  json variants = json::array();
  for (const Samples &samples : point.variants) {
    json variant = variantOf(kindOf(samples.variant, point.m), samples.variant);
    auto [least, most] =
        std::minmax_element(samples.seconds.begin(), samples.seconds.end());
    variant["us"] = rounded(samples.median() * 1e6, 100);
    variant["min"] = rounded(*least * 1e6, 100);
    variant["max"] = rounded(*most * 1e6, 100);
    variant["samples"] = samples.seconds.size();
    variants.push_back(variant);
  }
  return {{"m", point.m}, {"chosen", chosen}, {"variants", variants}};
}

/// `items`, a line each.
void writeLines(std::string &text, const char *key,
                const std::vector<json> &items, const char *end) {
  text += std::string("      \"") + key + "\": [\n";
  for (size_t i = 0; i < items.size(); ++i)
    text +=
        "        " + items[i].dump() + (i + 1 < items.size() ? ",\n" : "\n");
  text += std::string("      ]") + end + "\n";
}

std::string shapeText(const json &head, const std::vector<json> &ranges,
                      const std::vector<json> &points) {
  std::string text = "    " + head.dump();
  text.back() = ','; // goes on
  text += "\n";
  writeLines(text, "ranges", ranges, ",");
  writeLines(text, "points", points, "");
  return text + "    }";
}

/// A shape without points was not measured.
std::string shapeOf(const Shape &shape, const Choice &choice,
                    const std::vector<const Point *> &points) {
  json head = {{"n", shape.n},
               {"k", shape.k},
               {"dtype", kDtypes[shape.dtype]},
               {"m1", choice.m1},
               {"m2", choice.m2},
               {"speedup", rounded(choice.speedup, 1000)}};
  std::vector<json> ranges, lines;
  for (const Range &range : choice.ranges) {
    json line;
    if (range.to > 0)
      line["to"] = range.to;
    line.update(variantOf(range.kind, range.variant));
    ranges.push_back(line);
  }
  for (size_t i = 0; i < points.size(); ++i)
    lines.push_back(pointOf(*points[i], choice.chosen[i]));
  return shapeText(head, ranges, lines);
}

/// Versions that know no library read every table without one.
int64_t formatOf(bool library) {
  return library ? tuning_format : least_tuning_format;
}

std::string headOf(const Machine &machine, const json &measured,
                   int64_t format) {
  json versions = {{"product", FDPP_PRODUCT_VERSION},
                   {"kernels", tuning_kernels}};
  return "{\n  \"magic\": \"fdpp-tuning\",\n  \"format\": " +
         std::to_string(format) + ",\n  \"versions\": " + versions.dump() +
         ",\n  \"device\": " + deviceOf(machine).dump() +
         ",\n  \"measured\": " + measured.dump() + ",\n  \"shapes\": [\n";
}

/// A table that this version can read.
nlohmann::json readTable(const std::string &path) {
  nlohmann::json text =
      nlohmann::json::parse(runtime::readTextFile(path, 64u << 20), nullptr,
                            /*allow_exceptions=*/false);
  if (!text.is_object())
    tools::fail(path + ": no tuning table; give a file that fdpp-tune wrote");
  runtime::JsonObject root(text, path, "");
  int64_t format = root.integer("format", 0, INT32_MAX);
  if (root.string("magic") != "fdpp-tuning" || format < least_tuning_format ||
      format > tuning_format)
    tools::fail(path + ": no tuning table of this version; give a file that "
                       "fdpp-tune wrote");
  return text;
}

bool describes(const runtime::JsonObject &object, const Shape &shape) {
  return object.integer("n", 1, INT32_MAX) == shape.n &&
         object.integer("k", 1, INT32_MAX) == shape.k &&
         object.string("dtype") == kDtypes[shape.dtype];
}

std::string joined(const std::vector<std::string> &shapes) {
  std::string text;
  for (size_t i = 0; i < shapes.size(); ++i)
    text += shapes[i] + (i + 1 < shapes.size() ? ",\n" : "\n");
  return text + "  ]\n}\n";
}

} // namespace

std::string writeTable(const Work &work, const Machine &machine,
                       const std::vector<Point> &points, int32_t rounds,
                       double seconds, const Kept &kept) {
  json measured = {{"rounds", rounds}, {"seconds", rounded(seconds, 10)}};
  std::vector<std::string> shapes = kept.shapes;
  for (size_t i = 0; i < work.shapes.size(); ++i) {
    std::vector<const Point *> own = pointsOf(points, int32_t(i));
    shapes.push_back(shapeOf(work.shapes[i], choose(own), own));
  }
  Machine all = machine;
  if (all.library.empty())
    all.library = kept.library;
  int64_t format = std::max(formatOf(hasLibrary(points)), kept.format);
  return headOf(all, measured, format) + joined(shapes);
}

std::string writeForced(const Work &work, const Machine &machine,
                        const Range &range) {
  Choice choice;
  choice.ranges = {range};
  std::vector<std::string> shapes;
  for (const Shape &shape : work.shapes)
    shapes.push_back(shapeOf(shape, choice, {}));
  json measured = {{"rounds", 0}, {"seconds", 0}};
  return headOf(machine, measured, formatOf(range.variant.isLibrary())) +
         joined(shapes);
}

Kept readOthers(const std::string &path, const Work &work,
                const Machine &machine) {
  nlohmann::json text = readTable(path);
  runtime::JsonObject root(text, path, ""), device = root.object("device");
  if (root.object("versions").integer("kernels", 0, INT32_MAX) !=
      tuning_kernels)
    tools::fail(path +
                ": measured with kernels of another version; measure its "
                "shapes again, without --add");
  if (device.string("vendor") != machine.vendor ||
      device.integer("family", 0, INT32_MAX) != machine.family ||
      device.integer("model", 0, INT32_MAX) != machine.model ||
      device.string("kernels") != machine.kernels)
    tools::fail(path + ": measured on another processor or with kernels of "
                       "another level; leave out --add");
  // Again, with its members in their order.
  json ordered = json::parse(runtime::readTextFile(path, 64u << 20));
  Kept kept;
  kept.format = root.integer("format", 0, INT32_MAX);
  if (device.has("library"))
    kept.library = device.string("library");
  std::vector<runtime::JsonObject> objects = root.objects("shapes");
  for (size_t i = 0; i < objects.size(); ++i) {
    if (std::any_of(work.shapes.begin(), work.shapes.end(),
                    [&](const Shape &s) { return describes(objects[i], s); }))
      continue;
    for (const char *list : {"ranges", "points"})
      objects[i].objects(list); // or fails
    json head = ordered["shapes"][i];
    std::vector<json> ranges = head["ranges"], points = head["points"];
    head.erase("ranges");
    head.erase("points");
    kept.shapes.push_back(shapeText(head, ranges, points));
  }
  return kept;
}

std::vector<std::vector<Range>> readRanges(const std::string &path,
                                           const Work &work,
                                           const std::string &level) {
  static const char *const kKinds[] = {"gemv", "flat", "large", "library"};
  nlohmann::json text = readTable(path);
  runtime::JsonObject root(text, path, "");
  std::string measured = root.object("device").string("kernels");
  if (measured != level)
    tools::fail(path + ": measured with " + measured + " kernels, these are " +
                level + "; measure with --kernels=" + measured);
  std::vector<std::vector<Range>> all(work.shapes.size());
  for (const runtime::JsonObject &object : root.objects("shapes"))
    for (size_t i = 0; i < work.shapes.size(); ++i) {
      if (!describes(object, work.shapes[i]))
        continue;
      for (const runtime::JsonObject &range : object.objects("ranges")) {
        std::string kind = range.string("kind");
        auto found = std::find(std::begin(kKinds), std::end(kKinds), kind);
        if (found == std::end(kKinds))
          range.fail("kind", "must be gemv, flat, large or library");
        Variant variant;
        if (kind != "library")
          variant = {int32_t(range.integer("tokens", 1, most_tile_of(level))),
                     int32_t(range.integer("prefetch", 0, most_prefetch))};
        all[i].push_back(
            {range.has("to") ? int32_t(range.integer("to", 1, INT32_MAX)) : 0,
             *found, variant});
      }
    }
  for (size_t i = 0; i < all.size(); ++i)
    if (all[i].empty() || all[i].back().to != 0)
      tools::fail(path + ": has no " + work.shapes[i].text() +
                  "; run fdpp-tune for it");
  return all;
}

} // namespace fdpp::tune
