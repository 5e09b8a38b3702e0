// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Tables of measured kernel variants (docs/tuning.md), as fdpp-tune writes
// them.

#ifndef FDPP_TUNING_TUNINGTABLE_H
#define FDPP_TUNING_TUNINGTABLE_H

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace mlir::fdpp {

/// What code is compiled for, as far as tables care.
struct TuningTarget {
  /// CpuIdentity::key() of this machine if the engine is for it; empty for a
  /// cross compilation, where nobody knows the processor's model.
  std::string device;
  /// Kernel level (kernels/common/tuning.h); empty: any.
  std::string kernels;
  /// CPU features that the code may use.
  std::vector<std::string> features;
};

/// The variant for M up to `to`, 0 for no limit.
struct TunedRange {
  int64_t to = 0;
  std::string kind; // gemv, flat, large; or library, which has no tile
  int64_t tokens = 0, prefetch = 0;
};

/// One linear's shape: weights of [n, k] elements of `dtype`.
struct TunedShape {
  int64_t n = 0, k = 0;
  std::string dtype;              // f32, bf16, f16
  std::vector<TunedRange> ranges; // by rising `to`, the last without
};

class TuningTable {
public:
  /// Reads and checks a file. Errors are one line that names it.
  static llvm::Expected<TuningTable> read(llvm::StringRef path);
  /// The same of a text; `name` is for messages.
  static llvm::Expected<TuningTable> parse(llvm::StringRef text,
                                           llvm::StringRef name);

  /// Null where that shape was not measured. Shapes nearby say little: whether
  /// a linear fits a cache and how its panels divide decide as much as its
  /// size.
  const TunedShape *find(int64_t n, int64_t k, llvm::StringRef dtype) const;

  /// Why the table says nothing about the target; empty if it applies. It does
  /// for the processor model it was measured on. In a cross compilation the
  /// table stands for the processor meant, as long as that could run the code
  /// and would run the same kernels.
  std::string whyForeign(const TuningTarget &target) const;

  /// The file's name without folders.
  llvm::StringRef getName() const { return name; }
  /// BLAKE3 of the file, 64 hex digits.
  llvm::StringRef getHash() const { return hash; }
  /// Version of the format it is written in.
  int64_t getFormat() const { return format; }
  int64_t getThreads() const { return threads; }
  llvm::ArrayRef<TunedShape> getShapes() const { return shapes; }

private:
  friend class TableReader;

  std::string name, hash;
  std::string cpu;     // as the processor calls itself
  std::string device;  // CpuIdentity::key()
  std::string kernels; // level
  std::vector<std::string> features;
  int64_t format = 0, threads = 0;
  std::vector<TunedShape> shapes;
};

/// The tables that come with the product: the installed folder beside
/// `executable`, else that of the sources. Sorted by name.
std::vector<std::string> findShippedTables(llvm::StringRef executable);

} // namespace mlir::fdpp

#endif // FDPP_TUNING_TUNINGTABLE_H
