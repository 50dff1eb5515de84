#include "gateway/forwarding.h"

#include <charconv>

#include "wire/http1_chars.h"
#include "wire/websocket.h"

namespace domicile::gateway {
namespace {

using wire::BodyKind;
using wire::Field;
using wire::FieldKind;

bool passes_to_upstream(const Field& field, bool forward_authorization) {
  // Also where Connection names it: what was decided about is a request for that host.
  if (field.kind == FieldKind::host) return true;
  if (field.nominated) return false;
  switch (field.kind) {
    case FieldKind::other:
    case FieldKind::accept:
    case FieldKind::sec_fetch_mode:
    case FieldKind::date: return true;
    case FieldKind::authorization: return forward_authorization;
    default: return false;
  }
}

void add(std::string& out, std::string_view name, std::string_view value) {
  out.append(name).append(": ").append(value).append("\r\n");
}

void add(std::string& out, std::string_view name, std::uint64_t value) {
  char digits[20];
  const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  add(out, name, std::string_view(digits, end));
}

bool writable(std::string_view value) { return wire::all_field_value(value); }

Result<void> add_identity(std::string& out, const policy::Permit& permit) {
  const domain::Principal* principal = permit.principal();
  if (principal == nullptr) return {};
  if (!writable(principal->subject.view())) {
    return fail(Code::denied, "the token's subject cannot be written in a header", "token_claims");
  }
  add(out, "Domicile-Subject", principal->subject.view());
  if (permit.grant() != nullptr) {
    add(out, "Domicile-Acting-Organization", principal->organization.view());
  }
  const auto& permissions =
      permit.grant() != nullptr ? permit.grant()->permissions : principal->permissions;
  out.append("Domicile-Permissions: ");
  for (const domain::Permission& permission : permissions) {
    if (!writable(permission.view())) {
      return fail(Code::denied, "a permission cannot be written in a header", "token_claims");
    }
    if (&permission != &permissions.front()) out += ' ';
    out.append(permission.view());
  }
  out.append("\r\n");
  return {};
}

}  // namespace

Result<void> write_upstream_head(std::string& out, const wire::RequestHead& head,
                                 const wire::CleanPath& path, const Forwarded& forwarded,
                                 const policy::Route& route, token::ContextSigner& signer,
                                 std::int64_t now_s) {
  out.append(head.method_name).append(" ").append(path.canonical);
  if (head.has_query) out.append("?").append(head.query);
  out.append(" HTTP/1.1\r\n");
  for (const Field& field : head.section.fields()) {
    if (!passes_to_upstream(field, forwarded.forward_authorization)) continue;
    if (forwarded.websocket && wire::equals_lower(field.name, "sec-websocket-protocol")) {
      const std::string protocols = wire::without_token(field.value);
      if (!protocols.empty()) add(out, field.name, protocols);
      continue;
    }
    add(out, field.name, field.value);
  }
  if (head.section.body == BodyKind::chunked) {
    add(out, "Transfer-Encoding", "chunked");
  } else if (head.section.has_content_length) {
    add(out, "Content-Length", head.section.content_length);
  }
  if (!head.trace_parent.empty()) add(out, "traceparent", head.trace_parent);
  if (forwarded.websocket) out.append("Connection: Upgrade\r\nUpgrade: websocket\r\n");
  add(out, "X-Forwarded-For", forwarded.peer_ip);
  add(out, "X-Forwarded-Proto", forwarded.encrypted ? "https" : "http");
  add(out, "Domicile-Request-Id", forwarded.request_id);
  if (!forwarded.client_certificate.empty()) {
    add(out, "Domicile-Client-Certificate", forwarded.client_certificate);
  }
  TRY(write_identity(out, route, signer, now_s));
  out.append("\r\n");
  return {};
}

Result<void> write_identity(std::string& out, const policy::Route& route,
                            token::ContextSigner& signer, std::int64_t now_s) {
  const policy::Permit& permit = route.permit();
  TRY(add_identity(out, permit));
  const domain::OrganizationView& organization = permit.organization();
  if (organization.key.empty()) return {};
  add(out, "Domicile-Organization", organization.key);
  add(out, "Domicile-Epoch", organization.epoch);
  out.append("Domicile-Context: ");
  signer.give_to(out, organization.key, organization.epoch, now_s);
  out.append("\r\n");
  return {};
}

}  // namespace domicile::gateway
