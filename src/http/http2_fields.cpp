#include "http/http2_fields.h"

#include "wire/http1_chars.h"

namespace domicile::http {

void Http2Fields::add(std::string_view name, std::string_view value) {
  pieces_.push_back({text_.size(), name.size(), value.size()});
  for (const char c : name) text_ += wire::to_lower(c);
  text_.append(value);
}

void Http2Fields::add_lines(std::string_view lines) {
  while (!lines.empty()) {
    const std::size_t end = lines.find("\r\n");
    const std::string_view line = lines.substr(0, end);
    const std::size_t colon = line.find(':');
    add(line.substr(0, colon), wire::trim_blanks(line.substr(colon + 1)));
    lines.remove_prefix(end + 2);
  }
}

std::vector<nghttp2_nv>& Http2Fields::native() {
  auto* base = reinterpret_cast<std::uint8_t*>(text_.data());
  native_.clear();
  for (const Piece& piece : pieces_) {
    native_.push_back({base + piece.at, base + piece.at + piece.name_size, piece.name_size,
                       piece.value_size, NGHTTP2_NV_FLAG_NONE});
  }
  return native_;
}

}  // namespace domicile::http
