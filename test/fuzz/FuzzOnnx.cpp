// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// ONNX models, binary and text, and what the passes make of those that can be
// imported. External data lies in a folder with one file, 'weights'.

#include "Pipeline.h"

#include "Words.h"

#include "fdpp/Import/ONNX/ImportONNX.h"

static std::string makeModelPath() {
  static const fuzz::Folder folder;
  std::string zeros(4096, '\0');
  folder.put("weights", reinterpret_cast<const uint8_t *>(zeros.data()),
             zeros.size());
  return folder.path + "/model.onnx";
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const std::string path = makeModelPath();
  llvm::StringRef bytes(reinterpret_cast<const char *>(data), size);
  fuzz::compile([&](mlir::MLIRContext *context) {
    return mlir::fdpp::importONNX({bytes, path}, context);
  });
  return 0;
}

/// Words of text forms, bytes of binary ones.
extern "C" size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size,
                                          size_t limit, unsigned seed) {
  bool text = size > 1 && data[0] >= 0x20 && data[1] >= 0x20;
  return fuzz::mutateWords(data, size, limit, text ? seed : 0,
                           {"FLOAT",     "INT64",           "INT",
                            "INTS",      "TENSOR",          "Constant",
                            "Identity",  "Reshape",         "Cast",
                            "Range",     "ConstantOfShape", "Expand",
                            "Tile",      "Slice",           "Where",
                            "Pad",       "Gather",          "Concat",
                            "dim_value", "dim_param",       "\"\""});
}
