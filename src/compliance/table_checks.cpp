// Checks of the catalogued tables: modes, and where their rows belong.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "compliance/database_checks.h"

namespace domicile::compliance {
namespace {

struct TableRow {
  std::string schema, name, label, table_class, mode, told_by, parent;
  bool present = false, planned = false, visible = false;
  bool of_organizations() const { return table_class == "organization" || table_class == "mixed"; }
};

TableRow read(const pg::Rows& rows, int row) {
  TableRow table{.schema = std::string(rows.text(row, 0)),
                 .name = std::string(rows.text(row, 1)),
                 .label = {},
                 .table_class = std::string(rows.text(row, 2)),
                 .mode = std::string(rows.text(row, 3)),
                 .told_by = std::string(rows.text(row, 6)),
                 .parent = std::string(rows.text(row, 7)),
                 .present = rows.boolean(row, 4),
                 .planned = rows.boolean(row, 5),
                 .visible = rows.boolean(row, 8)};
  table.label = table.schema + "." + table.name;
  return table;
}

// "{7,9}" as the driver gives an array: good enough to show.
std::string shown(std::string_view array) { return std::string(array.substr(1, array.size() - 2)); }

void check_residency(pg::Connection& database, const TableRow& table, Findings& findings) {
  const auto rows = database.query(
      "SELECT method, organizations, strangers, examples, keyless FROM "
      "domicile.check_residency($1, $2)",
      {table.schema, table.name});
  if (!rows || rows->size() != 1) {
    const std::string why = rows ? "no answer" : rows.error().message;
    findings.error("DOM-RES-001", table.label, why);
    findings.error("DOM-RES-002", table.label, why);
    return;
  }
  const auto organizations = static_cast<std::uint64_t>(rows->integer(0, 1));
  if (rows->integer(0, 2) > 0) {
    findings.fail("DOM-RES-001", table.label,
                  fmt::format("rows of {} organizations that are not homed here: {}",
                              rows->integer(0, 2), shown(rows->text(0, 3))));
  } else {
    findings.pass(
        "DOM-RES-001", table.label,
        fmt::format("{} organizations, all homed here ({})", organizations, rows->text(0, 0)),
        organizations);
  }
  if (table.table_class != "organization") return;
  if (rows->boolean(0, 4)) {
    findings.fail("DOM-RES-002", table.label, "rows without an organization");
  } else {
    findings.pass("DOM-RES-002", table.label, "no row without an organization", 1);
  }
}

}  // namespace

void check_tables(pg::Connection& database, Findings& findings, RegionFacts& facts) {
  const auto rows = database.query(
      "SELECT schema_name, table_name, class, mode, present, planned, told_by, parent, visible "
      "FROM domicile.check_tables()");
  if (!rows) {
    for (const char* id : {"DOM-CAT-004", "DOM-RES-001", "DOM-RES-002"}) {
      findings.error(id, "", "domicile.check_tables(): " + rows.error().message);
    }
    return;
  }
  std::uint64_t enforced = 0;
  for (int row = 0; row < rows->size(); ++row) {
    const TableRow table = read(*rows, row);
    if (!table.of_organizations() || !table.present || table.told_by == "root") continue;
    if (table.mode == "enforce") {
      ++enforced;
    } else {
      findings.fail("DOM-CAT-004", table.label, fmt::format("its mode is {}", table.mode));
    }
    if (table.told_by == "key") {
      check_residency(database, table, findings);
      facts.tables.push_back({table.schema, table.name});
    } else if (table.told_by == "parent") {
      findings.pass(
          "DOM-RES-001", table.label,
          fmt::format("every row has its parent in {}, by a validated foreign key", table.parent),
          1);
    } else {
      findings.error("DOM-RES-001", table.label,
                     "it has neither an organization key nor a validated foreign key to a table "
                     "that has: no evidence");
    }
  }
  facts.tables_known = true;
  // Nothing looked at is nothing proved.
  for (const char* id : {"DOM-CAT-004", "DOM-RES-001", "DOM-RES-002"}) {
    if (findings.said(id)) continue;
    if (enforced > 0) {
      findings.pass(id, "", fmt::format("{} tables", enforced), enforced);
    } else {
      findings.not_run(id, "no table of organizations is catalogued");
    }
  }
}

}  // namespace domicile::compliance
