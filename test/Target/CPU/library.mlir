// RUN: %python %source/utils/make_step.py --layers 2 > %t.mlir && fdpp-compile %t.mlir --emit=source --dtype=bf16 --arch=x86-64-v3 --tuning=%S/Inputs/library.json | FileCheck %s
// RUN: fdpp-compile %t.mlir --emit=source --dtype=bf16 --arch=x86-64-v3 --tuning=none | FileCheck %s --check-prefix=NONE
// RUN: fdpp-compile %t.mlir --emit=emittable --dtype=bf16 --arch=x86-64-v3 --tuning=%S/Inputs/library.json | fdpp-opt --fdpp-verify-phase=emittable | FileCheck %s --check-prefix=IR

// A library computes a linear in three calls, with a buffer between each two.
// CHECK: void prefill(
// CHECK: float *library_sums{{[0-9]*}} = step.at<float>({{[0-9]+}}); // [tokens][64]
// CHECK: // Feed-forward: gate and up.
// CHECK-NEXT: if (tokens <= 4) {
// CHECK-NEXT: linear<Variant<4, 2048>>(team, tokens,
// CHECK-NEXT: RmsNorm<16>{hidden, weights.ffn_norm + layer * 16, 1e-5f},
// CHECK-NEXT: weights.gate_up + layer * 1024, step.scratch,
// CHECK-NEXT: StoreGated{gated});
// CHECK-NEXT: } else {
// CHECK-NEXT: prologue<bf16>(
// CHECK-NEXT: team, tokens,
// CHECK-NEXT: RmsNorm<16>{hidden, weights.ffn_norm + layer * 16, 1e-5f},
// CHECK-NEXT: [[ROWS:library_rows[0-9]*]]);
// CHECK-NEXT: library_gemm<16, 64>(
// CHECK-NEXT: team, step.sgemm, tokens, [[ROWS]],
// CHECK-NEXT: weights.gate_up + layer * 1024, step.scratch, [[SUMS:library_sums[0-9]*]]);
// CHECK-NEXT: epilogue(team, tokens, [[SUMS]],
// CHECK-NEXT: StoreGated{gated});
// CHECK-NEXT: }
// CHECK-NEXT: team.done("gate_up", layer);
// Where it always computes there is nothing to ask.
// CHECK-NEXT: // Down, onto the residual stream.
// CHECK-NEXT: prologue<bf16>(team, tokens, Rows<24, bf16>{gated}, [[ROWS:library_rows[0-9]*]]);
// CHECK-NEXT: library_gemm<24, 16>(
// CHECK: epilogue(team, tokens, {{.*}},
// CHECK-NEXT: AddResidual{hidden});
// CHECK-NEXT: team.done("down", layer);
// CHECK: library_scratch_bytes(threads)
// CHECK: static constexpr bool calls_sgemm = true;

// Nothing of it is left where no table asks for it.
// NONE-NOT: library
// NONE-NOT: sgemm

// IR: {fdpp.epilogues = ["StoreGated"]} : (memref<?x64xf32>, memref<?x24xbf16>) -> ()
