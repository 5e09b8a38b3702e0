// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Counts every allocation of the program, to show that a step makes none.
#include "Engine.h"
#include "ToyEngine.h"
#include "ToyFormula.h"

#include <atomic>
#include <cstdlib>
#include <gtest/gtest.h>
#include <new>

static std::atomic<int64_t> allocations{0};

#ifdef FDPP_SANITIZED
// A sanitizer has operators of its own, and a way to listen to them.
#include <sanitizer/allocator_interface.h>

static const int kListening = __sanitizer_install_malloc_and_free_hooks(
    [](const volatile void *, size_t) { ++allocations; },
    [](const volatile void *) {});
#else
void *operator new(size_t bytes) {
  ++allocations;
  if (void *memory = std::malloc(bytes))
    return memory;
  throw std::bad_alloc();
}
void operator delete(void *memory) noexcept { std::free(memory); }
void operator delete(void *memory, size_t) noexcept { std::free(memory); }
#endif

using namespace fdpp::runtime;

TEST(AllocationTest, NothingIsAllocatedInsideAStep) {
  toy::Engine folder;
  Engine engine(folder.folder(), false);
  Session session(engine.view(), {.threads = 2, .context = 64, .sequences = 2});
  Sequence *a = session.createSequence(0), *b = session.fork(a, 1);
  std::vector<int32_t> tokens(60, 5);
  std::vector<float> all(30 * toy::kVocab);
  SamplerParams params{.temperature = 1,
                       .topK = 50,
                       .topP = 0.9f,
                       .minP = 0.01f,
                       .repeatPenalty = 1.1f};
#ifdef FDPP_SANITIZED
  // Its threads allocate when they start: let them, before what counts.
  StepItem first{a, tokens.data(), 1, true};
  session.step(&first, 1);
  a->truncate(0);
#endif
  int64_t before = allocations;
  EXPECT_GT(before, 0);
  StepItem items[] = {{a, tokens.data(), 30, true, all.data()},
                      {b, tokens.data(), 3, true}};
  session.step(items, 2);
  for (int i = 0; i < 20; ++i) {
    int32_t next = session.sample(*a, params);
    StepItem item{a, &next, 1, true};
    session.step(&item, 1);
  }
  EXPECT_EQ(allocations, before);
  EXPECT_EQ(a->length(), 50);
}
