// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What stands between C and C++: handles, structs of other sizes, errors.
#ifndef FDPP_RUNTIME_ENGINE_CAPISUPPORT_H
#define FDPP_RUNTIME_ENGINE_CAPISUPPORT_H

#include "Engine.h"
#include "Error.h"
#include "ReadCeiling.h"
#include "Session.h"
#include "fdpp-runtime/fdpp.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <vector>

struct fdpp_engine {
  std::shared_ptr<const fdpp::runtime::Engine> engine;
  std::string arch, features; // comma-separated, for fdpp_engine_info
};

struct fdpp_sequence {
  fdpp_session *session;
  fdpp::runtime::Sequence *sequence;
};

struct fdpp_session {
  std::shared_ptr<const fdpp::runtime::Engine> engine; // outlives `session`
  fdpp::runtime::Session session;
  std::vector<std::unique_ptr<fdpp_sequence>> sequences;
  std::vector<fdpp::runtime::StepItem> items; // of the step being asked for
  std::optional<fdpp::runtime::ReadCeiling> ceiling;
  fdpp_value_fn onValue = nullptr;
  void *valueCtx = nullptr;
  fdpp_kernel_time_fn onKernel = nullptr;
  void *kernelCtx = nullptr;

  fdpp_session(std::shared_ptr<const fdpp::runtime::Engine> engine,
               const fdpp::runtime::SessionOptions &options)
      : engine(engine), session(engine->view(), options) {
    items.reserve(session.options().sequences);
  }
};

namespace fdpp::runtime {

/// Keeps the message for fdpp_last_error and gives the code back.
fdpp_result failed(fdpp_result code, const std::string &message) noexcept;

/// Runs `body` and turns what it throws into a result.
template <typename Body> fdpp_result guarded(Body body) noexcept {
  try {
    body();
    return FDPP_OK;
  } catch (const Error &error) {
    static constexpr fdpp_result kCodes[] = {
        FDPP_ERROR,        FDPP_ERROR_CONTEXT, FDPP_ERROR_NO_PAGE,
        FDPP_ERROR_MEMORY, FDPP_CANCELLED,     FDPP_ERROR_INTERNAL};
    return failed(kCodes[static_cast<int>(error.kind)], error.what());
  } catch (const std::bad_alloc &) {
    return failed(FDPP_ERROR_MEMORY, "out of memory");
  } catch (const std::exception &error) {
    return failed(FDPP_ERROR_INTERNAL, error.what());
  } catch (...) {
    return failed(FDPP_ERROR_INTERNAL, "unknown exception");
  }
}

inline void need(bool ok, const char *what) {
  if (!ok)
    userError(std::string(what) + " must not be null");
}

/// The caller's struct as this side knows it; fields it lacks are zero.
template <typename T> T readStruct(const T *given) {
  T known = {};
  if (!given)
    return known;
  if (given->struct_size < sizeof(given->struct_size))
    userError("struct_size is not set; zero the struct and set it to sizeof");
  std::memcpy(&known, given, std::min(given->struct_size, sizeof(T)));
  return known;
}

/// Element i of an array whose stride is its own struct_size.
template <typename T> T *element(T *array, size_t i) {
  using Byte = std::conditional_t<std::is_const_v<T>, const unsigned char,
                                  unsigned char>;
  return reinterpret_cast<T *>(reinterpret_cast<Byte *>(array) +
                               i * array->struct_size);
}

/// Fills the caller's struct as far as it reaches.
template <typename T> void writeStruct(T *given, T value) {
  need(given, "the struct to fill");
  if (given->struct_size < sizeof(given->struct_size))
    userError("struct_size is not set; zero the struct and set it to sizeof");
  value.struct_size = given->struct_size;
  std::memcpy(given, &value, std::min(given->struct_size, sizeof(T)));
}

SamplerParams readSampling(const fdpp_sampling *given);

} // namespace fdpp::runtime

#endif // FDPP_RUNTIME_ENGINE_CAPISUPPORT_H
