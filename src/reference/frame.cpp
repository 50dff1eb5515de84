#include "reference/frame.h"

#include "base/check.h"

namespace domicile::reference {
namespace {

constexpr std::string_view kMagic = "DRF1";

void put(std::string& out, std::uint64_t value, int bytes) {
  for (int shift = (bytes - 1) * 8; shift >= 0; shift -= 8)
    out.push_back(static_cast<char>(value >> shift & 0xFF));
}

std::uint64_t get(std::string_view bytes) {
  std::uint64_t value = 0;
  for (const char byte : bytes) value = value << 8 | static_cast<unsigned char>(byte);
  return value;
}

std::unexpected<Error> malformed() {
  return fail(Code::invalid, "a frame of the reference stream is malformed", "frame_malformed");
}

bool known(char kind) { return std::string_view("mctrds").find(kind) != std::string_view::npos; }

}  // namespace

FrameWriter::FrameWriter() { bytes_.assign(kHead, '\0'); }

void FrameWriter::add(RecordKind kind, std::string_view bytes) {
  bytes_.push_back(static_cast<char>(kind));
  put(bytes_, bytes.size(), 4);
  bytes_.append(bytes);
}

std::string FrameWriter::take(std::uint64_t sequence) {
  std::string head(kMagic);
  put(head, sequence, 8);
  bytes_.replace(0, head.size(), head);
  std::string out = std::move(bytes_);
  bytes_.assign(kHead, '\0');
  return out;
}

void stamp(std::string& frame, std::int64_t arrived_us, std::int64_t answered_us) {
  CHECK(frame.size() >= FrameWriter::kHead);
  std::string stamps;
  put(stamps, static_cast<std::uint64_t>(arrived_us), 8);
  put(stamps, static_cast<std::uint64_t>(answered_us), 8);
  frame.replace(kMagic.size() + 8, stamps.size(), stamps);
}

Result<FrameReader> FrameReader::open(std::string_view frame) {
  if (frame.size() < FrameWriter::kHead || frame.size() > kFrameMax || !frame.starts_with(kMagic))
    return malformed();
  FrameReader reader;
  reader.sequence_ = get(frame.substr(4, 8));
  reader.arrived_us_ = static_cast<std::int64_t>(get(frame.substr(12, 8)));
  reader.answered_us_ = static_cast<std::int64_t>(get(frame.substr(20, 8)));
  reader.rest_ = frame.substr(FrameWriter::kHead);
  return reader;
}

Result<std::optional<Record>> FrameReader::next() {
  if (rest_.empty()) return std::nullopt;
  if (rest_.size() < 5 || !known(rest_[0])) return malformed();
  const std::uint64_t length = get(rest_.substr(1, 4));
  if (length > rest_.size() - 5) return malformed();
  const Record record{static_cast<RecordKind>(rest_[0]), rest_.substr(5, length)};
  rest_.remove_prefix(5 + length);
  return record;
}

}  // namespace domicile::reference
