#include "wire/http1_fields.h"

#include <algorithm>
#include <cstring>

#include "wire/http1_chars.h"

namespace domicile::wire {
namespace {

constexpr std::uint64_t kContentLengthDigitsMax = 18;

bool starts_with_lower(std::string_view text, std::string_view lower) {
  return text.size() >= lower.size() && equals_lower(text.substr(0, lower.size()), lower);
}

// Calls visit(token) for each element of a comma-separated list.
template <typename Visit>
void for_each_token(std::string_view list, Visit visit) {
  while (!list.empty()) {
    const std::size_t comma = list.find(',');
    const std::string_view token = trim_blanks(list.substr(0, comma));
    if (!token.empty()) visit(token);
    if (comma == std::string_view::npos) return;
    list.remove_prefix(comma + 1);
  }
}

// Fields by which a proxy tells a server of the client, and by which servers let themselves be told
// another target or method than the one that was decided about.
bool speaks_for_a_proxy(std::string_view name) {
  for (const std::string_view start :
       {"x-forwarded-", "x-original-", "x-http-method", "x-envoy-", "x-ssl-", "x-client-cert"}) {
    if (starts_with_lower(name, start)) return true;
  }
  return equals_lower(name, "x-real-ip") || equals_lower(name, "x-rewrite-url") ||
         equals_lower(name, "x-method-override");
}

}  // namespace

FieldKind classify_field(std::string_view name) {
  using enum FieldKind;
  const auto is = [name](std::string_view lower) { return equals_lower(name, lower); };
  switch (to_lower(name.empty() ? '\0' : name.front())) {
    case 'a':
      if (is("authorization")) return authorization;
      if (is("accept")) return accept;
      break;
    case 'b':
      if (is("baggage")) return tracing;
      break;
    case 'c':
      if (is("connection")) return connection;
      if (is("content-length")) return content_length;
      if (starts_with_lower(name, "client-cert")) return forwarded;
      break;
    case 'd':
      if (is("date")) return date;
      if (starts_with_lower(name, "domicile-")) return identity;
      break;
    case 'e':
      if (is("expect")) return expect;
      break;
    case 'f':
      if (is("forwarded")) return forwarded;
      break;
    case 'h':
      if (is("host")) return host;
      if (is("http2-settings")) return hop_by_hop;
      break;
    case 'k':
      if (is("keep-alive")) return hop_by_hop;
      break;
    case 'p':
      if (is("proxy-authorization")) return proxy_authorization;
      if (is("proxy-connection") || is("proxy-authenticate")) return hop_by_hop;
      break;
    case 's':
      if (is("sec-fetch-mode")) return sec_fetch_mode;
      if (starts_with_lower(name, "ssl-client")) return forwarded;
      break;
    case 't':
      if (is("transfer-encoding")) return transfer_encoding;
      if (is("te") || is("trailer")) return hop_by_hop;
      if (is("tracestate")) return tracing;
      if (is("traceparent")) return trace_parent;
      break;
    case 'u':
      if (is("upgrade")) return hop_by_hop;
      break;
    case 'x':
      if (speaks_for_a_proxy(name)) return forwarded;
      break;
    default: break;
  }
  return all_of_class(name, kPlainNameChar) ? other : alias;
}

HeadScanner::State HeadScanner::scan(std::string_view buffer, std::size_t head_bytes_max) {
  while (position_ < buffer.size()) {
    const void* found = std::memchr(buffer.data() + position_, '\n', buffer.size() - position_);
    if (found == nullptr) {
      position_ = buffer.size();
      break;
    }
    const auto lf = static_cast<std::size_t>(static_cast<const char*>(found) - buffer.data());
    position_ = lf + 1;
    if (lf == line_start_ || buffer[lf - 1] != '\r') {
      fault_ = Fault::bare_lf;
      return State::fault;
    }
    const bool empty_line = lf == line_start_ + 1;
    const bool first_line = line_start_ == 0;
    line_start_ = position_;
    if (empty_line) {
      fault_ = first_line                   ? Fault::bad_request_line
               : position_ > head_bytes_max ? Fault::head_too_large
                                            : Fault::none;
      return fault_ == Fault::none ? State::complete : State::fault;
    }
  }
  if (position_ >= head_bytes_max) {
    fault_ = Fault::head_too_large;
    return State::fault;
  }
  return State::more;
}

std::optional<std::string_view> FieldSection::find(FieldKind kind) const {
  for (const Field& field : fields()) {
    if (field.kind == kind) return field.value;
  }
  return std::nullopt;
}

void FieldSection::reset() {
  count = 0;
  body = BodyKind::none;
  content_length = 0;
  has_content_length = close = keep_alive = upgrade = false;
}

// Of the request's hot path, and called twice: worth its place in both.
[[gnu::always_inline]] inline Fault FieldSection::store(std::string_view name,
                                                        std::string_view value) {
  Field field{.name = name, .value = value};
  if (!all_of_class(name, kTokenChar)) return Fault::bad_field_name;
  if (!all_field_value(value)) {
    return value.contains('\r') ? Fault::bare_cr : Fault::bad_field_value;
  }
  field.kind = classify_field(field.name);
  if (const Fault fault = apply_framing(field); fault != Fault::none) return fault;
  if (field.kind == FieldKind::connection) apply_connection(field.value);
  storage[count++] = field;
  return Fault::none;
}

Fault FieldSection::parse(std::string_view lines, const HeadLimits& limits) {
  reset();
  const std::size_t fields_max = std::min(limits.fields_max, kFieldsCapacity);
  while (!lines.empty()) {
    const std::size_t end = lines.find('\n');
    if (end == std::string_view::npos || end == 0 || lines[end - 1] != '\r') return Fault::bare_lf;
    if (count == fields_max) return Fault::too_many_fields;
    if (const Fault fault = add_line(lines.substr(0, end - 1)); fault != Fault::none) return fault;
    lines.remove_prefix(end + 1);
  }
  nominate();
  return Fault::none;
}

Fault FieldSection::add_line(std::string_view line) {
  if (line.front() == ' ' || line.front() == '\t') return Fault::obsolete_line_folding;
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos || colon == 0) return Fault::bad_field_name;
  const Fault fault = store(line.substr(0, colon), trim_blanks(line.substr(colon + 1)));
  const char last = line[colon - 1];
  if (fault == Fault::bad_field_name && (last == ' ' || last == '\t')) {
    return Fault::space_before_colon;
  }
  return fault;
}

