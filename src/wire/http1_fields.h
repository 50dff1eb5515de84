// The header section that requests and responses share: one strict pass over `name: value` lines
// into a fixed array of views, with the names that matter to a proxy already recognized. Nothing is
// copied: views point into the caller's buffer and live as long as those bytes do. No allocation.
// RFC 9112 section 5; RFC 9110 sections 5 and 7.6.1.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <string_view>

#include "wire/http1_fault.h"

namespace domicile::wire {

// Names a door treats specially. `identity` covers every name that starts with "domicile-": only a
// door may set those. `alias` covers names with anything but letters, digits and '-': CGI-style
// upstreams (WSGI, PHP, Rack) make '_' of all that, '-' included, so that such a name is another
// name's double; they are never forwarded.
enum class FieldKind : std::uint8_t {
  other,
  host,
  content_length,
  transfer_encoding,
  connection,
  hop_by_hop,  // keep-alive, te, trailer, upgrade, http2-settings, proxy-*: for one connection only
  expect,
  authorization,
  proxy_authorization,
  forwarded,  // what a proxy says to a server: x-forwarded-*, another target, another method
  trace_parent,
  tracing,  // baggage, tracestate: free text that can carry an organization across a border
  identity,
  alias,
  accept,
  sec_fetch_mode,
  date,
};
FieldKind classify_field(std::string_view name);

struct Field {
  std::string_view name;   // as sent
  std::string_view value;  // without surrounding blanks
  FieldKind kind = FieldKind::other;
  bool nominated = false;  // the Connection field names it: hop-by-hop
};

struct HeadLimits {
  std::size_t head_bytes_max = 32 * 1024;
  std::size_t target_bytes_max = 8 * 1024;
  std::size_t fields_max = 100;
};
inline constexpr std::size_t kFieldsCapacity = 128;  // fields_max is clamped to it

enum class BodyKind : std::uint8_t { none, length, chunked, until_close };

// Finds the end of a head that arrives in pieces, touching every byte once. `buffer` is everything
// since the message's first byte; call again with a longer buffer (it may have moved).
class HeadScanner {
 public:
  enum class State { more, complete, fault };
  State scan(std::string_view buffer, std::size_t head_bytes_max);
  std::size_t head_size() const { return position_; }  // with the empty line; valid when complete
  Fault fault() const { return fault_; }
  void reset() { *this = {}; }

 private:
  std::size_t position_ = 0;    // everything before it is scanned
  std::size_t line_start_ = 0;  // first byte of the line that is not complete yet
  Fault fault_ = Fault::none;
};

// What the header section says about the connection and the body, for both directions.
struct FieldSection {
  std::array<Field, kFieldsCapacity> storage;
  std::size_t count = 0;
  std::span<const Field> fields() const { return {storage.data(), count}; }

  BodyKind body = BodyKind::none;
  std::uint64_t content_length = 0;
  bool has_content_length = false;
  bool close = false;       // Connection: close
  bool keep_alive = false;  // Connection: keep-alive
  bool upgrade = false;     // Connection: upgrade

  // Field by field, where they do not come as lines; parse() does the same with each of its lines.
  void reset();
  Fault add(std::string_view name, std::string_view value, const HeadLimits& limits);
  // `lines` is the section from its first field to before the empty line, each line with its CRLF.
  Fault parse(std::string_view lines, const HeadLimits& limits);
  // The value of the first field of this kind.
  std::optional<std::string_view> find(FieldKind kind) const;

 private:
  Fault add_line(std::string_view line);
  Fault store(std::string_view name, std::string_view value);
  Fault apply_framing(const Field& field);
  void apply_connection(std::string_view value);
  void nominate();
};

}  // namespace domicile::wire
