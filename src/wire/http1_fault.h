// Everything the HTTP codecs refuse, by name. A fault is an answer, not an exception: it maps
// to one status and to one stable reason code that clients, tests and operators can rely on.
// Whatever two parsers could read differently is refused, never repaired (RFC 9112 section 11.2,
// request smuggling).
#pragma once

#include <cstdint>
#include <string_view>

namespace domicile::wire {

enum class Fault : std::uint8_t {
  none,
  // request line and target
  bad_request_line,
  bad_method,
  unsupported_version,
  bad_target,
  target_too_long,
  foreign_authority,  // absolute-form that names another host than Host does
  // path
  path_dot_segment,
  path_empty_segment,
  path_encoded_slash,
  path_backslash,
  path_nul,
  path_control,
  path_bad_escape,
  path_double_encoding,
  path_non_ascii,
  path_bad_character,
  // header section
  head_too_large,
  too_many_fields,
  bad_field_name,
  space_before_colon,
  obsolete_line_folding,
  bad_field_value,
  bare_lf,
  bare_cr,
  missing_host,
  duplicate_host,
  bad_host,
  duplicate_authorization,
  bad_expectation,
  // framing
  bad_content_length,
  duplicate_content_length,
  length_and_encoding,
  unsupported_encoding,
  duplicate_encoding,
  encoding_on_http10,
  bad_chunk_size,
  bad_chunk_extension,
  bad_chunk_end,
  bad_trailer,
  trailer_too_large,
  // HTTP/2 alone
  bad_pseudo_field,  // missing, twice, unknown, behind other fields, of another scheme
  connection_field,  // a field that only means something on an HTTP/1 connection
  length_mismatch,   // Content-Length says another number than the DATA frames do
  // responses
  bad_status_line,
};

std::string_view reason_of(Fault fault);  // "length_and_encoding"; "" for none
int status_of(Fault fault);               // the status to answer a client with

}  // namespace domicile::wire
