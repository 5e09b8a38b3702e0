// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Attention of decode steps. A block takes the rows of a token that read one KV
// head, and a piece of its slots, which its warps share out (matrix_rows.h,
// vector_rows.h). The warps' and the pieces' results are combined in a fixed
// order, the pieces' by the block that is done last. Kernels find out the cut
// from the lengths: so few pieces that each processor has about one. Of a step
// with one sequence it depends on that alone.
#ifndef FDPP_KERNELS_CUDA_DECODE_ATTENTION_H
#define FDPP_KERNELS_CUDA_DECODE_ATTENTION_H

#include "kernels/cuda/matrix_rows.h"
#include "kernels/cuda/pieces.h"
#include "kernels/cuda/vector_rows.h"

namespace fdpp::cuda {

/// Block (token, KV head, piece).
template <class Softmax, class Call> struct DecodeAttentionBody {
  using E = typename Call::cache_type::element;
  static constexpr int dims = Call::head_dim, group = Call::group;
  /// Most rows at a time.
  static constexpr int rows = group < 8 ? group : dims <= 128 ? 8 : 4;
  static constexpr int floats = partial_floats(dims);
  static constexpr int warps = block_threads / warp_size;
  static constexpr int shared_bytes = warps * rows * floats * 4;

  using Matrix = MatrixRows<Softmax, Call, rows>;
  using Warp = std::conditional_t<Matrix::possible, Matrix,
                                  VectorRows<Softmax, Call, rows>>;
  /// What a thread has of large heads needs the registers of one block.
  static constexpr int blocks_of_processor =
      Matrix::possible && dims > 96 ? 1 : 2;

  /// Slots that a block reads at a time.
  static constexpr int step = warps * Warp::slots_at_a_time;

  Call call;
  float *partials; // [T][QueryHeads][most_pieces][floats]

  /// What a block works on: slots [begin, end) for a token and KV head.
  struct Piece {
    int s, t, kv, part, pieces; // s < 0: nothing
    int begin, end;
    int first_new;              // slots from here on are written in this step
    typename Warp::Slots slots; // the first of each warp, but those
  };

  __device__ static int first_base(const Piece &piece) {
    return piece.begin + thread_index() / warp_size * Warp::slots_at_a_time;
  }

  __device__ Piece prepare(int block) const {
    Piece piece;
    piece.s = -1;
    if (block < 0)
      return piece;
    const Cut cut(call);
    const int2 found = cut.find(call, block);
    piece.s = found.x;
    if (piece.s < 0)
      return piece;
    const int first = call.batch.seq_offsets[piece.s];
    const int2 most =
        call.visible(piece.s, call.batch.seq_offsets[piece.s + 1] - 1);
    const int size = cut.size(most.y - most.x);
    const int parts = cut.pieces(most.y - most.x);
    piece.part = found.y % parts;
    piece.kv = found.y / parts % Call::kv_heads;
    piece.t = first + found.y / parts / Call::kv_heads;
    const int2 seen = call.visible(piece.s, piece.t);
    piece.pieces = (seen.y - seen.x + size - 1) / size;
    piece.begin = seen.x + piece.part * size;
    piece.end = piece.begin + size < seen.y ? piece.begin + size : seen.y;
    piece.first_new = call.batch.first_new_slot(piece.s);
    if (piece.part >= piece.pieces) {
      piece.s = -1;
    } else {
      const int base = first_base(piece);
      Warp::find(call, piece.s, piece.kv, base, piece.end, piece.slots);
      Warp::read(base, 0, piece.first_new, piece.slots);
    }
    return piece;
  }

  /// Adds the warp's slots of a piece. Of the first those that were not are
  /// read now; if not `prepared`, all.
  __device__ void add_slots(Piece &piece, bool prepared, Warp &warp) const {
    const int first = first_base(piece), end = piece.end;
    if (!prepared)
      Warp::find(call, piece.s, piece.kv, first, end, piece.slots);
    Warp::read(first, prepared ? piece.first_new : 0, end, piece.slots);
    for (int base = first; base < end; base += step)
      warp.advance(call, piece.s, piece.kv, base, step, end, piece.slots);
  }

  /// Combines `count` (at most 32) partial results of a row, `stride` floats
  /// apart, in their order. By a warp, a thread of which gets dimensions
  /// lane, lane + 32, ...
  template <int Own>
  __device__ static void combine(const float *from, int stride, int count,
                                 bool fixed, float &maximum, float &denominator,
                                 float (&numerators)[Own]) {
    const int lane = thread_index() % warp_size;
    const bool real = lane < count;
    const float sum = real ? from[lane * stride + dims] : 0.0f;
    const float own =
        real ? from[lane * stride + dims + 1] : -__int_as_float(0x7f800000);
    maximum = warp_max(own);
    const float scale = fixed         ? 1.0f
                        : sum == 0.0f ? 0.0f
                                      : shifted_exp(own - maximum);
    denominator = 0.0f;
    for (int j = 0; j < Own; ++j)
      numerators[j] = 0.0f;
    constexpr int together = 8; // are read at once
    for (int base = 0; base < count; base += together) {
      float parts[together][Own] = {};
#pragma unroll
      for (int i = 0; i < together; ++i)
#pragma unroll
        for (int j = 0; j < Own; ++j)
          if (const int d = lane + j * warp_size; base + i < count && d < dims)
            parts[i][j] = from[(base + i) * stride + d];
#pragma unroll
      for (int i = 0; i < together; ++i) {
        const float by = __shfl_sync(0xffffffffu, scale, base + i);
        denominator += by * __shfl_sync(0xffffffffu, sum, base + i);
#pragma unroll
        for (int j = 0; j < Own; ++j)
          numerators[j] = fmaf(by, parts[i][j], numerators[j]);
      }
    }
  }

  __device__ bool is_fixed(int head) const {
    const float phi = call.phi_of(head);
    return Softmax::async && phi == phi;
  }
  __device__ bool is_wanted(int64_t row) const {
    return !call.only || call.only[row] != 0;
  }

  /// A piece of `count` rows; its results go to `partials`, or are the rows'.
  __device__ bool attend(Piece &piece, int first, int count,
                         float *shared) const {
    const int head = piece.kv * group + first;
    const int warp = thread_index() / warp_size;
    const int lane = thread_index() % warp_size;
    const int64_t row0 = int64_t(piece.t) * Call::query_heads + head;
    Warp part(call, row0, head, count);
    add_slots(piece, first == 0, part);
    part.finish(count,
                reinterpret_cast<float (*)[floats]>(shared) + warp * rows);
    block_barrier();
    bool invalid = false;
    for (int r = warp; r < count; r += warps) {
      const int64_t row = row0 + r;
      if (!is_wanted(row))
        continue;
      const bool relative = is_fixed(head + r);
      float numerators[(dims + warp_size - 1) / warp_size];
      float maximum, denominator;
      combine(shared + r * floats, rows * floats, warps, relative, maximum,
              denominator, numerators);
      if (piece.pieces == 1) {
        invalid |=
            write_row<Softmax>(call, row, relative, numerators, denominator);
        continue;
      }
      float *to = partials + (row * most_pieces + piece.part) * floats;
#pragma unroll
      for (int i = 0; i < (dims + warp_size - 1) / warp_size; ++i)
        if (const int d = lane + i * warp_size; d < dims)
          to[d] = numerators[i];
      if (lane == 0) {
        to[dims] = denominator;
        to[dims + 1] = maximum;
      }
    }
    block_barrier();
    return invalid;
  }

  /// True for the block of a token and KV head whose piece is done last: by
  /// then it can read what the others wrote.
  __device__ bool is_last(int t, int kv, int pieces) const {
    __shared__ int last;
    if (thread_index() == 0) {
      last = is_last_ticket(
          call.batch.tickets + int64_t(t) * Call::kv_heads + kv, pieces);
    }
    block_barrier();
    return last != 0;
  }

  /// True if a row that it completed is not valid.
  __device__ bool operator()(int, char *memory, Piece &piece) const {
    float *shared = reinterpret_cast<float *>(memory);
    if (piece.s < 0)
      return false;
    const int pieces = piece.pieces;
    const int64_t row0 =
        int64_t(piece.t) * Call::query_heads + piece.kv * group;
    bool wanted = !call.only;
    for (int r = 0; r < group && !wanted; ++r)
      wanted = is_wanted(row0 + r);
    if (!wanted)
      return false;
    bool invalid = false;
    for (int first = 0; first < group; first += rows) {
      const int count = group - first < rows ? group - first : rows;
      invalid |= attend(piece, first, count, shared);
    }
    if (pieces == 1 || !is_last(piece.t, piece.kv, pieces))
      return invalid;
    for (int r = thread_index() / warp_size; r < group; r += warps) {
      if (!is_wanted(row0 + r))
        continue;
      const bool relative = is_fixed(piece.kv * group + r);
      float numerators[(dims + warp_size - 1) / warp_size];
      float maximum, denominator;
      combine(partials + (row0 + r) * most_pieces * floats, floats, pieces,
              relative, maximum, denominator, numerators);
      invalid |=
          write_row<Softmax>(call, row0 + r, relative, numerators, denominator);
    }
    return invalid;
  }
};

template <class Softmax, class Call>
FDPP_ANY_CONTEXT DecodeAttentionBody<Softmax, Call>
decode_attention_body(const Call &call, void *scratch) {
  return {call, static_cast<float *>(scratch)};
}
template <class Call>
FDPP_ANY_CONTEXT int64_t decode_attention_blocks(const Call &call) {
  // Of each sequence and head the last piece may be a short one.
  const int64_t heads = int64_t(call.batch.tokens) * Call::kv_heads;
  const int64_t most = heads * most_pieces;
  if (call.batch.invariant || most < heads + wanted_pieces)
    return most;
  return heads + wanted_pieces;
}

/// `scratch` is decode_attention_scratch_bytes(...) bytes.
template <int QueryHeads, class Context, class CacheType, class Q, class Y>
FDPP_ANY_CONTEXT void
decode_attention(Context &context, const Batch &batch, int layer,
                 const Q *query, const CacheType &cache,
                 const AttentionOptions &options, void *scratch, Y *out) {
  AttentionCall<QueryHeads, CacheType, Q, Y> call{batch, layer,   query,
                                                  cache, options, out};
  context.run(decode_attention_blocks(call),
              decode_attention_body<ExactSoftmax>(call, scratch));
}

/// The same with weights of format P relative to phi[layer][QueryHeads]; heads
/// whose phi is NaN are exact. invalid[T][QueryHeads]: 1 where the row is not
/// valid and recompute_rows must replace it.
template <int QueryHeads, class P, class Context, class CacheType, class Q,
          class Y>
FDPP_ANY_CONTEXT void async_softmax_decode_attention(
    Context &context, const Batch &batch, int layer, const Q *query,
    const CacheType &cache, const AttentionOptions &options, const float *phi,
    void *scratch, Y *out, int32_t *invalid) {
  AttentionCall<QueryHeads, CacheType, Q, Y> call{batch, layer,   query,
                                                  cache, options, out};
  call.make_async(phi, invalid);
  context.run(decode_attention_blocks(call),
              decode_attention_body<AsyncSoftmax<P>>(call, scratch));
}

/// Replaces the rows that `invalid` names, and adds them to
/// counts[layer][QueryHeads] unless that is null. Blocks without such a row
/// return at once.
template <int QueryHeads, class Context, class CacheType, class Q, class Y>
FDPP_ANY_CONTEXT void
recompute_rows(Context &context, const Batch &batch, int layer, const Q *query,
               const CacheType &cache, const AttentionOptions &options,
               const int32_t *invalid, uint64_t *counts, void *scratch,
               Y *out) {
  AttentionCall<QueryHeads, CacheType, Q, Y> call{batch, layer,   query,
                                                  cache, options, out};
  call.restrict_to(invalid, counts);
  context.run_if_flagged(decode_attention_blocks(call),
                         decode_attention_body<ExactSoftmax>(call, scratch));
}

} // namespace fdpp::cuda

#endif // FDPP_KERNELS_CUDA_DECODE_ATTENTION_H
