// The facts of an X.509 certificate that people and checks ask for. Verifying chains is TLS's
// affair.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "crypto/openssl_ptr.h"

namespace domicile::crypto {

class Certificate {
 public:
  // The first certificate of a PEM file's content.
  static Result<Certificate> from_pem(std::string_view pem);

  std::string subject() const;                 // RFC 2253 form
  std::string sha256_fingerprint() const;      // of the DER form, lower-case hex
  std::vector<std::string> dns_names() const;  // subjectAltName
  std::int64_t not_before() const;             // Unix seconds
  std::int64_t not_after() const;

 private:
  explicit Certificate(OpensslPtr<X509> certificate) : certificate_(std::move(certificate)) {}
  OpensslPtr<X509> certificate_;
};

}  // namespace domicile::crypto
