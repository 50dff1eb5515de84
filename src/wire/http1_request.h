// A request head, strictly: RFC 9112 with every tolerance it offers declined. parse() takes one
// whole head (HeadScanner says where it ends) and either fills the views or names the fault. The
// path is still raw: clean_path() in wire/http1_path.h normalizes or refuses it before anybody
// decides on it. A RequestHead is large (its field array); keep one per loop and reuse it.
#pragma once

#include <optional>
#include <string_view>

#include "wire/http1_fields.h"

namespace domicile::wire {

enum class Method : std::uint8_t { get, head, post, put, patch, remove, options, other };

// RFC 9110 section 9.2.2, for what a door may repeat on its own.
constexpr bool is_idempotent(Method method) {
  return method == Method::get || method == Method::head || method == Method::put ||
         method == Method::remove || method == Method::options;
}

// RFC 9110 section 9.3: whether a server can be counted on to read what follows the head.
constexpr bool gives_body_meaning(Method method) {
  return method == Method::post || method == Method::put || method == Method::patch;
}

struct RequestHead {
  std::string_view method_name;
  Method method = Method::other;
  std::string_view target;  // as sent
  std::string_view path;    // raw, starts with '/'
  std::string_view query;   // raw, without '?'
  bool has_query = false;
  int minor_version = 1;
  std::string_view host;           // "" only on HTTP/1.0 without Host
  std::string_view authorization;  // "" when absent
  bool has_authorization = false;
  bool persistent = false;  // the client allows another request on this connection
  bool expect_continue = false;
  std::string_view trace_parent;  // well-formed and named once, else ""
  std::string_view trace_id;      // of it
  std::size_t size = 0;           // bytes of the head, with the empty line
  FieldSection section;

  Fault parse(std::string_view head, const HeadLimits& limits);

 private:
  friend class Http2Head;  // fills the same, from fields instead of text
  Fault parse_line(std::string_view line, const HeadLimits& limits);
  Fault set_method(std::string_view name);
  Fault parse_target(std::string_view& authority);
  Fault apply_fields(std::string_view authority);
};

// The value of the one field with this (lower-case) name; nullopt when it stands twice, "" when
// absent.
std::optional<std::string_view> only_field(const RequestHead& head, std::string_view lower);

}  // namespace domicile::wire
