// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "fdpp/Engine/CudaArch.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringExtras.h"

using namespace mlir::fdpp;
using llvm::StringRef;

static constexpr StringRef kKnown[] = {"sm_80",   "sm_86",   "sm_89",  "sm_90a",
                                       "sm_100a", "sm_103a", "sm_120a"};

llvm::Expected<TargetArch> mlir::fdpp::resolveCudaArch(StringRef list) {
  std::string known = llvm::join(llvm::ArrayRef(kKnown), ", ");
  if (list == "native")
    return llvm::createStringError("--target=cuda asks no gpu what it is; name "
                                   "one or more with --arch: " +
                                   known);
  llvm::SmallVector<StringRef> wanted;
  list.split(wanted, ',');
  for (StringRef arch : wanted)
    if (!llvm::is_contained(kKnown, arch))
      return llvm::createStringError("--arch: no gpu is called '" + arch +
                                     "'; give one or more of " + known);
  TargetArch result;
  result.target = "cuda";
  for (StringRef arch : kKnown) {
    if (!llvm::is_contained(wanted, arch))
      continue;
    result.name += (result.name.empty() ? "" : ",") + arch.str();
    result.flags.push_back("-gencode=arch=compute_" + arch.substr(3).str() +
                           ",code=" + arch.str());
  }
  // Code of a family (90a) does not go forward, that of compute_80 does.
  result.flags.push_back("-gencode=arch=compute_80,code=compute_80");
  return result;
}
