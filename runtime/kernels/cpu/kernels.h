// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Everything an emitted engine includes.
#ifndef FDPP_KERNELS_CPU_KERNELS_H
#define FDPP_KERNELS_CPU_KERNELS_H

#include "kernels/cpu/decode_attention.h"
#include "kernels/cpu/dispatch.h"
#include "kernels/cpu/elementwise.h"
#include "kernels/cpu/epilogue.h"
#include "kernels/cpu/library.h"
#include "kernels/cpu/linear.h"
#include "kernels/cpu/pointwise.h"
#include "kernels/cpu/prefill_attention.h"
#include "kernels/cpu/team.h"
#include "kernels/cpu/tokens.h"

#endif // FDPP_KERNELS_CPU_KERNELS_H
