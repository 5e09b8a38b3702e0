// RUN: fdpp-opt %s | fdpp-opt | FileCheck %s
// RUN: fdpp-opt %s --sccp | FileCheck %s --check-prefix=SCCP

// A dispatch: a range of our own kernels, and one that a library computes in
// three parts with a buffer between each two.

// CHECK-LABEL: func.func @ranges
func.func @ranges(%m: index, %x: memref<?x8xbf16>, %w: memref<16x8xbf16>, %gamma: memref<8xf32>, %rows: memref<?x8xf32>, %sums: memref<?x16xf32>, %y: memref<?x16xf32>) {
  %c1 = arith.constant 1 : index
  // CHECK: fdpp.dispatch %{{.*}} limits [4]({
  // CHECK: fdpp.fused_linear %{{.*}} variant <flat, panels = 1, tokens = 4, prefetch = 0>
  // CHECK: }, {
  // CHECK: fdpp.prologue %{{.*}} norm(%{{.*}}) round bf16 outs(%{{.*}}) {eps = 1.000000e-05 : f64}
  // CHECK: fdpp.library_gemm %{{.*}}, %{{.*}} outs(%{{.*}}) : (memref<?x8xf32>, memref<16x8xbf16>, memref<?x16xf32>) -> ()
  // CHECK: fdpp.epilogue %{{.*}} outs(%{{.*}}) segments [#fdpp.segment<columns = 16, dest = 0>]({
  fdpp.dispatch %m limits [4] ({
    fdpp.fused_linear %x, %w norm(%gamma) variant <flat, panels = 1, tokens = 4, prefetch = 0> outs(%y) segments [#fdpp.segment<columns = 16, dest = 0>] ({
    ^bb0(%value: f32, %partner: f32, %row: index, %column: index, %old: f32):
      fdpp.store %value : f32
    }) {eps = 1.0e-5 : f64} : (memref<?x8xbf16>, memref<16x8xbf16>, memref<8xf32>, memref<?x16xf32>) -> ()
    fdpp.yield
  }, {
    fdpp.prologue %x norm(%gamma) round bf16 outs(%rows) {eps = 1.0e-5 : f64} : (memref<?x8xbf16>, memref<8xf32>, memref<?x8xf32>) -> ()
    fdpp.library_gemm %rows, %w outs(%sums) : (memref<?x8xf32>, memref<16x8xbf16>, memref<?x16xf32>) -> ()
    fdpp.epilogue %sums outs(%y) segments [#fdpp.segment<columns = 16, dest = 0>] ({
    ^bb0(%value: f32, %partner: f32, %row: index, %column: index, %old: f32):
      %s = arith.addf %old, %value : f32
      fdpp.store %s : f32
    }) : (memref<?x16xf32>, memref<?x16xf32>) -> ()
    fdpp.yield
  })
  return
}

// What is known outside is known in every region: control flow enters each of
// them, and comes out again.
// SCCP-LABEL: func.func @constants
func.func @constants(%m: index, %y: memref<?x16xf32>, %one: f32) {
  %c1 = arith.constant 1 : index
  // SCCP: %[[TWO:.*]] = arith.constant 2 : index
  // SCCP: fdpp.dispatch
  // SCCP: memref.store %{{.*}}[%[[TWO]], %{{.*}}]
  // SCCP: }, {
  // SCCP: memref.store %{{.*}}[%{{.*}}, %[[TWO]]]
  fdpp.dispatch %m limits [1] ({
    %two = arith.addi %c1, %c1 : index
    memref.store %one, %y[%two, %c1] : memref<?x16xf32>
    fdpp.yield
  }, {
    %two = arith.addi %c1, %c1 : index
    memref.store %one, %y[%c1, %two] : memref<?x16xf32>
    fdpp.yield
  })
  return
}
