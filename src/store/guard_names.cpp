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

// The context of a transaction lies in sequences (sql/region/0002_tables.sql): a key of 64 bits in
// slot_low, one of 128 in slot_high and slot_low.
std::string slot(std::string_view name) {
  return fmt::format("pg_catalog.currval('domicile_private.slot_{}'::pg_catalog.regclass)", name);
}

std::string set_slot(std::string_view name, std::string_view value) {
  return fmt::format("pg_catalog.setval('domicile_private.slot_{}'::pg_catalog.regclass, {})", name,
                     value);
}

// 32 hex digits.
std::string both_slots() {
  return fmt::format(
      "pg_catalog.lpad(pg_catalog.to_hex({}), 16, '0') OPERATOR(pg_catalog.||) "
      "pg_catalog.lpad(pg_catalog.to_hex({}), 16, '0')",
      slot("high"), slot("low"));
}

// The first 16 of `bytes`.
std::string set_both_slots(std::string_view bytes) {
  const auto part = [bytes](int from) {
    return fmt::format(
        "('x' OPERATOR(pg_catalog.||) pg_catalog.encode(pg_catalog.substr({}, {}, 8), "
        "'hex'))::pg_catalog.bit(64)::pg_catalog.int8",
        bytes, from);
  };
  return set_slot("high", part(1)) + ", " + set_slot("low", part(9));
}

}  // namespace

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
  // The session logged in as an organization's own role, and that organization is homed here; never
  // NULL.
  values["served"] = home_role("session_user::pg_catalog.text") + " IS NOT NULL";
  const std::string of_session = "pg_catalog.substr(session_user::pg_catalog.text, 5)::";
  switch (type) {
    case domain::KeyType::bigint:
      values["role_pattern"] = "^org_(0|-?[1-9][0-9]{0,18})$";
      values["key_cast"] = "pg_catalog.int8";
      values["key_of_role"] = of_session + values["key_cast"];
      values["key_in_slots"] = slot("low");
      values["keep_key"] = set_slot("low", "organization");
      break;
    case domain::KeyType::uuid:
      values["role_pattern"] = "^org_[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$";
      values["key_cast"] = "pg_catalog.uuid";
      values["key_of_role"] = of_session + values["key_cast"];
      values["key_in_slots"] = fmt::format("({})::pg_catalog.uuid", both_slots());
      values["keep_key"] = set_both_slots("pg_catalog.uuid_send(organization)");
      break;
    case domain::KeyType::text:
      values["role_pattern"] = "^org_t[0-9a-f]{32}$";
      values["key_cast"] = "pg_catalog.text";
      values["key_of_role"] =
          "(SELECT o.key FROM domicile.organization o WHERE o.role OPERATOR(pg_catalog.=) "
          "session_user)";
      // The slots hold half of the key's SHA-256, the setting the key itself.
      values["key_in_slots"] = fmt::format(
          "CASE WHEN pg_catalog.left(pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to("
          "pg_catalog.current_setting('domicile.entered', true), 'UTF8')), 'hex'), 32) "
          "OPERATOR(pg_catalog.=) ({}) THEN pg_catalog.current_setting('domicile.entered', true) "
          "END",
          both_slots());
      values["keep_key"] =
          set_both_slots("pg_catalog.sha256(pg_catalog.convert_to(organization, 'UTF8'))");
      break;
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

void truncate_guard(std::vector<std::string>& sql, const std::string& table,
                    catalog::TableClass table_class) {
  // The master region may empty a reference table, if its rows may change without a release; the
  // others follow.
  const char* when = table_class == catalog::TableClass::reference
                         ? " WHEN (NOT domicile.region_master() OR domicile.release_required())"
                         : "";
  sql.push_back(
      fmt::format("CREATE OR REPLACE TRIGGER domicile_truncate BEFORE TRUNCATE ON {} FOR EACH "
                  "STATEMENT{} EXECUTE FUNCTION domicile.refuse_change()",
                  table, when));
  sql.push_back(fmt::format("ALTER TABLE {} ENABLE ALWAYS TRIGGER domicile_truncate", table));
}

std::vector<std::string> reference_grants(const catalog::QualifiedName& name) {
  const std::string table = quoted(name);
  return {fmt::format("GRANT SELECT ON {} TO domicile_tenant, domicile_app", table),
          fmt::format(
              "GRANT SELECT, INSERT, UPDATE, DELETE ON {} TO domicile_reference, domicile_releaser",
              table),
          fmt::format("GRANT SELECT ON {} TO domicile_publisher", table),
          fmt::format("GRANT USAGE ON SCHEMA {} TO domicile_reference, domicile_publisher, "
                      "domicile_releaser",
                      pg::quote_identifier(name.schema)),
          fmt::format("SELECT domicile_private.grant_reference_sequences({})",
                      pg::quote_literal(table))};
}

}  // namespace domicile::store
