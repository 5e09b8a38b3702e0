// RUN: fdpp-opt %s --fdpp-place-arena --split-input-file --verify-diagnostics | FileCheck %s

// %a lives through the loop that reads it; %b and %c of the loop's body do not
// overlap in time and share a place. 4 tokens of 16 f32 are 256 bytes.
// CHECK-LABEL: func.func @step
// CHECK-SAME: %[[W:[a-z0-9]+]]: memref<?xi8> {fdpp.role = "workspace"}
// CHECK-SAME: fdpp.arena = 512 : i64
func.func @step(%tokens: memref<?xi32> {fdpp.role = "tokens", fdpp.max = 4 : i64}, %x: memref<?x16xf32>) attributes {fdpp.entry = "step"} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %t = memref.dim %tokens, %c0 : memref<?xi32>
  // CHECK: memref.dim
  // CHECK: memref.view %[[W]][%{{.*}}][%{{.*}}] : memref<?xi8> to memref<?x16xf32>
  %a = memref.alloc(%t) : memref<?x16xf32>
  fdpp.scale %x outs(%a) {factor = 2.0 : f64} : (memref<?x16xf32>, memref<?x16xf32>) -> ()
  scf.for %i = %c0 to %c2 step %c1 {
    // CHECK: %[[B:.*]] = arith.constant 256 : index
    // CHECK: memref.view %[[W]][%[[B]]]
    %b = memref.alloc(%t) : memref<?x16xf32>
    fdpp.scale %a outs(%b) {factor = 2.0 : f64} : (memref<?x16xf32>, memref<?x16xf32>) -> ()
    fdpp.scale %b outs(%x) {factor = 2.0 : f64} : (memref<?x16xf32>, memref<?x16xf32>) -> ()
    // CHECK: %[[C:.*]] = arith.constant 256 : index
    // CHECK: memref.view %[[W]][%[[C]]]
    %c = memref.alloc(%t) : memref<?x16xf32>
    fdpp.scale %a outs(%c) {factor = 2.0 : f64} : (memref<?x16xf32>, memref<?x16xf32>) -> ()
    fdpp.scale %c outs(%x) {factor = 2.0 : f64} : (memref<?x16xf32>, memref<?x16xf32>) -> ()
  }
  return
}

// -----

func.func @step(%n: index) attributes {fdpp.entry = "step"} {
  // expected-error @below {{cannot be placed: its size is not bounded by an argument with fdpp.max}}
  %a = memref.alloc(%n) : memref<?x16xf32>
  return
}

// -----

func.func @too_much(%tokens: memref<?xi32> {fdpp.role = "tokens", fdpp.max = 2147483647 : i64}) attributes {fdpp.entry = "step"} {
  %c0 = arith.constant 0 : index
  %t = memref.dim %tokens, %c0 : memref<?xi32>
  // expected-error @below {{cannot be placed: it takes more than 2^48 bytes}}
  %a = memref.alloc(%t, %t) : memref<?x?x16xf32>
  return
}
