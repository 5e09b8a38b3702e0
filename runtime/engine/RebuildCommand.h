// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef FDPP_RUNTIME_ENGINE_REBUILDCOMMAND_H
#define FDPP_RUNTIME_ENGINE_REBUILDCOMMAND_H

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace fdpp::runtime {

/// What to do about an engine that this runtime or machine cannot use: the
/// command that engine.json records, to be pasted into a shell, in the place of
/// that engine. `here`: for the machine that runs this instead of the one the
/// engine was made for. Of an engine.json without such a command, or with one
/// that is no command of fdpp-compile: "compile the model again".
std::string rebuildCommand(const nlohmann::json &manifest,
                           const std::string &folder, bool here);

} // namespace fdpp::runtime

#endif // FDPP_RUNTIME_ENGINE_REBUILDCOMMAND_H
