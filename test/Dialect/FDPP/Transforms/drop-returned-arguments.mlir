// RUN: fdpp-opt %s --fdpp-drop-returned-arguments --split-input-file --verify-diagnostics | FileCheck %s

// CHECK-LABEL: func.func @step(%{{.*}}: memref<?x8xf32>) attributes
// CHECK-NEXT: return{{$}}
func.func @step(%logits: memref<?x8xf32>) -> memref<?x8xf32> attributes {fdpp.entry = "step"} {
  return %logits : memref<?x8xf32>
}

// Functions that are no entries keep their results.
// CHECK: func.func @other
// CHECK-NEXT: return %{{.*}} : index
func.func @other(%i: index) -> index {
  return %i : index
}

// -----

// expected-error @below {{result 0 of @step is not one of its arguments: an entry writes its results to destinations and allocates nothing}}
func.func @step(%n: index) -> memref<?x8xf32> attributes {fdpp.entry = "step"} {
  %fresh = memref.alloc(%n) : memref<?x8xf32>
  return %fresh : memref<?x8xf32>
}
