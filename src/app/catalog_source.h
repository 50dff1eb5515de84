// Where the catalog verbs get their material: the catalog file, and a look at a database.
#pragma once

#include <string>
#include <vector>

#include "catalog/propose.h"
#include "pg/connection.h"
#include "store/schema_reader.h"

namespace domicile::app {

struct CatalogFile {
  std::string text;
  catalog::Catalog catalog;
};
// Code::invalid when it is not there or wrong, with all of its problems.
Result<CatalogFile> load_catalog(const std::string& path);

struct CatalogSource {
  std::string dsn;
  std::string dsn_file;
  std::vector<std::string> schemas;  // empty: those of the catalog, or all
  std::int64_t sample_rows = 1'000;  // 0: look at no row
  std::string root;
  std::string key_column;
};

struct Scanned {
  catalog::Schema schema;
  store::FactsRead facts;
  catalog::Proposal proposal;
};
// Only reads. `existing` may be null. Progress goes to standard error unless `quiet`.
Result<Scanned> scan_database(const CatalogSource& source, const catalog::Catalog* existing,
                              bool quiet);
Result<Scanned> scan_connection(pg::Connection& connection, const CatalogSource& source,
                                const catalog::Catalog* existing, bool quiet);

}  // namespace domicile::app
