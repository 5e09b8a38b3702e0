// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- WireScan.cpp - Protobuf wire format of ONNX models -----------------===//
//
// Encoding: https://protobuf.dev/programming-guides/encoding. Only the path
// from ModelProto down to TensorProto is descended; all else is copied.
//
//===----------------------------------------------------------------------===//
#include "WireScan.h"

using llvm::StringRef;

namespace mlir::fdpp {
namespace {

enum class Message {
  Model,
  Graph,
  Node,
  Attribute,
  Tensor,
  Sparse,
  Function,
  Other
};

/// Nested subgraphs deeper than this are refused (a graph in a graph is three
/// levels: graph, node, attribute).
constexpr int kMaxDepth = 48;
constexpr uint32_t kRawDataField = 9;

/// The message type of a length-delimited field, as onnx.proto numbers them.
Message childOf(Message parent, uint64_t field) {
  switch (parent) {
  case Message::Model:
    return field == 7    ? Message::Graph
           : field == 25 ? Message::Function
                         : Message::Other;
  case Message::Graph:
    return field == 1    ? Message::Node
           : field == 5  ? Message::Tensor
           : field == 15 ? Message::Sparse
                         : Message::Other;
  case Message::Node:
    return field == 5 ? Message::Attribute : Message::Other;
  case Message::Attribute:
    return field == 5 || field == 10    ? Message::Tensor
           : field == 6 || field == 11  ? Message::Graph
           : field == 22 || field == 23 ? Message::Sparse
                                        : Message::Other;
  case Message::Function:
    return field == 7    ? Message::Node
           : field == 11 ? Message::Attribute
                         : Message::Other;
  case Message::Sparse:
    return field == 1 || field == 2 ? Message::Tensor : Message::Other;
  case Message::Tensor:
  case Message::Other:
    return Message::Other;
  }
  llvm_unreachable("unknown message");
}

class Scanner {
public:
  Scanner(StringRef file, uint64_t threshold)
      : file(file), threshold(threshold) {}

  /// Copies the message in [at, end) to `out`, payloads replaced.
  llvm::Error scan(Message kind, uint64_t at, uint64_t end, int depth,
                   std::string &out);

private:
  llvm::Error fail(uint64_t at, const llvm::Twine &what) {
    return llvm::createStringError(what + " at byte " + llvm::Twine(at));
  }
  llvm::Expected<uint64_t> varint(uint64_t &at, uint64_t end);
  llvm::Expected<uint64_t> payloadEnd(uint64_t &at, uint64_t end, unsigned wire,
                                      uint64_t tagAt);
  llvm::Error lengthDelimited(Message kind, uint64_t field, uint64_t at,
                              uint64_t end, int depth, std::string &out);

  StringRef file;
  uint64_t threshold;
};

void appendVarint(std::string &out, uint64_t value) {
  for (; value >= 0x80; value >>= 7)
    out.push_back(static_cast<char>(value | 0x80));
  out.push_back(static_cast<char>(value));
}

void appendTag(std::string &out, uint64_t field, unsigned wire) {
  appendVarint(out, field << 3 | wire);
}

llvm::Expected<uint64_t> Scanner::varint(uint64_t &at, uint64_t end) {
  uint64_t value = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    if (at >= end)
      return fail(at, "model is cut short");
    uint8_t byte = file[at++];
    value |= uint64_t(byte & 0x7f) << shift;
    if (!(byte & 0x80))
      return value;
  }
  return fail(at, "not an ONNX model: number too long");
}

/// Where the value of wire type `wire` that starts at `at` ends. For
/// length-delimited values `at` moves behind the length.
llvm::Expected<uint64_t> Scanner::payloadEnd(uint64_t &at, uint64_t end,
                                             unsigned wire, uint64_t tagAt) {
  uint64_t size = 0;
  if (wire == 0) {
    uint64_t from = at;
    auto value = varint(from, end);
    if (!value)
      return value.takeError();
    size = from - at;
  } else if (wire == 1) {
    size = 8;
  } else if (wire == 5) {
    size = 4;
  } else if (wire == 2) {
    auto length = varint(at, end);
    if (!length)
      return length.takeError();
    size = *length;
  } else {
    return fail(tagAt, "not an ONNX model: wire type " + llvm::Twine(wire));
  }
  if (size > end - at)
    return fail(tagAt, "model is cut short or damaged: a field");
  return at + size;
}

llvm::Error Scanner::lengthDelimited(Message kind, uint64_t field, uint64_t at,
                                     uint64_t end, int depth,
                                     std::string &out) {
  if (kind == Message::Tensor && field == kRawDataField &&
      end - at > threshold) {
    appendTag(out, kPayloadOffsetField, 0);
    appendVarint(out, at);
    appendTag(out, kPayloadSizeField, 0);
    appendVarint(out, end - at);
    return llvm::Error::success();
  }
  Message child = childOf(kind, field);
  std::string inner;
  StringRef bytes = file.slice(at, end);
  if (child != Message::Other) {
    if (depth + 1 >= kMaxDepth)
      return fail(at, "subgraphs nest deeper than " + llvm::Twine(kMaxDepth) +
                          " messages");
    if (llvm::Error error = scan(child, at, end, depth + 1, inner))
      return error;
    bytes = inner;
  }
  appendTag(out, field, 2);
  appendVarint(out, bytes.size());
  out.append(bytes.data(), bytes.size());
  return llvm::Error::success();
}

llvm::Error Scanner::scan(Message kind, uint64_t at, uint64_t end, int depth,
                          std::string &out) {
  while (at < end) {
    uint64_t tagAt = at;
    auto tag = varint(at, end);
    if (!tag)
      return tag.takeError();
    uint64_t field = *tag >> 3;
    unsigned wire = *tag & 7;
    if (field == 0)
      return fail(tagAt, "not an ONNX model: field number 0");
    auto valueEnd = payloadEnd(at, end, wire, tagAt);
    if (!valueEnd)
      return valueEnd.takeError();
    bool forged = kind == Message::Tensor &&
                  (field == kPayloadOffsetField || field == kPayloadSizeField);
    if (!forged && wire != 2)
      out.append(file.data() + tagAt, *valueEnd - tagAt);
    else if (!forged)
      if (llvm::Error error =
              lengthDelimited(kind, field, at, *valueEnd, depth, out))
        return error;
    at = *valueEnd;
  }
  return llvm::Error::success();
}

} // namespace

llvm::Expected<std::string> stripPayloads(StringRef file, uint64_t threshold) {
  std::string out;
  Scanner scanner(file, threshold);
  if (llvm::Error error = scanner.scan(Message::Model, 0, file.size(), 0, out))
    return std::move(error);
  return out;
}

} // namespace mlir::fdpp
