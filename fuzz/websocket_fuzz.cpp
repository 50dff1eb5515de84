// Frames of a tunnel: the same bytes in one piece and in pieces of every size give the same boundary,
// the same verdict, and never a crash. What was refused stays refused.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "wire/websocket.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using domicile::wire::FrameTracker;
  if (size < 2) return 0;
  const auto sender = data[0] & 1 ? FrameTracker::Sender::client : FrameTracker::Sender::server;
  const std::size_t piece = data[1] % 32 + 1;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 2, size - 2);
  FrameTracker whole(sender), cut(sender);
  const bool good = whole.feed(bytes);
  bool same = true;
  for (std::size_t at = 0; at < bytes.size(); at += piece) same = cut.feed(bytes.substr(at, piece));
  if (bytes.empty()) return 0;
  if (good != same) std::abort();
  if (good && (whole.at_boundary() != cut.at_boundary() || whole.closed() != cut.closed()))
    std::abort();
  return 0;
}
