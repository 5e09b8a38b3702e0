// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "fdpp/Interpreter/Tensor.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/MLIRContext.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

using namespace mlir::fdpp;
using testing::ElementsAre;

TEST(Tensor, CopiesShareUntilWritten) {
  Tensor a = Tensor::floats({2}, {1, 2});
  Tensor b = a;
  b.f()[0] = 5;
  EXPECT_EQ(a.asDouble(0), 1);
  EXPECT_EQ(b.asDouble(0), 5);
}

TEST(Tensor, BroadcastIndicesRepeatUnitDims) {
  EXPECT_THAT(broadcastIndices({2, 1}, {2, 3}), ElementsAre(0, 0, 0, 1, 1, 1));
  EXPECT_THAT(broadcastIndices({3}, {2, 3}), ElementsAre(0, 1, 2, 0, 1, 2));
  EXPECT_THAT(broadcastIndices({}, {2}), ElementsAre(0, 0));
}

TEST(Tensor, BroadcastShapesRefusesMismatch) {
  llvm::SmallVector<int64_t> shape;
  EXPECT_TRUE(broadcastShapes({4, 1}, {3}, shape));
  EXPECT_THAT(shape, ElementsAre(4, 3));
  EXPECT_FALSE(broadcastShapes({2}, {3}, shape));
}

TEST(Tensor, RoundsToNarrowFormats) {
  mlir::MLIRContext context;
  mlir::Builder b(&context);
  EXPECT_EQ(roundTo(b.getBF16Type(), 1.00390625), 1.0);
  EXPECT_EQ(roundTo(b.getBF16Type(), 1.01171875), 1.015625);
  EXPECT_EQ(roundTo(b.getF16Type(), 65520.0),
            std::numeric_limits<double>::infinity());
  EXPECT_EQ(wrapTo(b.getI8Type(), 200), -56);
}

TEST(Tensor, AttributeRoundTrip) {
  mlir::MLIRContext context;
  mlir::Builder b(&context);
  Tensor floats = Tensor::floats({2, 2}, {1, -2, 0.5, 3});
  EXPECT_EQ(tensorFrom(attrFrom(floats, b.getBF16Type())), floats);
  Tensor ints = Tensor::ints({3}, {-1, 0, INT64_MIN});
  EXPECT_EQ(tensorFrom(attrFrom(ints, b.getI64Type())), ints);
  Tensor bools = Tensor::bools({3}, {1, 0, 1});
  EXPECT_EQ(tensorFrom(attrFrom(bools, b.getI1Type())), bools);
}
