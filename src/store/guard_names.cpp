// What the guard's SQL is made of beside the plan: placeholders, fingerprints, quoted names.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "crypto/sha256.h"
#include "pg/connection.h"
#include "store/guard_sql.h"

namespace domicile::store {
namespace {

std::string hash_of(const std::vector<std::string>& lines) {
  return crypto::sha256_hex(fmt::format("{}", fmt::join(lines, "\n"))).substr(0, 24);
}

// The role whose existence says that an organization is homed; NULL where there is none. The name is
// quoted because a key may hold a dash.
std::string home_role(std::string_view organization_role) {
  return fmt::format(
      "pg_catalog.to_regrole('\"domicile_home_' OPERATOR(pg_catalog.||) {} OPERATOR(pg_catalog.||) "
      "'\"')",
      organization_role);
}

}  // namespace

std::string served_session() { return home_role("session_user::pg_catalog.text") + " IS NOT NULL"; }

std::map<std::string, std::string> region_placeholders(domain::KeyType type) {
  const std::string prefix = "('org_' OPERATOR(pg_catalog.||) o::pg_catalog.text)::pg_catalog.name";
  const std::string hashed =
      "('org_t' OPERATOR(pg_catalog.||) "
      "pg_catalog.left(pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(o, 'UTF8')), "
      "'hex'), 32))::pg_catalog.name";
  std::map<std::string, std::string> values{{"key_type", std::string(to_string(type))}};
  values["role_of"] = type == domain::KeyType::text ? hashed : prefix;
  values["home_of"] = home_role(type == domain::KeyType::text
                                    ? hashed + "::pg_catalog.text"
                                    : "'org_' OPERATOR(pg_catalog.||) o::pg_catalog.text");
  values["served"] = served_session();
  switch (type) {
    case domain::KeyType::bigint: values["role_pattern"] = "^org_(0|-?[1-9][0-9]{0,18})$"; break;
    case domain::KeyType::uuid:
      values["role_pattern"] = "^org_[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$";
      break;
    case domain::KeyType::text: values["role_pattern"] = "^org_t[0-9a-f]{32}$"; break;
  }
  return values;
}

std::string TableGuard::guard_hash() const {
  std::vector<std::string> all = functions;
  all.insert(all.end(), guard.begin(), guard.end());
  return hash_of(all);
}

std::string TableGuard::policy_hash() const {
  std::vector<std::string> all = policy;
  all.insert(all.end(), grants.begin(), grants.end());
  return hash_of(all);
}

std::string quoted(const catalog::QualifiedName& name) {
  return pg::quote_identifier(name.schema) + "." + pg::quote_identifier(name.name);
}

}  // namespace domicile::store
