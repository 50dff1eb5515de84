#include "wire/trace_parent.h"

#include <algorithm>

namespace domicile::wire {
namespace {

// version "-" trace-id "-" parent-id "-" trace-flags
constexpr std::size_t kTraceAt = 3;
constexpr std::size_t kTraceDigits = 32;
constexpr std::size_t kParentAt = kTraceAt + kTraceDigits + 1;
constexpr std::size_t kParentDigits = 16;
constexpr std::size_t kFlagsAt = kParentAt + kParentDigits + 1;
constexpr std::size_t kSize = kFlagsAt + 2;
constexpr std::size_t kSizeMax = 256;  // of versions to come

bool is_hex(std::string_view text) {
  return std::ranges::all_of(
      text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool is_id(std::string_view text) {
  return is_hex(text) && text.find_first_not_of('0') != std::string_view::npos;
}

}  // namespace

std::optional<std::string_view> trace_id_of(std::string_view value) {
  if (value.size() < kSize || value.size() > kSizeMax) return std::nullopt;
  const std::string_view version = value.substr(0, 2);
  if (!is_hex(version) || version == "ff") return std::nullopt;
  if (value[kTraceAt - 1] != '-' || value[kParentAt - 1] != '-' || value[kFlagsAt - 1] != '-') {
    return std::nullopt;
  }
  // A later version may go on after another dash.
  if (value.size() > kSize && (version == "00" || value[kSize] != '-')) return std::nullopt;
  const std::string_view trace = value.substr(kTraceAt, kTraceDigits);
  if (!is_id(trace) || !is_id(value.substr(kParentAt, kParentDigits)) ||
      !is_hex(value.substr(kFlagsAt, 2))) {
    return std::nullopt;
  }
  return trace;
}

}  // namespace domicile::wire
