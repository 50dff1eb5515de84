// The facts of an X.509 certificate that people and checks ask for. Verifying chains is TLS's
// affair.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/secret.h"
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
  // A DNS name or an IP address, as a TLS client compares it (RFC 6125).
  bool is_for(const std::string& host) const;
  bool has_key(const Secret& private_key_pem) const;

 private:
  explicit Certificate(OpensslPtr<X509> certificate) : certificate_(std::move(certificate)) {}
  OpensslPtr<X509> certificate_;
};

// Whether `authorities` (a PEM file; empty: the system's) vouch for the first certificate of `pem`
// at that time, with the others of `pem` between them. Code::invalid says what is wrong.
Result<void> verify_chain(std::string_view pem, const std::filesystem::path& authorities,
                          std::int64_t now_s);

}  // namespace domicile::crypto
