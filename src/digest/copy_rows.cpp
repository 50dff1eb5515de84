#include "digest/copy_rows.h"

#include "base/check.h"

namespace domicile::digest {
namespace {

constexpr std::string_view kSignature("PGCOPY\n\377\r\n\0", 11);
constexpr std::size_t kHeader = 19;  // signature, flags, length of the extension
constexpr std::size_t kMessageMax = 1u << 30;

std::uint32_t word(std::string_view bytes, std::size_t at) {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(bytes[at + i]); };
  return static_cast<std::uint32_t>(byte(0)) << 24 | byte(1) << 16 | byte(2) << 8 | byte(3);
}

std::unexpected<Error> malformed() {
  return fail(Code::invalid, "the server's COPY is not in the binary format that is known here",
              "copy_format");
}

}  // namespace

bool CopyRow::null(std::size_t field) const {
  CHECK(field < size());
  return word(message_, starts_[field]) == UINT32_MAX;
}

std::string_view CopyRow::value(std::size_t field) const {
  CHECK(field < size());
  if (null(field)) return {};
  return message_.substr(starts_[field] + 4, starts_[field + 1] - starts_[field] - 4);
}

std::string_view CopyRow::bytes(std::size_t first, std::size_t last) const {
  CHECK(first <= last && last <= size());
  return message_.substr(starts_[first], starts_[last] - starts_[first]);
}

Result<const CopyRow*> CopyRows::next(std::string_view message) {
  if (ended_ || message.size() > kMessageMax) return malformed();
  if (!begun_) {
    if (message.size() < kHeader || !message.starts_with(kSignature) || word(message, 11) != 0 ||
        word(message, 15) != 0)
      return malformed();
    message.remove_prefix(kHeader);
    begun_ = true;
    if (message.empty()) return nullptr;
  }
  if (message.size() < 2) return malformed();
  const unsigned count =
      static_cast<std::uint8_t>(message[0]) << 8 | static_cast<std::uint8_t>(message[1]);
  if (count == 0xFFFF) {
    if (message.size() != 2) return malformed();
    ended_ = true;
    return nullptr;
  }
  std::size_t at = 2;
  row_.message_ = message;
  row_.starts_.clear();
  for (unsigned i = 0; i < count; ++i) {
    if (message.size() - at < 4) return malformed();
    row_.starts_.push_back(static_cast<std::uint32_t>(at));
    const std::uint32_t length = word(message, at);
    at += 4;
    if (length == UINT32_MAX) continue;
    if (length > message.size() - at) return malformed();
    at += length;
  }
  if (at != message.size()) return malformed();
  row_.starts_.push_back(static_cast<std::uint32_t>(at));
  return &row_;
}

}  // namespace domicile::digest
