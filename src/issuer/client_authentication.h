// Which client is calling (RFC 6749 section 2.3): HTTP Basic, or client_id and client_secret in the
// form, never both. A client without a secret names itself by client_id alone.
#pragma once

#include <expected>
#include <optional>
#include <string>

#include "base/secret.h"
#include "http/message.h"
#include "issuer/oauth_answer.h"
#include "store/directory.h"

namespace domicile::issuer {

struct ClientCredentials {
  std::string id;
  std::optional<Secret> secret;
};

// What the request presents; the answer when it presents it wrongly.
std::expected<ClientCredentials, http::Response> read_client(const http::Request& request,
                                                             const Form& form);

// An active client whose secret, or absence of one, is right.
bool proves(const std::optional<store::ClientAccount>& client, const ClientCredentials& presented);

// A new secret for a client, and what is stored of it. It is random, so a plain hash keeps it.
Secret new_client_secret();
std::string client_secret_hash(const Secret& secret);

}  // namespace domicile::issuer
