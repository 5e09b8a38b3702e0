// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Everything an emitted engine includes.
#ifndef FDPP_KERNELS_CUDA_KERNELS_H
#define FDPP_KERNELS_CUDA_KERNELS_H

#include "kernels/cuda/decode_attention.h"
#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/grid_linear.h"
#include "kernels/cuda/linear.h"
#include "kernels/cuda/pick.h"
#include "kernels/cuda/prefill_attention.h"
#include "kernels/cuda/prologue.h"
#include "kernels/cuda/tokens.h"

#endif // FDPP_KERNELS_CUDA_KERNELS_H
