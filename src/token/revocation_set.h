// The access tokens that were called back before they expired: one by its jti, all of a sign-in or
// with a grant, or all that a user or an organization was given up to a moment. Asked on every
// request, also when the token itself was verified before: an empty set costs nothing, a full one
// five look-ups and one for each grant. Build it whole and share it; const calls are thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

#include "domain/principal.h"

namespace domicile::token {

class RevocationSet {
 public:
  void add_token(std::string token_id);
  // A `sid`, or what stands before its dot: a browser's session, with all that its applications got.
  // Nothing is issued for it any more, so this has no moment.
  void add_session(std::string session);
  // All tokens that carry this grant.
  void add_grant(std::string grant);
  // Tokens issued up to `issued_before` (Unix seconds), this second included: a token says only in
  // which second it was made, so one of the same second has to go too.
  void add_user(std::string user, std::int64_t issued_before);
  void add_organization(std::string organization, std::int64_t issued_before);

  bool covers(const domain::Principal& principal) const;
  bool empty() const {
    return tokens_.empty() && sessions_.empty() && grants_.empty() && users_.empty() &&
           organizations_.empty();
  }
  bool operator==(const RevocationSet&) const = default;

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>{}(text);
    }
  };
  using Moments = std::unordered_map<std::string, std::int64_t, Hash, std::equal_to<>>;
  static void add(Moments& moments, std::string subject, std::int64_t issued_before);
  static bool covers(const Moments& moments, std::string_view subject, std::int64_t issued_at);

  Moments tokens_, sessions_, grants_, users_, organizations_;
};

}  // namespace domicile::token
