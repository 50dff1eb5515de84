// domicile.violations(): each kind of finding belongs to a check. A kind that this table does not
// know is reported as DOM-GRD-999, so that a newer database never passes in silence.
#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "compliance/database_checks.h"

namespace domicile::compliance {
namespace {

struct Mapping {
  std::string_view kind;
  std::string_view id;
};

constexpr std::array kMappings{
    Mapping{"unclassified", "DOM-CAT-001"},
    Mapping{"table_missing", "DOM-CAT-002"},
    Mapping{"not_armed", "DOM-CAT-003"},
    Mapping{"guard_changed", "DOM-GRD-001"},
    Mapping{"not_validated", "DOM-GRD-002"},
    Mapping{"rule", "DOM-GRD-003"},
    Mapping{"owner_changed", "DOM-GRD-004"},
    Mapping{"function_changed", "DOM-GRD-005"},
    Mapping{"own_schema", "DOM-GRD-006"},
    Mapping{"own_table", "DOM-GRD-006"},
    Mapping{"event_trigger", "DOM-GRD-007"},
    Mapping{"commit_check", "DOM-GRD-008"},
    Mapping{"observe_changed", "DOM-GRD-009"},
    Mapping{"publication", "DOM-PUB-001"},
    Mapping{"not_published", "DOM-REF-001"},
    Mapping{"subscription", "DOM-PUB-002"},
    Mapping{"logical_slot", "DOM-PUB-003"},
    Mapping{"foreign_server", "DOM-PUB-004"},
    Mapping{"foreign_data_wrapper", "DOM-PUB-005"},
    Mapping{"extension", "DOM-PUB-006"},
    Mapping{"key_nullable", "DOM-RES-002"},
    Mapping{"row_security_off", "DOM-RLS-001"},
    Mapping{"policy_changed", "DOM-RLS-002"},
    Mapping{"grant", "DOM-RLS-003"},
    Mapping{"unique_without_organization", "DOM-RLS-004"},
    Mapping{"foreign_key_without_organization", "DOM-RLS-005"},
    Mapping{"role_attribute", "DOM-ROL-001"},
    Mapping{"organization_role", "DOM-ROL-002"},
    Mapping{"organization_membership", "DOM-ROL-003"},
    Mapping{"homed_unknown", "DOM-ROL-004"},
    Mapping{"homed_missing", "DOM-ROL-004"},
    Mapping{"fenced_login", "DOM-ROL-004"},
    Mapping{"own_role", "DOM-ROL-006"},
    Mapping{"predefined_role", "DOM-ROL-007"},
    Mapping{"setting", "DOM-SET-001"},
    Mapping{"large_object", "DOM-SET-004"},
    Mapping{"default_privileges", "DOM-SET-005"},
    Mapping{"definer_function", "DOM-SET-006"},
    Mapping{"view_bypasses", "DOM-SET-006"},
    Mapping{"schema_create", "DOM-SET-008"},
    Mapping{"database_create", "DOM-SET-008"},
};

std::string_view check_of(std::string_view kind, std::string_view object) {
  if (kind == "setting" && object == "max_prepared_transactions") return "DOM-SET-003";
  if (kind == "setting" && object.starts_with("log_")) return "DOM-SET-002";
  const auto at = std::ranges::find(kMappings, kind, &Mapping::kind);
  return at == kMappings.end() ? "DOM-GRD-999" : at->id;
}

// Declared by the configuration: a role that may create roles or belong to domicile_owner.
bool declared(const CheckedRegion& config, std::string_view kind, std::string_view object) {
  return (kind == "role_attribute" || kind == "own_role") &&
         std::ranges::find(config.roles, object) != config.roles.end();
}

}  // namespace

void check_violations(pg::Connection& database, const CheckedRegion& config, Findings& findings) {
  const auto rows = database.query("SELECT kind, object, detail, known FROM domicile.violations()");
  std::vector<std::string_view> ids{"DOM-GRD-999"};
  for (const auto& mapping : kMappings) {
    if (std::ranges::find(ids, mapping.id) == ids.end()) ids.push_back(mapping.id);
  }
  if (!rows) {
    for (const auto id : ids)
      findings.error(id, "", "domicile.violations(): " + rows.error().message);
    return;
  }
  for (int row = 0; row < rows->size(); ++row) {
    const std::string_view kind = rows->text(row, 0), object = rows->text(row, 1);
    if (declared(config, kind, object)) continue;
    const std::string_view id = check_of(kind, object);
    if (id == "DOM-SET-002" && !config.server_log.empty()) continue;  // check_server() speaks of it
    findings.fail(
        id, std::string(object),
        fmt::format("{}{}{}", id == "DOM-GRD-999" ? fmt::format("{}: ", kind) : "",
                    rows->text(row, 2),
                    rows->boolean(row, 3) ? " (known since the region was adopted)" : ""));
  }
  for (const auto id : ids) {
    // Others look at these, too, and know what they covered.
    if (id == "DOM-ROL-001" || id == "DOM-ROL-006" || id == "DOM-RES-002" || id == "DOM-SET-001" ||
        id == "DOM-PUB-004")
      continue;
    findings.pass_unless_said(id, "domicile.violations() reports nothing", 1);
  }
}

}  // namespace domicile::compliance
