// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Phi.h"

#include "JsonReader.h"

#include <cmath>
#include <limits>

namespace fdpp::runtime {

std::vector<float> readPhi(const std::string &path, int32_t layers,
                           int32_t queryHeads) {
  auto fail = [&](const std::string &why) {
    userError(path + ": " + why + "; run fdpp-calibrate again");
  };
  nlohmann::json json =
      nlohmann::json::parse(readTextFile(path, 64u << 20), nullptr, false);
  if (!json.is_object())
    fail("damaged: not a json object");
  JsonObject root(json, path, "");
  if (root.string("magic") != "fdpp-phi")
    fail("'magic' is not \"fdpp-phi\"");
  if (root.integer("layers", 0, INT32_MAX) != layers ||
      root.integer("query_heads", 0, INT32_MAX) != queryHeads)
    fail("made for another model");
  auto rows = json.find("phi");
  if (rows == json.end() || !rows->is_array() ||
      rows->size() != static_cast<size_t>(layers))
    fail("'phi' must have one row for each layer");
  std::vector<float> phi;
  for (const nlohmann::json &row : *rows) {
    if (!row.is_array() || row.size() != static_cast<size_t>(queryHeads))
      fail("'phi' must have one number for each query head");
    for (const nlohmann::json &value : row) {
      if (!value.is_null() && !value.is_number())
        fail("'phi' holds something that is no number");
      float number = value.is_null() ? std::numeric_limits<float>::quiet_NaN()
                                     : value.get<float>();
      if (std::isinf(number))
        fail("'phi' holds a number out of range");
      phi.push_back(number);
    }
  }
  return phi;
}

} // namespace fdpp::runtime
