#include "wire/http2_request.h"

#include <algorithm>
#include <utility>

#include "wire/http1_chars.h"

namespace domicile::wire {
namespace {

constexpr std::size_t kFramingBytes = 4;  // ": " and CRLF, in HTTP/1
constexpr std::size_t kTrailerBytesMax = 8 * 1024;
constexpr std::size_t kExcess = 4;

bool is_pseudo(std::string_view name) { return name.starts_with(':'); }

bool is_lower(std::string_view name) {
  return std::ranges::none_of(name, [](char c) { return c >= 'A' && c <= 'Z'; });
}

bool has_outer_blank(std::string_view value) { return trim_blanks(value).size() != value.size(); }

// RFC 9113 section 8.2.2.
bool is_of_a_connection(const Field& field) {
  switch (field.kind) {
    case FieldKind::connection:
    case FieldKind::transfer_encoding: return true;
    case FieldKind::hop_by_hop:
      if (field.name == "te") return !equals_lower(field.value, "trailers");
      return field.name == "keep-alive" || field.name == "proxy-connection" ||
             field.name == "upgrade";
    default: return false;
  }
}

Fault check_regular(std::string_view name, std::string_view value) {
  if (!is_lower(name)) return Fault::bad_field_name;
  return has_outer_blank(value) ? Fault::bad_field_value : Fault::none;
}

}  // namespace

void Http2Head::begin() {
  bytes_.clear();
  pieces_.clear();
  total_ = counted_ = 0;
  fault_ = Fault::none;
}

bool Http2Head::excessive(const HeadLimits& limits) const {
  return total_ > kExcess * limits.head_bytes_max;
}

void Http2Head::add(std::string_view name, std::string_view value, const HeadLimits& limits) {
  total_ += name.size() + value.size() + kFramingBytes;
  if (fault_ != Fault::none) return;
  if (total_ > limits.head_bytes_max) {
    fault_ = Fault::head_too_large;
    return;
  }
  if (!is_pseudo(name) && name != "cookie") ++counted_;
  if (counted_ > std::min(limits.fields_max, kFieldsCapacity)) {
    fault_ = Fault::too_many_fields;
    return;
  }
  pieces_.push_back({static_cast<std::uint32_t>(bytes_.size()),
                     static_cast<std::uint32_t>(name.size()),
                     static_cast<std::uint32_t>(value.size())});
  bytes_.append(name).append(value);
}

std::string_view Http2Head::name_of(const Piece& piece) const {
  return std::string_view(bytes_).substr(piece.at, piece.name_size);
}

std::string_view Http2Head::value_of(const Piece& piece) const {
  return std::string_view(bytes_).substr(piece.at + piece.name_size, piece.value_size);
}

Fault Http2Head::finish(RequestHead& head, const HeadLimits& limits, Transport transport) {
  head.section.reset();
  head.method = Method::other;
  if (fault_ != Fault::none) return fault_;
  Pseudo pseudo;
  std::size_t regular = 0;
  if (const Fault fault = take_pseudo(pseudo, regular); fault != Fault::none) return fault;
  if (const Fault fault = take_line(head, pseudo, limits, transport); fault != Fault::none) {
    return fault;
  }
  if (const Fault fault = take_fields(head, pseudo, regular, limits); fault != Fault::none) {
    return fault;
  }
  FieldSection& section = head.section;
  if (transport.ends) {
    if (section.content_length != 0) return Fault::length_mismatch;
    section.body = BodyKind::none;
  } else if (!section.has_content_length) {
    section.body = BodyKind::chunked;  // as long as it will be
  }
  return Fault::none;
}

Fault Http2Head::take_pseudo(Pseudo& pseudo, std::size_t& regular) const {
  while (regular < pieces_.size() && is_pseudo(name_of(pieces_[regular]))) ++regular;
  for (std::size_t i = 0; i < pieces_.size(); ++i) {
    const std::string_view name = name_of(pieces_[i]);
    if (!is_pseudo(name)) continue;
    if (i > regular) return Fault::bad_pseudo_field;
    const auto set = [&](std::string_view& value, bool& has) {
      value = value_of(pieces_[i]);
      return std::exchange(has, true) ? Fault::bad_pseudo_field : Fault::none;
    };
    Fault fault = Fault::bad_pseudo_field;
    if (name == ":method") fault = set(pseudo.method, pseudo.has_method);
    if (name == ":scheme") fault = set(pseudo.scheme, pseudo.has_scheme);
    if (name == ":authority") fault = set(pseudo.authority, pseudo.has_authority);
    if (name == ":path") fault = set(pseudo.path, pseudo.has_path);
    if (fault != Fault::none) return fault;
  }
  return Fault::none;
}

// What a request line says in HTTP/1. CONNECT is refused there too, whatever its target.
Fault Http2Head::take_line(RequestHead& head, const Pseudo& pseudo, const HeadLimits& limits,
                           Transport transport) const {
  if (!pseudo.has_method) return Fault::bad_pseudo_field;
  if (const Fault fault = head.set_method(pseudo.method); fault != Fault::none) return fault;
  if (pseudo.method == "CONNECT") return Fault::bad_target;
  if (!pseudo.has_path || !pseudo.has_scheme) return Fault::bad_pseudo_field;
  const bool https = equals_lower(pseudo.scheme, "https");
  if (!https && (transport.encrypted || !equals_lower(pseudo.scheme, "http"))) {
    return Fault::bad_pseudo_field;
  }
  head.size = total_;
  head.minor_version = 1;
  head.target = pseudo.path;
  if (pseudo.path.size() > limits.target_bytes_max) return Fault::target_too_long;
  if (!pseudo.path.starts_with('/')) return Fault::bad_target;
  std::string_view none;
  return head.parse_target(none);
}

Fault Http2Head::take_fields(RequestHead& head, const Pseudo& pseudo, std::size_t regular,
                             const HeadLimits& limits) {
  FieldSection& section = head.section;
  HeadLimits room = limits;  // for the Host that :authority becomes, and a cookie's crumbs
  room.fields_max = kFieldsCapacity;
  std::size_t crumbs = 0;
  if (pseudo.has_authority) {
    if (const Fault fault = section.add("host", pseudo.authority, room); fault != Fault::none) {
      return Fault::bad_host;
    }
  }
  bool host_seen = false;
  for (std::size_t i = regular; i < pieces_.size(); ++i) {
    const std::string_view name = name_of(pieces_[i]);
    const std::string_view value = value_of(pieces_[i]);
    if (const Fault fault = check_regular(name, value); fault != Fault::none) return fault;
    if (name == "cookie") {
      ++crumbs;
      continue;
    }
    if (const Fault fault = section.add(name, value, room); fault != Fault::none) return fault;
    const Field& field = section.storage[section.count - 1];
    if (is_of_a_connection(field)) return Fault::connection_field;
    if (field.kind != FieldKind::host) continue;
    if (std::exchange(host_seen, true)) return Fault::duplicate_host;
    if (!pseudo.has_authority) continue;
    if (!equals_ignoring_case(value, pseudo.authority)) return Fault::foreign_authority;
    --section.count;  // said once is enough
  }
  if (crumbs > 0) {
    if (const Fault fault = join_cookies(section, regular, room); fault != Fault::none) {
      return fault;
    }
  }
  return head.apply_fields({});
}

// RFC 9113 section 8.2.3: in pieces here, one field in HTTP/1.
Fault Http2Head::join_cookies(FieldSection& section, std::size_t regular,
                              const HeadLimits& limits) {
  cookies_.clear();
  for (std::size_t i = regular; i < pieces_.size(); ++i) {
    const std::string_view crumb = value_of(pieces_[i]);
    if (name_of(pieces_[i]) != "cookie" || crumb.empty()) continue;
    if (!cookies_.empty()) cookies_.append("; ");
    cookies_.append(crumb);
  }
  return section.add("cookie", cookies_, limits);
}

Fault Http2Head::check_trailers() const {
  if (total_ > kTrailerBytesMax || fault_ != Fault::none) return Fault::trailer_too_large;
  for (const Piece& piece : pieces_) {
    const std::string_view name = name_of(piece);
    const std::string_view value = value_of(piece);
    if (name.empty() || is_pseudo(name) || !all_of_class(name, kTokenChar) ||
        check_regular(name, value) != Fault::none || !all_field_value(value)) {
      return Fault::bad_trailer;
    }
  }
  return Fault::none;
}

}  // namespace domicile::wire
