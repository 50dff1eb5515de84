// How the catalog verbs show what they found: as text for people, as JSON for programs. Texts from
// the database (names, comments) are printed without control characters.
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "catalog/propose.h"
#include "store/schema_reader.h"

namespace domicile::app {

nlohmann::json to_json(const catalog::Table& table, const catalog::TableShape* shape);
nlohmann::json to_json(const catalog::Finding& finding);
nlohmann::json scan_json(const catalog::Proposal& proposal, const catalog::Schema& schema,
                         const store::FactsRead& facts);
nlohmann::json catalog_json(const catalog::Catalog& catalog);

struct ScanReport {
  const catalog::Proposal& proposal;
  const catalog::Schema& schema;
  const store::FactsRead& facts;
  bool merged = false;  // into a file that was there
  bool sampled = true;
  bool all = false;  // every finding of every kind, and the notes
};
std::string scan_text(const ScanReport& report);
// At most so many of each kind, then how many more there are.
std::string findings_text(const std::vector<catalog::Finding>& findings, std::size_t per_kind);
// One line a table: name, class, how it is reached, mode, who decided. `schema` may be null.
std::string tables_text(const std::vector<const catalog::Table*>& tables);
std::string table_text(const catalog::Table& table);  // everything about one

}  // namespace domicile::app
