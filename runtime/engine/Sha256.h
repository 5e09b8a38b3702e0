// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef FDPP_RUNTIME_ENGINE_SHA256_H
#define FDPP_RUNTIME_ENGINE_SHA256_H

#include <string>

namespace fdpp::runtime {

/// SHA-256 (FIPS 180-4) of a file as 64 lower-case hex digits; throws a user
/// error when the file cannot be read.
std::string sha256OfFile(const std::string &path);

} // namespace fdpp::runtime

#endif // FDPP_RUNTIME_ENGINE_SHA256_H
