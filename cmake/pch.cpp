// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Only carries the precompiled header.
