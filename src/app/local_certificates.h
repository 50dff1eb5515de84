// Certificates for the doors of local regions: a small authority that lives in the data folder and
// signs one server certificate per door, for 127.0.0.1 and localhost. For one machine only: real
// regions bring certificates of their own.
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

// Whether it has this many days left.
bool valid_for_days(std::string_view certificate, int days);

}  // namespace domicile::app