Fault FieldSection::add(std::string_view name, std::string_view value, const HeadLimits& limits) {
  if (count == std::min(limits.fields_max, kFieldsCapacity)) return Fault::too_many_fields;
  return name.empty() ? Fault::bad_field_name : store(name, value);
}

Fault FieldSection::apply_framing(const Field& field) {
  if (field.kind == FieldKind::content_length) {
    if (has_content_length) return Fault::duplicate_content_length;
    if (body == BodyKind::chunked) return Fault::length_and_encoding;
    const std::string_view digits = field.value;
    if (digits.contains(',')) return Fault::duplicate_content_length;
    if (digits.empty() || digits.size() > kContentLengthDigitsMax) return Fault::bad_content_length;
    for (const char c : digits) {
      if (c < '0' || c > '9') return Fault::bad_content_length;
      content_length = content_length * 10 + static_cast<std::uint64_t>(c - '0');
    }
    has_content_length = true;
    body = content_length == 0 ? BodyKind::none : BodyKind::length;
  } else if (field.kind == FieldKind::transfer_encoding) {
    if (has_content_length) return Fault::length_and_encoding;
    if (body == BodyKind::chunked) return Fault::duplicate_encoding;
    if (!equals_lower(field.value, "chunked")) return Fault::unsupported_encoding;
    body = BodyKind::chunked;
  }
  return Fault::none;
}

void FieldSection::apply_connection(std::string_view value) {
  for_each_token(value, [this](std::string_view token) {
    if (equals_lower(token, "close")) close = true;
    if (equals_lower(token, "keep-alive")) keep_alive = true;
    if (equals_lower(token, "upgrade")) upgrade = true;
  });
}

void FieldSection::nominate() {
  for (std::size_t i = 0; i < count; ++i) {
    if (storage[i].kind != FieldKind::connection) continue;
    for_each_token(storage[i].value, [this](std::string_view token) {
      if (equals_lower(token, "close") || equals_lower(token, "keep-alive")) return;
      for (std::size_t j = 0; j < count; ++j) {
        if (equals_ignoring_case(storage[j].name, token)) storage[j].nominated = true;
      }
    });
  }
}

}  // namespace domicile::wire
