/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Completes a prompt: the example of docs/c-api.md. */
#include <fdpp-runtime/fdpp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check(fdpp_result result) {
  if (result == FDPP_OK)
    return;
  fprintf(stderr, "generate: %s\n", fdpp_last_error());
  exit(result == FDPP_ERROR_INTERNAL ? 70 : 1);
}

static int32_t print(void *ctx, size_t index, int32_t token, const char *text,
                     size_t bytes) {
  fwrite(text, 1, bytes, stdout);
  fflush(stdout);
  return 0; /* go on */
}

int main(int argc, char **argv) {
  if (argc != 3) {
    fprintf(stderr, "usage: generate ENGINE PROMPT\n");
    return 1;
  }
  fdpp_engine *engine;
  check(fdpp_engine_open(argv[1], NULL, &engine));

  int32_t tokens[512];
  size_t count;
  check(
      fdpp_tokenize(engine, argv[2], strlen(argv[2]), 1, tokens, 512, &count));
  if (count > 512) {
    fprintf(stderr, "generate: the prompt has more than 512 tokens\n");
    return 1;
  }

  struct fdpp_session_options options = {.struct_size = sizeof(options)};
  fdpp_session *session;
  check(fdpp_session_create(engine, &options, &session));
  fdpp_sequence *sequence;
  check(fdpp_sequence_create(session, 0, &sequence));

  struct fdpp_generate_item item = {.struct_size = sizeof(item)};
  item.sequence = sequence;
  item.tokens = tokens;
  item.count = (int32_t)count;
  item.max_new = 64;
  check(fdpp_generate(session, &item, 1, print, NULL));
  putchar('\n');

  fdpp_session_destroy(session); /* ends the sequence too */
  fdpp_engine_close(engine);
  return 0;
}
