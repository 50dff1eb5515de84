#include "audit/event_line.h"

#include <array>
#include <charconv>

#include <xxhash.h>

namespace domicile::audit {
namespace {

constexpr std::string_view kBatch = "\"batch\":";
constexpr std::string_view kHash = ",\"xxh3\":\"";
constexpr std::string_view kEnd = "\"}}";
constexpr std::string_view kSequence = "\"sequence\":";
constexpr std::string_view kSealed = "{\"sealed\":\"";
constexpr std::string_view kSealedHash = "\",\"xxh3\":\"";
constexpr std::string_view kSealedEnd = "\"}";
constexpr std::size_t kDigits = 16;

std::array<char, kDigits> hash_digits(std::string_view bytes) {
  constexpr char kHex[] = "0123456789abcdef";
  XXH64_hash_t hash = XXH3_64bits(bytes.data(), bytes.size());
  std::array<char, kDigits> digits{};
  for (std::size_t i = kDigits; i-- > 0; hash >>= 4) digits[i] = kHex[hash & 15];
  return digits;
}

void append_number(std::string& out, std::uint64_t value) {
  char digits[20];
  out.append(digits, std::to_chars(digits, digits + sizeof digits, value).ptr);
}

// Whether the digits that follow `covered` in `line` are its hash.
bool hash_fits(std::string_view line, std::string_view covered) {
  const auto digits = hash_digits(covered);
  return line.substr(covered.size(), kDigits) == std::string_view(digits.data(), digits.size());
}

void append_hash(std::string& out, std::size_t begin) {
  const auto digits = hash_digits(std::string_view(out).substr(begin));
  out.append(digits.data(), digits.size());
}

void append_sealed_line(std::string& out, std::string_view sealed) {
  const std::size_t begin = out.size();
  out += kSealed;
  out += sealed;
  out += kSealedHash;
  append_hash(out, begin);
  out += kSealedEnd;
  out += '\n';
}

// The number at the start of `text`, canonical, followed by `next`.
std::optional<std::uint64_t> number_before(std::string_view text, char next) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end == text.data() + text.size() || *end != next) return std::nullopt;
  if (text.front() == '0') return std::nullopt;  // sequences start at 1
  return value;
}

}  // namespace

void append_line(std::string& out, const OcsfRecord& record, std::uint64_t sequence,
                 std::uint64_t batch) {
  if (!record.sealed.empty()) append_sealed_line(out, record.sealed);
  const std::size_t begin = out.size();
  const std::string_view text = record.text;
  out += text.substr(0, record.sequence_at);
  append_number(out, sequence);
  out += text.substr(record.sequence_at);
  out += kBatch;
  append_number(out, batch);
  out += kHash;
  append_hash(out, begin);
  out += kEnd;
  out += '\n';
}

std::optional<LineFrame> parse_line(std::string_view line) {
  if (line.size() < kDigits + kEnd.size() || line.size() >= kLineBytesMax || line.front() != '{') {
    return std::nullopt;
  }
  if (!line.ends_with(kEnd)) return std::nullopt;
  const std::string_view covered = line.substr(0, line.size() - kEnd.size() - kDigits);
  if (!hash_fits(line, covered) || !covered.ends_with(kHash)) return std::nullopt;
  const auto batch_at = covered.rfind(kBatch);
  // A string inside the record cannot hold `"sequence":` or `"batch":`, because its quotes are
  // escaped.
  const auto sequence_at = covered.find(kSequence);
  if (batch_at == covered.npos || sequence_at == covered.npos) return std::nullopt;
  const auto batch = number_before(covered.substr(batch_at + kBatch.size()), ',');
  const auto sequence = number_before(covered.substr(sequence_at + kSequence.size()), ',');
  if (!batch || !sequence || *batch > *sequence) return std::nullopt;
  return LineFrame{.sequence = *sequence, .batch = *batch};
}

std::optional<std::string_view> parse_sealed_line(std::string_view line) {
  const std::size_t around = kSealed.size() + kSealedHash.size() + kDigits + kSealedEnd.size();
  if (line.size() <= around || !line.starts_with(kSealed) || !line.ends_with(kSealedEnd)) {
    return std::nullopt;
  }
  const std::string_view covered = line.substr(0, line.size() - kSealedEnd.size() - kDigits);
  if (!hash_fits(line, covered) || !covered.ends_with(kSealedHash)) return std::nullopt;
  return line.substr(kSealed.size(), line.size() - around);
}

}  // namespace domicile::audit
