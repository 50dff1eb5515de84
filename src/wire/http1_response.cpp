#include "wire/http1_response.h"

#include "wire/http1_chars.h"

namespace domicile::wire {

Fault ResponseHead::parse(std::string_view head, Method request_method, const HeadLimits& limits) {
  size = head.size();
  if (head.size() > limits.head_bytes_max) return Fault::head_too_large;
  const std::size_t end = head.find('\n');
  if (end == std::string_view::npos || end == 0 || head[end - 1] != '\r') return Fault::bare_lf;
  if (!head.ends_with("\r\n\r\n")) return Fault::bad_status_line;
  const std::string_view line = head.substr(0, end - 1);
  // "HTTP/1.1 200" and then nothing, or a space and the phrase.
  if (line.size() < 12 || !line.starts_with("HTTP/1.") || line[8] != ' ') {
    return Fault::bad_status_line;
  }
  if (line[7] != '0' && line[7] != '1') return Fault::unsupported_version;
  minor_version = line[7] - '0';
  status = 0;
  for (const char c : line.substr(9, 3)) {
    if (c < '0' || c > '9') return Fault::bad_status_line;
    status = status * 10 + (c - '0');
  }
  if (status < 100 || status > 599 || (line.size() > 12 && line[12] != ' ')) {
    return Fault::bad_status_line;
  }
  reason_phrase = line.size() > 13 ? line.substr(13) : std::string_view{};
  if (!all_field_value(reason_phrase)) return Fault::bad_status_line;

  const std::string_view lines = head.substr(end + 1, head.size() - 2 - (end + 1));
  if (const Fault fault = section.parse(lines, limits); fault != Fault::none) return fault;
  if (section.body == BodyKind::chunked && minor_version == 0) return Fault::encoding_on_http10;
  const bool bodyless =
      interim() || status == 204 || status == 304 || request_method == Method::head;
  if (bodyless) {
    section.body = BodyKind::none;
  } else if (section.body == BodyKind::none && !section.has_content_length) {
    section.body = BodyKind::until_close;
  }
  persistent = section.body != BodyKind::until_close &&
               (minor_version == 1 ? !section.close : section.keep_alive && !section.close);
  return Fault::none;
}

std::string_view phrase_of(int status) {
  switch (status) {
    case 100: return "Continue";
    case 101: return "Switching Protocols";
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 204: return "No Content";
    case 206: return "Partial Content";
    case 301: return "Moved Permanently";
    case 302: return "Found";
    case 303: return "See Other";
    case 304: return "Not Modified";
    case 307: return "Temporary Redirect";
    case 308: return "Permanent Redirect";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 406: return "Not Acceptable";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 410: return "Gone";
    case 411: return "Length Required";
    case 412: return "Precondition Failed";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 415: return "Unsupported Media Type";
    case 417: return "Expectation Failed";
    case 421: return "Misdirected Request";
    case 422: return "Unprocessable Content";
    case 425: return "Too Early";
    case 426: return "Upgrade Required";
    case 428: return "Precondition Required";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 505: return "HTTP Version Not Supported";
    default: return "";
  }
}

}  // namespace domicile::wire
