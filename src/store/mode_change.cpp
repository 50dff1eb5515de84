#include "store/mode_change.h"

#include <fmt/format.h>

#include "store/guard_path.h"
#include "store/observation.h"
#include "store/schema_reader.h"

namespace domicile::store {
namespace {

using catalog::Mode;
using catalog::QualifiedName;
using catalog::Table;

// The rows of one table by organization, without those whom the guard lets in.
std::string strangers_sql(const Table& table, const ResolvedPath* path) {
  const std::string keys = path != nullptr
                               ? path_keys(*path, quoted(table.name))
                               : fmt::format("SELECT t.{} AS k FROM {} t",
                                             pg::quote_identifier(table.key), quoted(table.name));
  const bool shared =
      table.table_class == catalog::TableClass::mixed || (path != nullptr && path->shared);
  return fmt::format(
      "SELECT coalesce(g.k::pg_catalog.text, ''), g.n FROM (SELECT r.k, pg_catalog.count(*) AS n "
      "FROM ({}) r "
      "GROUP BY r.k) g WHERE {} OR (g.k IS NOT NULL AND pg_catalog.to_regrole('\"domicile_home_' "
      "|| "
      "domicile.role_of(g.k) || '\"') IS NULL) ORDER BY g.n DESC LIMIT 20",
      keys, shared ? "false" : "g.k IS NULL");
}

// Forced row security hides rows from the installer too, but not from domicile_owner, which sees
// keys: it is lent what it has to read, and everything is rolled back.
Result<void> find_strangers(pg::Connection& connection, const Table& table,
                            const ResolvedPath* path, bool secured, std::vector<Strangers>& found) {
  std::vector<std::string> lend;
  if (secured) {
    lend = {"SELECT domicile_private.begin_upgrade()"};
    if (path != nullptr) {
      for (auto& grant : path_grants(*path)) lend.push_back(std::move(grant));
      lend.push_back(fmt::format("GRANT SELECT ON {} TO domicile_owner", quoted(table.name)));
    }
    lend.emplace_back("SET LOCAL ROLE domicile_owner");
  }
  TRY(connection.script("BEGIN"));
  const auto look = [&]() -> Result<void> {
    for (const auto& statement : lend) TRY(connection.script(statement));
    auto rows = TRY(connection.query(strangers_sql(table, path)));
    for (int i = 0; i < rows.size(); ++i)
      found.push_back({table.name, std::string(rows.text(i, 0)), rows.integer(i, 1)});
    return {};
  };
  auto done = look();
  TRY(connection.script("ROLLBACK"));
  if (!done)
    return std::unexpected(
        std::move(done).error().within("looking at the rows of " + to_string(table.name)));
  return {};
}

struct RecordedMode {
  std::string table_class;
  Mode mode = Mode::off;
};

Result<std::map<QualifiedName, RecordedMode>> recorded_modes(pg::Connection& connection) {
  std::map<QualifiedName, RecordedMode> found;
  auto rows = TRY(connection.query(
      "SELECT schema_name, table_name, class, mode FROM domicile.catalog_table WHERE applied_at IS "
      "NOT NULL"));
  for (int i = 0; i < rows.size(); ++i) {
    found[{std::string(rows.text(i, 0)), std::string(rows.text(i, 1))}] = {
        std::string(rows.text(i, 2)), TRY(catalog::parse_mode(rows.text(i, 3)))};
  }
  return found;
}

}  // namespace

Result<catalog::Catalog> as_recorded(pg::Connection& connection, const catalog::Catalog& catalog) {
  const auto recorded = TRY(recorded_modes(connection));
  catalog::Catalog out = catalog;
  for (Table& table : out.tables) {
    const auto past = recorded.find(table.name);
    table.mode = past != recorded.end() && past->second.table_class == to_string(table.table_class)
                     ? past->second.mode
                     : Mode::off;
  }
  return out;
}

Result<ModeChange> prepare_mode(pg::Connection& connection, const catalog::Catalog& wanted,
                                const std::set<QualifiedName>& chosen, Mode mode) {
  ModeChange change{.plan = TRY(prepare_catalog(connection, wanted)),
                    .touched = chosen,
                    .strangers = {},
                    .refused_lately = {}};
  // Policies and functions of other tables may name the chosen ones: they follow.
  const auto recorded = TRY(recorded_modes(connection));
  for (const TableGuard& guard : change.plan.guards) {
    const auto past = recorded.find(guard.name);
    if (past != recorded.end() && past->second.mode == guard.mode && guard.mode != Mode::off &&
        past->second.table_class == to_string(guard.table_class))
      change.touched.insert(guard.name);
  }
  if (mode != Mode::enforce) return change;
  const auto schema = TRY(read_schema(connection));
  for (const QualifiedName& name : chosen) {
    const Table* table = wanted.find(name);
    if (table == nullptr || schema.find(name) == nullptr) continue;
    change.refused_lately[name] = TRY(refused_lately(connection, name, 24));
    if (!table->of_organization()) continue;
    const auto enforced = [&](const QualifiedName& each) {
      const auto past = recorded.find(each);
      return past != recorded.end() && past->second.mode == Mode::enforce;
    };
    ResolvedPath path;
    bool secured = enforced(name);
    if (!table->path.empty()) {
      if (resolve_path(wanted, schema, *table, path)) continue;  // the plan has said so
      for (const auto& step : path.steps) secured = secured || enforced(step.table);
    }
    TRY(find_strangers(connection, *table, table->path.empty() ? nullptr : &path, secured,
                       change.strangers));
  }
  return change;
}

Result<void> observe_anew(pg::Connection& connection, const std::set<QualifiedName>& tables) {
  return connection.transaction([&]() -> Result<void> {
    for (const QualifiedName& name : tables) {
      TRY(connection.query("SELECT domicile_private.start_observing($1, $2, true)",
                           {name.schema, name.name}));
    }
    return {};
  });
}

}  // namespace domicile::store
