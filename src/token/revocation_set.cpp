#include "token/revocation_set.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace domicile::token {

void RevocationSet::add(Moments& moments, std::string subject, std::int64_t issued_before) {
  std::int64_t& moment = moments[std::move(subject)];
  moment = std::max(moment, issued_before);
}

bool RevocationSet::covers(const Moments& moments, std::string_view subject,
                           std::int64_t issued_at) {
  if (moments.empty()) return false;
  const auto found = moments.find(subject);
  return found != moments.end() && issued_at <= found->second;
}

void RevocationSet::add_token(std::string token_id) {
  add(tokens_, std::move(token_id), std::numeric_limits<std::int64_t>::max());
}

void RevocationSet::add_session(std::string session) {
  add(sessions_, std::move(session), std::numeric_limits<std::int64_t>::max());
}

void RevocationSet::add_grant(std::string grant) {
  add(grants_, std::move(grant), std::numeric_limits<std::int64_t>::max());
}

void RevocationSet::add_user(std::string user, std::int64_t issued_before) {
  add(users_, std::move(user), issued_before);
}

void RevocationSet::add_organization(std::string organization, std::int64_t issued_before) {
  add(organizations_, std::move(organization), issued_before);
}

bool RevocationSet::covers(const domain::Principal& principal) const {
  const std::string_view session = principal.session;
  return covers(tokens_, principal.token_id, principal.issued_at) ||
         covers(sessions_, session, principal.issued_at) ||
         covers(sessions_, session.substr(0, session.find('.')), principal.issued_at) ||
         std::ranges::any_of(principal.grants,
                             [&](const domain::Grant& grant) {
                               return covers(grants_, grant.id, principal.issued_at);
                             }) ||
         covers(users_, principal.subject.view(), principal.issued_at) ||
         covers(organizations_, principal.organization.view(), principal.issued_at);
}

}  // namespace domicile::token
