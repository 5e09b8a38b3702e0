// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef FDPP_ENGINE_INTERNALERROR_H
#define FDPP_ENGINE_INTERNALERROR_H

#include "llvm/Support/Error.h"

#include <string>

namespace mlir::fdpp {

/// A failure that is no fault of the user: exit code 70.
class InternalError : public llvm::ErrorInfo<InternalError> {
public:
  static char ID;
  explicit InternalError(std::string text) : text(std::move(text)) {}
  void log(llvm::raw_ostream &os) const override;
  std::error_code convertToErrorCode() const override;

private:
  std::string text;
};

} // namespace mlir::fdpp

#endif // FDPP_ENGINE_INTERNALERROR_H
