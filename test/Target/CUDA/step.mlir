// RUN: %python %source/utils/make_step.py --layers 3 --eps 1e-5 1e-6 --embedding-scale 4 --softcap 30 > %t.mlir && fdpp-compile %t.mlir --emit=emittable --dtype=bf16 --tuning=none > %t.emittable
// RUN: fdpp-translate --fdpp-to-cuda %t.emittable | FileCheck %s --implicit-check-not=Team --implicit-check-not=team
// RUN: fdpp-translate --fdpp-to-cuda %t.emittable | awk 'length > 80' | count 0

// The text of the CPU but for what runs kernels and what they call.

// CHECK: #include "kernels/cuda/model.h"
// CHECK: using namespace fdpp::cuda;

// CHECK-LABEL: struct StoreRotated {
// CHECK:         template <class V>
// CHECK-NEXT:    __device__ void operator()(
// CHECK-NEXT:        V value, V partner, int row, int column, auto lanes) const {

// CHECK:         template <class Context>
// CHECK-NEXT:    FDPP_ANY_CONTEXT void prefill(
// CHECK-NEXT:      Context &stream, const Weights &weights, const Step<KvCache> &step) {
// CHECK:         embed<Table::rows, 16>(
// CHECK-NEXT:        stream, tokens, step.tokens, weights.embed, hidden, 4.0f);
// CHECK:         for (int layer = 0; layer < 3; ++layer) {
// CHECK:           linear_by_tokens<{{.*}}>(stream, tokens,
// CHECK-NEXT:          RmsNorm<16>{hidden, weights.attn_norm + layer * 16, [[EPS:.*]](layer)},
// CHECK:           prefill_attention<4>(
// CHECK-NEXT:          stream, step.batch, layer, query, step.cache, {.scale = 0.5f},

// CHECK:         FDPP_ANY_CONTEXT void decode(
// CHECK:           decode_attention<4>(
// CHECK-NEXT:          stream,
// CHECK:           stream.done("decode_attention", layer);

// CHECK:       static void run(int entry, Stream &stream, const Weights &weights,
// CHECK:           return prefill(stream, weights, step);

// The decode step for what runs all of it as one kernel, too.
// CHECK:         static constexpr bool decodes = true;
// CHECK-NEXT:    template <class Context>
// CHECK-NEXT:    FDPP_ANY_CONTEXT static void decode(
// CHECK-NEXT:        Context &stream, const Weights &weights, const Step<KvCache> &step) {
// CHECK-NEXT:      model::decode(stream, weights, step);
