// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "CudaReadCeiling.h"

#include <algorithm>
#include <string>

namespace fdpp::runtime {
namespace {

/// Thread i reads the 16-byte words i, i + stride, ... eight at a time. What it
/// read is stored where nobody expects it to be, so that it has to be read.
/// In PTX, since the runtime is built without the toolkit.
constexpr char kKernel[] = R"(
.version 7.0
.target sm_80
.address_size 64
.visible .entry read_all(.param .u64 from, .param .u64 words)
{
  .reg .u32 %thread, %threads, %block, %blocks, %a<32>, %sum;
  .reg .u64 %i, %stride, %many, %end, %words, %base, %at, %step;
  .reg .pred %more, %never;
  ld.param.u64 %base, [from];
  ld.param.u64 %words, [words];
  mov.u32 %thread, %tid.x;
  mov.u32 %threads, %ntid.x;
  mov.u32 %block, %ctaid.x;
  mov.u32 %blocks, %nctaid.x;
  mul.wide.u32 %i, %block, %threads;
  cvt.u64.u32 %stride, %thread;
  add.u64 %i, %i, %stride;
  mul.wide.u32 %stride, %blocks, %threads;
  shl.b64 %many, %stride, 3;
  sub.u64 %end, %many, %stride;
  sub.u64 %end, %words, %end;
  shl.b64 %step, %stride, 4;
  mov.u32 %sum, 0;
again:
  setp.ge.s64 %more, %i, %end;
  @%more bra done;
  shl.b64 %at, %i, 4;
  add.u64 %at, %at, %base;
LOADS
  add.u64 %i, %i, %many;
  bra again;
done:
  setp.ne.u32 %never, %sum, 0x9e3779b9;
  @%never bra last;
  st.global.u32 [%base], %sum;
last:
  ret;
}
)";

/// The kernel with its eight loads.
std::string kernelText() {
  std::string loads, sums, text = kKernel;
  for (int i = 0; i < 8; ++i) {
    std::string list;
    for (int j = 0; j < 4; ++j) {
      std::string name = "%a" + std::to_string(4 * i + j);
      list += (j ? ", " : "") + name;
      sums += "  xor.b32 %sum, %sum, " + name + ";\n";
    }
    loads += "  ld.global.v4.u32 {" + list + "}, [%at];\n";
    loads += "  add.u64 %at, %at, %step;\n";
  }
  text.replace(text.find("LOADS\n"), 6, loads + sums);
  return text;
}

/// What is made of the driver's, given back at the end.
struct Owned {
  const CudaDriver &driver = cudaDriver();
  CudaModule *module = nullptr;
  CudaEvent *begin = nullptr, *end = nullptr;
  ~Owned() {
    if (begin)
      driver.eventDestroy(begin);
    if (end)
      driver.eventDestroy(end);
    if (module)
      driver.moduleUnload(module);
  }
};

} // namespace

double cudaReadCeiling(CudaPointer memory, uint64_t bytes, int processors,
                       CudaStream *stream, CudaResult &error) {
  constexpr unsigned threads = 512, blocksEach = 4;
  Owned own;
  const CudaDriver &driver = own.driver;
  CudaFunction *kernel = nullptr;
  std::string text = kernelText();
  error = driver.moduleLoadData(&own.module, text.c_str());
  if (error == 0)
    error = driver.moduleGetFunction(&kernel, own.module, "read_all");
  if (error == 0)
    error = driver.eventCreate(&own.begin, 0);
  if (error == 0)
    error = driver.eventCreate(&own.end, 0);
  const unsigned blocks = static_cast<unsigned>(processors) * blocksEach;
  uint64_t words = bytes / 16, round = uint64_t{8} * blocks * threads;
  const double read = static_cast<double>(words / round * round) * 16;
  void *arguments[] = {&memory, &words};
  double best = 0, spent = 0;
  while (error == 0 && spent < 0.2 && read > 0) {
    float ms = 0;
    error = driver.eventRecord(own.begin, stream);
    if (error == 0)
      error = driver.launchKernel(kernel, blocks, 1, 1, threads, 1, 1, 0,
                                  stream, arguments, nullptr);
    if (error == 0)
      error = driver.eventRecord(own.end, stream);
    if (error == 0)
      error = driver.streamSynchronize(stream);
    if (error == 0)
      error = driver.eventElapsedTime(&ms, own.begin, own.end);
    if (error != 0 || ms <= 0)
      break;
    best = std::max(best, read / (ms * 1e-3));
    spent += ms * 1e-3;
  }
  return best;
}

} // namespace fdpp::runtime
