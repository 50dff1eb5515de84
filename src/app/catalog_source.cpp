#include "app/catalog_source.h"

#include <fmt/format.h>

#include "app/dsn_option.h"
#include "base/file.h"
#include "store/join_reader.h"
#include "store/reading_connection.h"

namespace domicile::app {

Result<CatalogFile> load_catalog(const std::string& path) {
  auto text = read_file(path, 16u << 20);
  if (!text && text.error().code == Code::not_found) {
    return fail(Code::invalid, fmt::format("there is no catalog file {}; name it with --file, or "
                                           "make it with `domicile catalog scan`",
                                           path));
  }
  if (!text)
    return std::unexpected(Error{Code::invalid, text.error().message, text.error().reason});
  CatalogFile file{*std::move(text), {}};
  file.catalog = TRY(catalog::parse_catalog(file.text, path));
  return file;
}

namespace {

Result<void> look_again(pg::Connection& connection, const store::FactsOptions& asking,
                        Scanned& out) {
  std::vector<catalog::Probe> again;
  for (const catalog::Probe& probe : out.proposal.probes) {
    const auto known = out.facts.facts.find(probe.table);
    if (probe.ways.empty() || known == out.facts.facts.end() ||
        known->second.way == to_string(probe.ways[0]))
      continue;
    again.push_back(probe);
    again.back().perhaps_keys.clear();
    again.back().key_of.reset();
  }
  if (again.empty()) return {};
  auto more = TRY(store::read_facts(connection, out.schema, again, asking));
  for (auto& [table, facts] : more.facts) {
    catalog::Facts& before = out.facts.facts[table];
    facts.keys_by_value = std::move(before.keys_by_value);
    facts.number_matches = std::move(before.number_matches);
    before = std::move(facts);
  }
  for (auto& skipped : more.skipped) out.facts.skipped.push_back(std::move(skipped));
  return {};
}

}  // namespace

Result<Scanned> scan_connection(pg::Connection& connection, const CatalogSource& source,
                                const catalog::Catalog* existing, bool quiet) {
  const auto progress = [&](const std::string& line) {
    if (!quiet) fmt::print(stderr, "{}\n", line);
  };
  catalog::ProposeOptions proposing{.root = std::nullopt, .key_column = source.key_column};
  if (!source.root.empty()) {
    auto root = catalog::parse_qualified_name(source.root);
    if (!root) return std::unexpected(Error(root.error()).within("--root"));
    proposing.root = *root;
  }
  store::SchemaReaderOptions reading{.schemas = source.schemas};
  if (reading.schemas.empty() && existing != nullptr) reading.schemas = existing->schemas;
  Scanned out;
  out.schema = TRY(store::read_schema(connection, reading));
  progress(fmt::format("read {} tables, views and partitions", out.schema.tables.size()));
  TRY(store::read_joins(connection, out.schema));
  out.proposal = TRY(catalog::propose(out.schema, {}, existing, proposing));
  if (source.sample_rows == 0) return out;
  progress(fmt::format("looking at up to {} rows of each of {} tables", source.sample_rows,
                       out.proposal.probes.size()));
  store::FactsOptions asking{.sample_rows = source.sample_rows};
  out.facts = TRY(store::read_facts(connection, out.schema, out.proposal.probes, asking));
  out.proposal = TRY(catalog::propose(out.schema, out.facts.facts, existing, proposing));
  // What the rows have told leads to new ways, about which nothing has been asked yet.
  TRY(look_again(connection, asking, out));
  out.proposal = TRY(catalog::propose(out.schema, out.facts.facts, existing, proposing));
  return out;
}

Result<Scanned> scan_database(const CatalogSource& source, const catalog::Catalog* existing,
                              bool quiet) {
  auto connection = TRY(store::open_for_reading(TRY(database_dsn(source.dsn, source.dsn_file))));
  return scan_connection(connection, source, existing, quiet);
}

}  // namespace domicile::app
