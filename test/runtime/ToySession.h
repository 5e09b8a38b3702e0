// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A sequence of a toy engine, through the C API.
#ifndef FDPP_TEST_RUNTIME_TOYSESSION_H
#define FDPP_TEST_RUNTIME_TOYSESSION_H

#include "ToyEngine.h"
#include "fdpp-runtime/fdpp.h"

#include <gtest/gtest.h>
#include <optional>
#include <string>
#include <vector>

namespace toy {

struct SessionTest : testing::Test {
  void open(const std::string &library) {
    folder.emplace(library);
    ASSERT_EQ(fdpp_engine_open(folder->folder().c_str(), nullptr, &engine),
              FDPP_OK)
        << fdpp_last_error();
    ASSERT_EQ(fdpp_session_create(engine, nullptr, &session), FDPP_OK);
    ASSERT_EQ(fdpp_sequence_create(session, 0, &sequence), FDPP_OK);
  }
  void TearDown() override {
    fdpp_session_destroy(session);
    fdpp_engine_close(engine);
  }
  void step(const std::vector<int32_t> &tokens) {
    fdpp_step_item item = {};
    item.struct_size = sizeof(item);
    item.sequence = sequence;
    item.tokens = tokens.data();
    item.count = static_cast<int32_t>(tokens.size());
    item.logits = FDPP_LOGITS_LAST;
    ASSERT_EQ(fdpp_session_step(session, &item, 1), FDPP_OK)
        << fdpp_last_error();
  }

  std::optional<Engine> folder;
  fdpp_engine *engine = nullptr;
  fdpp_session *session = nullptr;
  fdpp_sequence *sequence = nullptr;
};

} // namespace toy

#endif // FDPP_TEST_RUNTIME_TOYSESSION_H
