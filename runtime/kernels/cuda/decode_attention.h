// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Attention of decode steps. A block takes the rows of a token that read one KV
// head, and a piece of its slots. A few threads share a slot, 8 dimensions of
// its key and value each, so that a warp reads whole rows; each such group of
// threads has a running result of its own. These, the warps' and the pieces'
// are combined in a fixed order, the pieces' by the block that is done last.
// Kernels find out the cut from the lengths: so few pieces that each processor
// has about one. Of a step with one sequence it depends on that alone.
#ifndef FDPP_KERNELS_CUDA_DECODE_ATTENTION_H
#define FDPP_KERNELS_CUDA_DECODE_ATTENTION_H

#include "kernels/cuda/attention.h"
#include "kernels/cuda/pieces.h"

namespace fdpp::cuda {

/// Eight neighbouring elements, as they lie in memory.
template <class E> struct Eight {
  uint4 words[sizeof(E) * 8 / 16];

  __device__ void load(const E *from) {
#pragma unroll
    for (unsigned i = 0; i < sizeof(E) * 8 / 16; ++i)
      words[i] = reinterpret_cast<const uint4 *>(from)[i];
  }
  __device__ void clear() {
#pragma unroll
    for (unsigned i = 0; i < sizeof(E) * 8 / 16; ++i)
      words[i] = {};
  }
  __device__ float at(int i) const {
    return widen(reinterpret_cast<const E *>(words)[i]);
  }
};

/// What a row's weights so far are relative to, and their sums.
template <int Dims> struct RunningRow {
  float maximum, sum, numerators[Dims];

  /// Makes the weights relative to `most`, at least the maximum.
  __device__ float rescale(float most) {
    const float scale = maximum == most ? 1.0f : shifted_exp(maximum - most);
    maximum = most;
    sum *= scale;
#pragma unroll
    for (int i = 0; i < Dims; ++i)
      numerators[i] *= scale;
    return scale;
  }
  /// Adds what the thread `distance` lanes away has.
  __device__ void add_from(int distance, bool fixed) {
    if (!fixed) {
      const float other = __shfl_xor_sync(0xffffffffu, maximum, distance);
      rescale(fmaxf(maximum, other));
    }
    sum += __shfl_xor_sync(0xffffffffu, sum, distance);
#pragma unroll
    for (int i = 0; i < Dims; ++i)
      numerators[i] += __shfl_xor_sync(0xffffffffu, numerators[i], distance);
  }
};

/// Block (token, KV head, piece).
template <class Softmax, class Call> struct DecodeAttentionBody {
  using E = typename Call::cache_type::element;
  static constexpr int dims = Call::head_dim, group = Call::group;
  /// Most rows at a time.
  static constexpr int rows = group < 8 ? group : dims <= 128 ? 8 : 4;
  static constexpr int floats = partial_floats(dims);
  static constexpr int warps = block_threads / warp_size;
  static constexpr int shared_bytes = warps * rows * floats * 4;
  static_assert(dims <= 256, "a warp reads a slot at once");

  /// Threads that share a slot: a power of two.
  static constexpr int threads_of_slot(int chunks) {
    int threads = 1;
    while (threads < chunks)
      threads *= 2;
    return threads;
  }
  static constexpr int slot_threads = threads_of_slot(dims / 8);
  static constexpr int warp_slots = warp_size / slot_threads;
  /// Slots of a thread on their way.
  static constexpr int depth = 2;

  Call call;
  float *partials; // [T][QueryHeads][most_pieces][floats]

  /// The slots that a thread reads at a time: where they lie, null where there
  /// is none, and what is there.
  struct Slots {
    const E *places[depth];
    Eight<E> keys[depth], values[depth];
  };

  /// What a block works on: slots [begin, end) for a token and KV head.
  struct Piece {
    int s, t, kv, part, pieces; // s < 0: nothing
    int begin, end;
    int first_new; // slots from here on are written in this step
    Slots slots;   // the first of each thread, but those
  };

  __device__ static int slot_of(int base, int i) {
    const int lane = thread_index() % warp_size;
    return base + i * warp_slots + lane / slot_threads;
  }
  __device__ static int first_base(const Piece &piece) {
    return piece.begin + thread_index() / warp_size * warp_slots * depth;
  }
  /// Finds a thread's slots from `base` on.
  __device__ void find(const Piece &piece, int base, Slots &slots) const {
    const int chunk = thread_index() % slot_threads;
#pragma unroll
    for (int i = 0; i < depth; ++i) {
      const int slot = slot_of(base, i);
      slots.places[i] = slot < piece.end && chunk < dims / 8
                            ? call.key_of(piece.s, slot, piece.kv) + chunk * 8
                            : nullptr;
    }
  }
  /// Reads those of them that lie in [from, to).
  __device__ static void read(int base, int from, int to, Slots &slots) {
#pragma unroll
    for (int i = 0; i < depth; ++i)
      if (const int slot = slot_of(base, i);
          slots.places[i] && slot >= from && slot < to) {
        slots.keys[i].load(slots.places[i]);
        slots.values[i].load(slots.places[i] + Call::cache_type::to_values);
      }
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
    const int parts = cut.pieces(most.y - most.x);
    piece.part = found.y % parts;
    piece.kv = found.y / parts % Call::kv_heads;
    piece.t = first + found.y / parts / Call::kv_heads;
    const int2 seen = call.visible(piece.s, piece.t);
    piece.pieces = cut.pieces(seen.y - seen.x);
    piece.begin = seen.x + piece.part * cut.size;
    piece.end =
        piece.begin + cut.size < seen.y ? piece.begin + cut.size : seen.y;
    piece.first_new = call.batch.first_new_slot(piece.s);
    if (piece.part >= piece.pieces) {
      piece.s = -1;
    } else {
      find(piece, first_base(piece), piece.slots);
      read(first_base(piece), 0, piece.first_new, piece.slots);
    }
    return piece;
  }

  /// Adds the piece's slots to the rows; `query` is this thread's part.
  /// Of the first slots those that were not are read now; if not `prepared`,
  /// all.
  __device__ void add_slots(Piece &piece, bool prepared,
                            const float (&query)[rows][8],
                            const bool (&fixed)[rows],
                            RunningRow<8> (&running)[rows]) const {
    const int end = piece.end;
    constexpr int step = warps * warp_slots * depth;
    const int begin = first_base(piece);
    if (!prepared)
      find(piece, begin, piece.slots);
    read(begin, prepared ? piece.first_new : 0, end, piece.slots);
    Slots next = piece.slots;
    for (int base = begin; base < end; base += step) {
      // The next are on their way while these are added.
      Slots slots = next;
      find(piece, base + step, next);
      read(base + step, 0, end, next);
      bool visible[depth];
#pragma unroll
      for (int i = 0; i < depth; ++i) {
        visible[i] = slot_of(base, i) < end;
        if (!slots.places[i]) {
          slots.keys[i].clear();
          slots.values[i].clear();
        }
      }
      float weights[depth][rows];
#pragma unroll
      for (int i = 0; i < depth; ++i) {
        float key[8];
#pragma unroll
        for (int d = 0; d < 8; ++d)
          key[d] = slots.keys[i].at(d);
#pragma unroll
        for (int r = 0; r < rows; ++r) {
          float product = 0.0f;
#pragma unroll
          for (int d = 0; d < 8; ++d)
            product = fmaf(key[d], query[r][d], product);
#pragma unroll
          for (int distance = slot_threads / 2; distance > 0; distance /= 2)
            product += __shfl_xor_sync(0xffffffffu, product, distance);
          weights[i][r] = call.logit(product);
        }
      }
#pragma unroll
      for (int r = 0; r < rows; ++r) {
        if (!fixed[r]) {
          float most = running[r].maximum;
#pragma unroll
          for (int i = 0; i < depth; ++i)
            most = visible[i] ? fmaxf(most, weights[i][r]) : most;
          running[r].rescale(most);
        }
#pragma unroll
        for (int i = 0; i < depth; ++i) {
          float w = shifted_exp(weights[i][r] - running[r].maximum);
          if constexpr (Softmax::async)
            w = fixed[r] ? Softmax::round(w) : w;
          weights[i][r] = visible[i] ? w : 0.0f;
          running[r].sum += weights[i][r];
        }
      }
#pragma unroll
      for (int i = 0; i < depth; ++i) {
        float value[8];
#pragma unroll
        for (int d = 0; d < 8; ++d)
          value[d] = slots.values[i].at(d);
#pragma unroll
        for (int r = 0; r < rows; ++r)
#pragma unroll
          for (int d = 0; d < 8; ++d)
            running[r].numerators[d] =
                fmaf(weights[i][r], value[d], running[r].numerators[d]);
      }
    }
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
    const int kv = piece.kv;
    const int warp = thread_index() / warp_size;
    const int lane = thread_index() % warp_size;
    const int chunk = lane % slot_threads;
    const int64_t row0 =
        int64_t(piece.t) * Call::query_heads + kv * group + first;
    float query[rows][8];
    bool fixed[rows];
    RunningRow<8> running[rows] = {};
#pragma unroll
    for (int r = 0; r < rows; ++r) {
      const bool real = r < count && chunk < dims / 8;
#pragma unroll
      for (int d = 0; d < 8; d += 4) {
        float part[4] = {};
        if (real)
          load_vector(call.query + (row0 + r) * dims + chunk * 8 + d, part);
#pragma unroll
        for (int i = 0; i < 4;
             ++i) // rounded to the cache's type, as everywhere
          query[r][d + i] = widen(narrow<E>(part[i]));
      }
      const float phi = r < count ? call.phi_of(kv * group + first + r) : 0.0f;
      fixed[r] = Softmax::async && phi == phi;
      running[r].maximum = fixed[r] ? phi : -__int_as_float(0x7f800000);
    }
    add_slots(piece, first == 0, query, fixed, running);
#pragma unroll
    for (int r = 0; r < rows; ++r) {
#pragma unroll
      for (int distance = slot_threads; distance < warp_size; distance *= 2)
        running[r].add_from(distance, fixed[r]);
      float *to = shared + (warp * rows + r) * floats;
      if (lane < dims / 8)
#pragma unroll
        for (int d = 0; d < 8; ++d)
          to[lane * 8 + d] = running[r].numerators[d];
      if (lane == 0) {
        to[dims] = running[r].sum;
        to[dims + 1] = running[r].maximum;
      }
    }
    block_barrier();
    bool invalid = false;
    for (int r = warp; r < count; r += warps) {
      const int64_t row = row0 + r;
      if (!is_wanted(row))
        continue;
      const bool relative = is_fixed(kv * group + first + r);
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
  return most < heads + wanted_pieces ? most : heads + wanted_pieces;
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
