// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef FDPP_RUNTIME_ENGINE_PHI_H
#define FDPP_RUNTIME_ENGINE_PHI_H

#include <cstdint>
#include <string>
#include <vector>

namespace fdpp::runtime {

/// phi.json: the unified max value of each layer and query head, row-major;
/// NaN (null in the file) means that the head is always exact.
std::vector<float> readPhi(const std::string &path, int32_t layers,
                           int32_t queryHeads);

} // namespace fdpp::runtime

#endif // FDPP_RUNTIME_ENGINE_PHI_H
