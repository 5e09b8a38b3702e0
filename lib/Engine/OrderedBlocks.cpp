// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "OrderedBlocks.h"

#include "llvm/ADT/ArrayRef.h"

#include <condition_variable>
#include <mutex>
#include <thread>

using namespace mlir::fdpp;

namespace {

/// A ring of blocks. Block i lies in slot i modulo the ring's size, so a
/// producer may begin it once block i - size has been consumed.
class Ring {
public:
  Ring(int64_t count, unsigned size) : count(count), slots(size) {}

  /// The next block to produce, or -1 when there is none left to do.
  int64_t claim() {
    std::unique_lock<std::mutex> lock(mutex);
    changed.wait(lock, [&] {
      return stopped || next >= count ||
             next < consumed + static_cast<int64_t>(slots.size());
    });
    return stopped || next >= count ? -1 : next++;
  }

  std::vector<char> &blockOf(int64_t index) { return slotOf(index).block; }

  void publish(int64_t index) {
    std::lock_guard<std::mutex> lock(mutex);
    slotOf(index).ready = true;
    changed.notify_all();
  }

  void await(int64_t index) {
    std::unique_lock<std::mutex> lock(mutex);
    changed.wait(lock, [&] { return slotOf(index).ready; });
  }

  void release(int64_t index) {
    std::lock_guard<std::mutex> lock(mutex);
    slotOf(index).ready = false;
    consumed = index + 1;
    changed.notify_all();
  }

  void stop() {
    std::lock_guard<std::mutex> lock(mutex);
    stopped = true;
    changed.notify_all();
  }

private:
  struct Slot {
    std::vector<char> block;
    bool ready = false;
  };
  Slot &slotOf(int64_t index) { return slots[index % slots.size()]; }

  const int64_t count;
  std::vector<Slot> slots;
  std::mutex mutex;
  std::condition_variable changed;
  int64_t next = 0, consumed = 0;
  bool stopped = false;
};

} // namespace

llvm::Error mlir::fdpp::streamBlocks(
    int64_t count, unsigned threads,
    llvm::function_ref<void(int64_t, std::vector<char> &)> produce,
    llvm::function_ref<llvm::Error(int64_t, llvm::ArrayRef<char>)> consume) {
  Ring ring(count, 2 * threads + 1);
  std::vector<std::thread> workers;
  for (unsigned i = 0; i < threads; ++i)
    workers.emplace_back([&] {
      for (int64_t index; (index = ring.claim()) >= 0;) {
        produce(index, ring.blockOf(index));
        ring.publish(index);
      }
    });
  llvm::Error error = llvm::Error::success();
  for (int64_t index = 0; index < count && !error; ++index) {
    ring.await(index);
    error = consume(index, ring.blockOf(index));
    ring.release(index);
  }
  ring.stop();
  for (std::thread &worker : workers)
    worker.join();
  return error;
}
