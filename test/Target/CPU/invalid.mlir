// Text by hand that the passes do not make, yet every op accepts.
// RUN: fdpp-opt %S/../../Dialect/FDPP/fused.mlir --empty-tensor-to-alloc-tensor \
// RUN:   --one-shot-bufferize="bufferize-function-boundaries function-boundary-type-conversion=identity-layout-map" \
// RUN:   --cse --canonicalize --fdpp-drop-returned-arguments --fdpp-pack-weights \
// RUN:   --fdpp-choose-variants --fdpp-place-arena --cse --canonicalize --fdpp-name-for-emission > %t.mlir

// RUN: sed 's/, fdpp.role = "tokens"//' %t.mlir > %t.role.mlir
// RUN: not fdpp-translate --fdpp-to-cpu %t.role.mlir 2>&1 | FileCheck %s --check-prefix=ROLE
// ROLE: error: argument 0 has no role ('fdpp.role')

// RUN: sed '/%view_2 = /i %fixed = memref.view %arg8[%c3072][] : memref<?xi8> to memref<8xi32>' %t.mlir > %t.rows.mlir
// RUN: not fdpp-translate --fdpp-to-cpu %t.rows.mlir 2>&1 | FileCheck %s --check-prefix=ROWS
// ROWS: error: has a fixed number of rows; the first extent of a place in the workspace is counted by the step

// RUN: sed 's/\(fdpp.embed %arg0, \)%1\(.*memref<\)40x32xbf16/\1%view_3\2?x32xf32/' %t.mlir > %t.table.mlir
// RUN: not fdpp-translate --fdpp-to-cpu %t.table.mlir 2>&1 | FileCheck %s --check-prefix=TABLE
// TABLE: error: has a table that is no weight

// RUN: sed 's/= memref.view %arg8\[%c3072\]\[%dim\] .*/= memref.alloc(%dim) : memref<?xi32>/' %t.mlir > %t.buffer.mlir
// RUN: not fdpp-translate --fdpp-to-cpu %t.buffer.mlir 2>&1 | FileCheck %s --check-prefix=BUFFER
// BUFFER: error: reads a buffer that is no argument, no place in the workspace and no weight
