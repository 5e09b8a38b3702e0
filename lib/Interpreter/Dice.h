// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- Dice.h - Reproducible random choices ---------------------*- C++ -*-===//
//
// std's distributions differ between libraries; its engines do not.
//
//===----------------------------------------------------------------------===//
#ifndef FDPP_LIB_INTERPRETER_DICE_H
#define FDPP_LIB_INTERPRETER_DICE_H

#include <cstdint>
#include <initializer_list>
#include <random>

namespace mlir::fdpp {

class Dice {
public:
  explicit Dice(uint64_t seed) : engine(seed) {}
  /// Of 0 .. bound - 1.
  int64_t below(int64_t bound) { return engine() % bound; }
  /// Of first .. last.
  int64_t between(int64_t first, int64_t last) {
    return first + below(last - first + 1);
  }
  /// True once in `n` times.
  bool oneIn(int64_t n) { return below(n) == 0; }
  double unit() { return static_cast<double>(engine() >> 11) * 0x1p-53; }
  /// Roughly normal, with mean 0 and deviation 1.
  double bell() {
    double sum = -6;
    for (int i = 0; i < 12; ++i)
      sum += unit();
    return sum;
  }
  template <typename T> T pick(std::initializer_list<T> items) {
    return items.begin()[below(items.size())];
  }

private:
  std::mt19937_64 engine;
};

} // namespace mlir::fdpp

#endif // FDPP_LIB_INTERPRETER_DICE_H
