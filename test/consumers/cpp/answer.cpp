// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Prints the token ids that an engine gives after some token ids:
//   answer ENGINE COUNT ID...
#include <fdpp-runtime/fdpp.h>

#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

void check(fdpp_result result) {
  if (result != FDPP_OK)
    throw std::runtime_error(fdpp_last_error());
}

template <auto Destroy> struct Deleter {
  template <typename T> void operator()(T *object) const { Destroy(object); }
};
using Engine = std::unique_ptr<fdpp_engine, Deleter<fdpp_engine_close>>;
using Session = std::unique_ptr<fdpp_session, Deleter<fdpp_session_destroy>>;

int32_t keep(void *ctx, size_t, int32_t token, const char *, size_t) {
  if (token >= 0)
    static_cast<std::vector<int32_t> *>(ctx)->push_back(token);
  return 0;
}

std::vector<int32_t> answer(const char *path, int32_t count,
                            const std::vector<int32_t> &prompt) {
  fdpp_engine *opened;
  check(fdpp_engine_open(path, nullptr, &opened));
  Engine engine(opened);
  fdpp_session_options options = {};
  options.struct_size = sizeof(options);
  fdpp_session *created;
  check(fdpp_session_create(engine.get(), &options, &created));
  Session session(created);
  fdpp_sequence *sequence;
  check(fdpp_sequence_create(session.get(), 0, &sequence));

  fdpp_generate_item item = {};
  item.struct_size = sizeof(item);
  item.sequence = sequence;
  item.tokens = prompt.data();
  item.count = static_cast<int32_t>(prompt.size());
  item.max_new = count;
  std::vector<int32_t> tokens;
  check(fdpp_generate(session.get(), &item, 1, keep, &tokens));
  return tokens;
}

} // namespace

int main(int argc, char **argv) {
  if (argc < 4) {
    std::cerr << "usage: answer ENGINE COUNT ID...\n";
    return 1;
  }
  try {
    std::vector<int32_t> prompt;
    for (int i = 3; i < argc; ++i)
      prompt.push_back(std::stoi(argv[i]));
    for (int32_t token : answer(argv[1], std::stoi(argv[2]), prompt))
      std::cout << token << "\n";
  } catch (const std::exception &error) {
    std::cerr << "answer: " << error.what() << "\n";
    return 1;
  }
}
