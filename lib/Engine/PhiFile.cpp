// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "PhiFile.h"

#include "llvm/Support/JSON.h"

using namespace mlir;
using namespace mlir::fdpp;

std::string mlir::fdpp::writeZeroPhi(const ModelInfo &info) {
  std::string text;
  llvm::raw_string_ostream os(text);
  os << "{\n  \"magic\": \"fdpp-phi\",\n  \"layers\": " << info.limits.layers
     << ",\n  \"query_heads\": " << info.limits.query_heads
     << ",\n  \"phi\": [";
  for (int layer = 0; layer < info.limits.layers; ++layer) {
    os << (layer ? ",\n    [" : "\n    [");
    for (int head = 0; head < info.limits.query_heads; ++head)
      os << (head ? ", 0" : "0");
    os << "]";
  }
  os << "\n  ]\n}\n";
  return text;
}

/// True for a row of numbers and nulls, one for each head.
static bool isRow(const llvm::json::Value &row, int64_t heads) {
  const llvm::json::Array *values = row.getAsArray();
  return values && int64_t(values->size()) == heads &&
         llvm::all_of(*values, [](const llvm::json::Value &value) {
           return value.kind() == llvm::json::Value::Null ||
                  value.kind() == llvm::json::Value::Number;
         });
}

llvm::Expected<int64_t> mlir::fdpp::countExactHeads(StringRef text,
                                                    StringRef path,
                                                    const ModelInfo &info) {
  auto fail = [&](const Twine &why) {
    return llvm::createStringError(path + ": " + why +
                                   "; calibrate the model again, or take the "
                                   "file away");
  };
  llvm::Expected<llvm::json::Value> json = llvm::json::parse(text);
  if (!json) {
    llvm::consumeError(json.takeError());
    return fail("no json");
  }
  const llvm::json::Object *root = json->getAsObject();
  if (!root || root->getString("magic") != StringRef("fdpp-phi"))
    return fail("'magic' is not \"fdpp-phi\"");
  int64_t layers = info.limits.layers, heads = info.limits.query_heads;
  const llvm::json::Array *rows = root->getArray("phi");
  bool fits = root->getInteger("layers") == layers &&
              root->getInteger("query_heads") == heads && rows &&
              int64_t(rows->size()) == layers;
  if (!fits)
    return fail("not of this model, which has " + Twine(layers) +
                " layers of " + Twine(heads) + " query heads");
  int64_t exact = 0;
  for (const llvm::json::Value &row : *rows) {
    if (!isRow(row, heads))
      return fail("'phi' has a row that is not " + Twine(heads) +
                  " numbers or nulls");
    exact += llvm::count(*row.getAsArray(), llvm::json::Value(nullptr));
  }
  return exact;
}
