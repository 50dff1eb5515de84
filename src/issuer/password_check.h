// Is this the person's password? Whatever is wrong about organization, person or password is one
// answer after the same work: no argon2id is skipped, and a name that does not exist is locked out
// like one that does. A refusal is on record before it is returned. Thread-safe; blocks.
//
// Failures are counted twice. This node takes a try before it knows the outcome, so that parallel
// guesses do not slip through. The directory keeps what failed, for all nodes and restarts; it is
// written after a failure only, and read with one look-up: whoever types the right password waits for
// nothing. With several nodes, guesses that are under way at once may exceed the limit by a bucket for
// each node, once.
#pragma once

#include <chrono>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

#include "base/secret.h"
#include "crypto/hmac.h"
#include "http/message.h"
#include "issuer/evidence.h"
#include "issuer/options.h"

namespace domicile::issuer {

struct PasswordAttempt {
  const http::Request& request;
  std::string_view client_id;
  std::string_view grant_type;  // for the event
  std::string_view organization_typed;
  std::optional<domain::OrganizationView> organization;  // absent: nobody has that name
  std::string_view login_typed;
  Secret password;
};

struct PasswordRefusal {
  enum class Why { wrong, locked, busy, unavailable };
  Why why = Why::wrong;
  std::chrono::seconds wait{0};  // when locked
};

class PasswordCheck {
 public:
  PasswordCheck(const IssuerOptions& options, const IssuerPorts& ports, PasswordHasher& hasher);

  std::expected<store::UserAccount, PasswordRefusal> check(const PasswordAttempt& attempt);

 private:
  std::expected<store::UserAccount, PasswordRefusal> refuse(const PasswordAttempt& attempt,
                                                            std::string_view cause,
                                                            PasswordRefusal refusal,
                                                            const store::UserAccount* user = {});
  std::string subject_hash(std::string_view subject) const;

  store::Directory& directory_;
  PasswordHasher& hasher_;
  Evidence evidence_;
  store::SignIns& sign_ins_;
  const Clock& clock_;
  const store::LockoutRules rules_;
  Throttle accounts_;
  crypto::HmacSha256 subjects_;  // names of accounts, as the directory keeps them
};

}  // namespace domicile::issuer
