// The numbers at the front of a line of a position file: decimal, each with a space behind it.
#pragma once

#include <charconv>
#include <cstdint>
#include <optional>
#include <string_view>

namespace domicile::trail {

// Taken off the front; nullopt: the line does not begin with one.
inline std::optional<std::uint64_t> take_number(std::string_view& line) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(line.begin(), line.end(), value);
  if (error != std::errc{} || end == line.end() || *end != ' ') return std::nullopt;
  line.remove_prefix(static_cast<std::size_t>(end - line.begin()) + 1);
  return value;
}

}  // namespace domicile::trail
