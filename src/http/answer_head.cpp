#include "http/answer_head.h"

namespace domicile::http {
namespace {

using wire::BodyKind;
using wire::FieldKind;

void add(std::string& out, std::string_view name, std::string_view value) {
  out.append(name).append(": ").append(value).append("\r\n");
}

}  // namespace

bool passes_to_client(const wire::Field& field) {
  if (field.nominated) return false;
  switch (field.kind) {
    case FieldKind::connection:
    case FieldKind::hop_by_hop:
    case FieldKind::transfer_encoding:
    case FieldKind::identity:  // what the upstream echoes of its context is not the client's
    case FieldKind::tracing: return false;
    default: return true;
  }
}

ClientBody plan_body(const wire::ResponseHead& head, int minor_version) {
  const BodyKind kind = head.section.body;
  if (minor_version == 0) {
    const bool endless = kind == BodyKind::chunked || kind == BodyKind::until_close;
    return endless ? ClientBody::until_close : ClientBody::as_is;
  }
  return kind == BodyKind::until_close ? ClientBody::chunked : ClientBody::as_is;
}

void write_client_head(std::string& out, const wire::ResponseHead& head, ClientBody body,
                       ConnectionField connection, std::string_view request_id) {
  const char digits[3] = {static_cast<char>('0' + head.status / 100),
                          static_cast<char>('0' + head.status / 10 % 10),
                          static_cast<char>('0' + head.status % 10)};
  out.append("HTTP/1.1 ").append(digits, 3).append(" ").append(head.reason_phrase).append("\r\n");
  for (const wire::Field& field : head.section.fields()) {
    if (passes_to_client(field)) add(out, field.name, field.value);
  }
  const bool chunked = body == ClientBody::chunked ||
                       (body == ClientBody::as_is && head.section.body == BodyKind::chunked);
  if (chunked) add(out, "Transfer-Encoding", "chunked");
  add(out, "Domicile-Request-Id", request_id);
  if (connection == ConnectionField::close) add(out, "Connection", "close");
  if (connection == ConnectionField::websocket) {
    out.append("Connection: Upgrade\r\nUpgrade: websocket\r\n");
  }
  if (connection == ConnectionField::keep_alive) add(out, "Connection", "keep-alive");
  out.append("\r\n");
}

}  // namespace domicile::http
