// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// How decode attention is split over a device's processors (Flash-Decoding).
#ifndef FDPP_KERNELS_CUDA_PIECES_H
#define FDPP_KERNELS_CUDA_PIECES_H

#include "kernels/cuda/attention.h"

namespace fdpp::cuda {

/// Most pieces that a sequence's slots are cut into, the least slots of one,
/// and how many pieces all sequences and KV heads should have together: about
/// one for each processor.
inline constexpr int most_pieces = 16, least_piece = 64, wanted_pieces = 128;

/// Bytes of scratch: partial results of every piece.
constexpr int64_t decode_attention_scratch_bytes(int sequences, int query_heads,
                                                 int head_dim,
                                                 int decode_tokens) {
  return int64_t(sequences) * decode_tokens * query_heads * most_pieces *
         partial_floats(head_dim) * 4;
}

/// How the slots that a step's tokens see are cut: into pieces of one size, by
/// all lengths, or in a batch-invariant step each sequence by its own. What
/// each warp finds out by itself.
class Cut {
public:
  template <class Call>
  __device__ explicit Cut(const Call &call) : kv_heads(Call::kv_heads) {
    if (call.batch.invariant)
      return;
    int64_t all = 0;
    int longest = 0;
    each_sequence(call, [&](int, int tokens, int slots) {
      all += int64_t(tokens) * slots * Call::kv_heads;
      longest = slots > longest ? slots : longest;
    });
    for (int distance = warp_size / 2; distance > 0; distance /= 2)
      all += __shfl_xor_sync(0xffffffffu, all, distance);
    longest = int(__reduce_max_sync(0xffffffffu, unsigned(longest)));
    common = size_for(all, longest);
  }

  /// Slots of a piece of a sequence that sees so many.
  __device__ int size(int slots) const {
    return common ? common : size_for(int64_t(slots) * kv_heads, slots);
  }
  __device__ int pieces(int slots) const {
    const int each = size(slots);
    return (slots + each - 1) / each;
  }

  /// Which piece a block is: its sequence (-1 if there are fewer), and its
  /// number among those of the sequence's tokens and KV heads.
  template <class Call>
  __device__ int2 find(const Call &call, int block) const {
    int before = 0;
    int2 found = {-1, 0};
    each_sequence(call, [&](int s, int tokens, int slots) {
      const int lane = thread_index() % warp_size;
      const int own = tokens * Call::kv_heads * pieces(slots);
      int end = own; // of the lanes up to this
      for (int distance = 1; distance < warp_size; distance *= 2) {
        const int other = __shfl_up_sync(0xffffffffu, end, distance);
        end += lane >= distance ? other : 0;
      }
      const int first = before + end - own;
      const unsigned here =
          __ballot_sync(0xffffffffu, block >= first && block < first + own);
      if (here) {
        const int from = __ffs(int(here)) - 1;
        found = {__shfl_sync(0xffffffffu, s, from),
                 block - __shfl_sync(0xffffffffu, first, from)};
      }
      before += __shfl_sync(0xffffffffu, end, warp_size - 1);
    });
    return found;
  }

private:
  int kv_heads, common = 0; // slots of everybody's pieces; 0: not common

  /// Of all slots, of all tokens and KV heads, and the longest's.
  __device__ static int size_for(int64_t all, int longest) {
    const int even = int((all + wanted_pieces - 1) / wanted_pieces);
    const int least = (longest + most_pieces - 1) / most_pieces;
    const int most = even > least ? even : least;
    const int size = (most + 7) / 8 * 8;
    return size > least_piece ? size : least_piece;
  }

  /// use(s, tokens, slots) by each lane for a sequence of its own: its tokens
  /// in this step, none beyond the last sequence, and the slots they see.
  template <class Call, class Use>
  __device__ static void each_sequence(const Call &call, Use use) {
    for (int base = 0; base < call.batch.sequences; base += warp_size) {
      const int s = base + thread_index() % warp_size;
      int tokens = 0, slots = 0;
      if (s < call.batch.sequences) {
        const int end = call.batch.seq_offsets[s + 1];
        tokens = end - call.batch.seq_offsets[s];
        const int2 seen = call.visible(s, end - 1);
        slots = seen.y - seen.x;
      }
      use(s, tokens, slots);
    }
  }
};

} // namespace fdpp::cuda

#endif // FDPP_KERNELS_CUDA_PIECES_H
