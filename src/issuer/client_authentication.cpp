#include "issuer/client_authentication.h"

#include "base/encoding.h"
#include "crypto/random.h"
#include "crypto/sha256.h"

namespace domicile::issuer {
namespace {

constexpr std::size_t kIdBytesMax = 64;

std::unexpected<http::Response> malformed() {
  return std::unexpected(
      oauth_error(400, "invalid_request", "the client's credentials are malformed or given twice"));
}

// RFC 6749 section 2.3.1: both halves are form-encoded before they are joined.
std::optional<std::string> form_decoded(std::string_view text) {
  auto form = http::parse_form("v=" + std::string(text));
  if (!form || form->size() != 1) return std::nullopt;
  return std::move(form->front().second);
}

std::expected<ClientCredentials, http::Response> read_basic(std::string_view header) {
  constexpr std::string_view kScheme = "basic ";
  if (header.size() < kScheme.size()) return malformed();
  for (std::size_t i = 0; i < kScheme.size(); ++i) {
    if ((header[i] | 0x20) != kScheme[i]) return malformed();
  }
  const auto pair = from_base64(header.substr(kScheme.size()));
  const auto colon = pair ? pair->find(':') : std::string::npos;
  if (colon == std::string::npos) return malformed();
  auto id = form_decoded(std::string_view(*pair).substr(0, colon));
  auto secret = form_decoded(std::string_view(*pair).substr(colon + 1));
  if (!id || !secret) return malformed();
  return ClientCredentials{std::move(*id), Secret(std::move(*secret))};
}

}  // namespace

std::expected<ClientCredentials, http::Response> read_client(const http::Request& request,
                                                             const Form& form) {
  const std::string* id = form_value(form, "client_id");
  const std::string* secret = form_value(form, "client_secret");
  ClientCredentials out;
  bool header_present = false;
  for (const auto& [name, value] : request.headers)
    header_present = header_present || name == "authorization";
  if (header_present) {
    const auto header = request.header("authorization");
    if (!header || secret != nullptr) return malformed();
    auto basic = read_basic(*header);
    if (!basic) return basic;
    if (id != nullptr && *id != basic->id) return malformed();
    out = std::move(*basic);
  } else {
    if (id == nullptr) return std::unexpected(invalid_client());
    out.id = *id;
    if (secret != nullptr) out.secret = Secret(*secret);
  }
  if (out.id.empty() || out.id.size() > kIdBytesMax) return std::unexpected(invalid_client());
  return out;
}

bool proves(const std::optional<store::ClientAccount>& client, const ClientCredentials& presented) {
  const std::string hash =
      presented.secret ? client_secret_hash(*presented.secret) : std::string(32, '\0');
  if (!client) return false;
  if (client->secret_hash.empty())
    return client->active && (!presented.secret || presented.secret->empty());
  return equal_constant_time(hash, client->secret_hash) && presented.secret && client->active;
}

Secret new_client_secret() { return Secret(crypto::random_text(32)); }

std::string client_secret_hash(const Secret& secret) {
  return std::string(crypto::view(crypto::sha256(secret.reveal())));
}

}  // namespace domicile::issuer
