// Certificates for local regions: a small authority that lives in the data folder and signs for each
// door a server's certificate, for 127.0.0.1 and localhost, and a client's, with which its node shows
// its peers which region it is. For one machine only: real regions bring certificates of their own.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "base/secret.h"

namespace domicile::app {

struct Identity {
  std::string certificate;  // PEM
  Secret key;               // PEM, PKCS#8, ECDSA P-256
};

Result<Identity> make_authority(const std::string& common_name);
// Valid for 825 days, for server authentication, on 127.0.0.1, ::1 and localhost.
Result<Identity> make_server_certificate(const Identity& authority, const std::string& common_name);

// As long, for client authentication, as the node of this region: URI urn:domicile:region:<id>.
Result<Identity> make_peer_certificate(const Identity& authority, const std::string& region);

// Whether it has this many days left.
bool valid_for_days(std::string_view certificate, int days);

}  // namespace domicile::app
