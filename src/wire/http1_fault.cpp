#include "wire/http1_fault.h"

#include <utility>

namespace domicile::wire {

std::string_view reason_of(Fault fault) {
  switch (fault) {
    case Fault::none: return "";
    case Fault::bad_request_line: return "bad_request_line";
    case Fault::bad_method: return "bad_method";
    case Fault::unsupported_version: return "unsupported_version";
    case Fault::bad_target: return "bad_target";
    case Fault::target_too_long: return "target_too_long";
    case Fault::foreign_authority: return "foreign_authority";
    case Fault::path_dot_segment: return "path_dot_segment";
    case Fault::path_empty_segment: return "path_empty_segment";
    case Fault::path_encoded_slash: return "path_encoded_slash";
    case Fault::path_backslash: return "path_backslash";
    case Fault::path_nul: return "path_nul";
    case Fault::path_control: return "path_control";
    case Fault::path_bad_escape: return "path_bad_escape";
    case Fault::path_double_encoding: return "path_double_encoding";
    case Fault::path_non_ascii: return "path_non_ascii";
    case Fault::path_bad_character: return "path_bad_character";
    case Fault::head_too_large: return "head_too_large";
    case Fault::too_many_fields: return "too_many_fields";
    case Fault::bad_field_name: return "bad_field_name";
    case Fault::space_before_colon: return "space_before_colon";
    case Fault::obsolete_line_folding: return "obsolete_line_folding";
    case Fault::bad_field_value: return "bad_field_value";
    case Fault::bare_lf: return "bare_lf";
    case Fault::bare_cr: return "bare_cr";
    case Fault::missing_host: return "missing_host";
    case Fault::duplicate_host: return "duplicate_host";
    case Fault::bad_host: return "bad_host";
    case Fault::duplicate_authorization: return "duplicate_authorization";
    case Fault::bad_expectation: return "bad_expectation";
    case Fault::bad_content_length: return "bad_content_length";
    case Fault::duplicate_content_length: return "duplicate_content_length";
    case Fault::length_and_encoding: return "length_and_encoding";
    case Fault::unsupported_encoding: return "unsupported_encoding";
    case Fault::duplicate_encoding: return "duplicate_encoding";
    case Fault::encoding_on_http10: return "encoding_on_http10";
    case Fault::bad_chunk_size: return "bad_chunk_size";
    case Fault::bad_chunk_extension: return "bad_chunk_extension";
    case Fault::bad_chunk_end: return "bad_chunk_end";
    case Fault::bad_trailer: return "bad_trailer";
    case Fault::trailer_too_large: return "trailer_too_large";
    case Fault::bad_pseudo_field: return "bad_pseudo_field";
    case Fault::connection_field: return "connection_field";
    case Fault::length_mismatch: return "length_mismatch";
    case Fault::bad_status_line: return "bad_status_line";
  }
  std::unreachable();
}

int status_of(Fault fault) {
  switch (fault) {
    case Fault::none: return 200;
    case Fault::target_too_long: return 414;
    case Fault::unsupported_version: return 505;
    case Fault::unsupported_encoding: return 501;
    case Fault::bad_expectation: return 417;
    case Fault::head_too_large:
    case Fault::too_many_fields:
    case Fault::trailer_too_large: return 431;
    case Fault::foreign_authority: return 421;
    default: return 400;
  }
}

}  // namespace domicile::wire
