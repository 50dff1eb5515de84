#include "store/publication.h"

#include <algorithm>
#include <optional>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace domicile::store {
namespace {

using catalog::LinkRule;
using catalog::Mode;
using catalog::QualifiedName;
using catalog::TableClass;

constexpr const char* kName = "domicile_reference";
constexpr const char* kOptions =
    "publish = 'insert, update, delete, truncate', publish_via_partition_root = true";
const std::vector<QualifiedName>& own_tables() {
  static const std::vector<QualifiedName> names{{"domicile", "published_release"},
                                                {"domicile", "reference_beat"}};
  return names;
}

std::string q(const std::string& name) { return pg::quote_identifier(name); }

// Every relation that the changes of a table come from: itself, or all its partitions.
constexpr const char* kFacts = R"sql(
SELECT w.s, w.t, format('%I.%I', tn.nspname, tc.relname), tc.relkind, tc.relpersistence, tc.relreplident,
       k.indexrelid IS NOT NULL, coalesce(k.indimmediate AND k.indisvalid, false),
       coalesce((SELECT i.indisprimary FROM pg_index i WHERE i.indrelid = tc.oid AND i.indisreplident), false),
       tc.oid = c.oid,
       coalesce((SELECT string_agg(a.attname, E'\n' ORDER BY a.attnum) FROM pg_attribute a
                 WHERE a.attrelid = tc.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''), ''),
       coalesce((SELECT string_agg(a.attname, E'\n' ORDER BY a.attnum) FROM pg_attribute a
                 WHERE a.attrelid = tc.oid AND a.attnum = ANY (k.indkey)), '')
  FROM unnest($1::text[], $2::text[]) w (s, t)
  JOIN pg_namespace n ON n.nspname = w.s
  JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.t
  CROSS JOIN LATERAL (SELECT p.relid FROM pg_partition_tree(c.oid) p
                      UNION SELECT c.oid) parts
  JOIN pg_class tc ON tc.oid = parts.relid
  JOIN pg_namespace tn ON tn.oid = tc.relnamespace
  LEFT JOIN pg_index k ON k.indrelid = tc.oid AND k.indisprimary
 ORDER BY 1, 2, tc.oid <> c.oid, 3)sql";

struct Facts {
  std::string relation;  // quoted
  bool root = false;
  char kind = 'r';
  char persistence = 'p';
  char identity = 'd';
  bool has_key = false;
  bool key_usable = false;
  bool identity_is_key = false;
  std::vector<std::string> columns;  // without generated ones
  std::vector<std::string> key;
};

bool holds(const std::vector<std::string>& list, const std::string& name) {
  return std::ranges::find(list, name) != list.end();
}

class Planner {
 public:
  Planner(const catalog::Catalog& catalog, const std::vector<TableGuard>& guards)
      : catalog_(catalog) {
    for (const TableGuard& guard : guards) {
      const catalog::Table* table = catalog_.find(guard.name);
      if (table == nullptr || guard.table_class != TableClass::reference || guard.planned) continue;
      if (!table->links.empty()) plan_.links[guard.name] = table->links;
      if (guard.mode == Mode::enforce) enforced_.push_back(&guard);
    }
  }

  Result<PublicationPlan> plan(pg::Connection& connection, bool master) {
    plan_.master = master;
    if (!master || enforced_.empty()) return std::move(plan_);
    const auto facts = TRY(read(connection));
    for (const TableGuard* guard : enforced_) add(*guard, facts.at(guard->name));
    if (!problems_.empty()) {
      return fail(Code::invalid,
                  fmt::format("reference tables cannot be carried to other regions as they are, "
                              "nothing was changed:\n  {}",
                              fmt::join(problems_, "\n  ")),
                  "cannot_publish");
    }
    return std::move(plan_);
  }

 private:
  Result<std::map<QualifiedName, std::vector<Facts>>> read(pg::Connection& connection) {
    std::vector<std::string> schemas;
    std::vector<std::string> names;
    std::map<QualifiedName, std::vector<Facts>> found;
    for (const TableGuard* guard : enforced_) {
      schemas.push_back(guard->name.schema);
      names.push_back(guard->name.name);
      found[guard->name];
    }
    auto rows =
        TRY(connection.query(kFacts, {pg::array_literal(schemas), pg::array_literal(names)}));
    for (int i = 0; i < rows.size(); ++i) {
      found[{std::string(rows.text(i, 0)), std::string(rows.text(i, 1))}].push_back(
          {.relation = std::string(rows.text(i, 2)),
           .root = rows.boolean(i, 9),
           .kind = rows.text(i, 3).front(),
           .persistence = rows.text(i, 4).front(),
           .identity = rows.text(i, 5).front(),
           .has_key = rows.boolean(i, 6),
           .key_usable = rows.boolean(i, 7),
           .identity_is_key = rows.boolean(i, 8),
           .columns = rows.lines(i, 10),
           .key = rows.lines(i, 11)});
    }
    return found;
  }

  void problem(const std::string& relation, const std::string& reason, const std::string& remedy) {
    problems_.push_back(fmt::format("table {}: {}; {}", relation, reason, remedy));
  }

  void add(const TableGuard& guard, const std::vector<Facts>& relations) {
    std::vector<std::string> dropped;
    const auto links = plan_.links.find(guard.name);
    if (links != plan_.links.end()) {
      for (const auto& link : links->second) {
        if (link.rule == LinkRule::drop) dropped.push_back(link.column);
      }
    }
    if (!guard.inheriting.empty()) {
      problem(to_string(guard.name),
              fmt::format("{} inherits from it, and rows there are not its own to be carried",
                          fmt::join(guard.inheriting, ", ")),
              "make partitions of them, or list them in the catalog");
    }
    for (const Facts& facts : relations) check(facts, dropped);
    PublishedTable table{.name = guard.name, .columns = {}};
    if (!dropped.empty() && !relations.empty()) {
      for (const auto& column : relations[0].columns) {
        if (!holds(dropped, column)) table.columns.push_back(column);
      }
    }
    plan_.tables.push_back(std::move(table));
  }

  void check(const Facts& facts, const std::vector<std::string>& dropped) {
    if (facts.kind != 'r' && facts.kind != 'p')
      return problem(facts.relation, "it is no table, and PostgreSQL's log has no changes of it",
                     "give it mode = \"off\" or class = \"ignored\" in the catalog");
    if (facts.persistence != 'p')
      return problem(facts.relation, "it is unlogged, so no change of it can be read from the log",
                     fmt::format("ALTER TABLE {} SET LOGGED", facts.relation));
    if (!facts.has_key)
      return problem(facts.relation,
                     "it has no primary key, so a change cannot name its row in another region",
                     fmt::format("ALTER TABLE {} ADD PRIMARY KEY (...)", facts.relation));
    if (!facts.key_usable)
      return problem(facts.relation,
                     "its primary key is deferrable or not valid, so it cannot identify rows",
                     "make it anew as NOT DEFERRABLE");
    for (const auto& column : dropped) {
      if (holds(facts.key, column))
        problem(facts.relation, fmt::format("column {} is of its primary key", column),
                "give the link the rule refuse in the catalog, or another key to the table");
    }
    const std::string back = fmt::format("ALTER TABLE {} REPLICA IDENTITY DEFAULT", facts.relation);
    if (facts.identity == 'n')
      problem(facts.relation, "its replica identity is NOTHING: UPDATE and DELETE would fail",
              back);
    if (facts.identity == 'i' && !facts.identity_is_key)
      problem(facts.relation, "its replica identity is an index other than the primary key's",
              back);
    if (facts.identity == 'f' && !dropped.empty())
      problem(facts.relation,
              fmt::format("its replica identity is FULL, which would carry {}",
                          fmt::join(dropped, ", ")),
              back);
  }

  const catalog::Catalog& catalog_;
  std::vector<const TableGuard*> enforced_;
  PublicationPlan plan_;
  std::vector<std::string> problems_;
};

// The publication as it stands.
struct Standing {
  bool there = false;
  bool whole_schemas = false;
  bool options_right = false;
  std::map<QualifiedName, std::vector<std::string>> tables;  // columns; empty: all
  std::set<QualifiedName> filtered;
};

Result<Standing> standing_now(pg::Connection& connection) {
  Standing standing;
  auto head = TRY(connection.query(
      "SELECT p.puballtables, EXISTS (SELECT FROM pg_catalog.pg_publication_namespace s WHERE "
      "s.pnpubid = p.oid), p.pubinsert AND p.pubupdate AND p.pubdelete AND p.pubtruncate AND "
      "p.pubviaroot FROM pg_catalog.pg_publication p WHERE p.pubname = $1",
      {kName}));
  if (head.size() == 0) return standing;
  standing.there = true;
  standing.whole_schemas = head.boolean(0, 0) || head.boolean(0, 1);
  standing.options_right = head.boolean(0, 2);
  auto rows = TRY(connection.query(
      R"(SELECT n.nspname, c.relname, r.prqual IS NOT NULL,
                coalesce((SELECT pg_catalog.string_agg(a.attname, E'\n' ORDER BY a.attnum) FROM pg_catalog.pg_attribute a
                          WHERE a.attrelid = c.oid AND a.attnum = ANY (r.prattrs)), '')
         FROM pg_catalog.pg_publication p JOIN pg_catalog.pg_publication_rel r ON r.prpubid = p.oid
         JOIN pg_catalog.pg_class c ON c.oid = r.prrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         WHERE p.pubname = $1)",
      {kName}));
  for (int i = 0; i < rows.size(); ++i) {
    QualifiedName name{std::string(rows.text(i, 0)), std::string(rows.text(i, 1))};
    if (rows.boolean(i, 2)) standing.filtered.insert(name);
    standing.tables.emplace(std::move(name), rows.lines(i, 3));
  }
  return standing;
}

std::string objects(const std::map<QualifiedName, std::vector<std::string>>& tables) {
  std::vector<std::string> out;
  for (const auto& [name, columns] : tables) {
    std::vector<std::string> list;
    for (const auto& column : columns) list.push_back(q(column));
    out.push_back(fmt::format("ONLY {}{}", quoted(name),
                              list.empty() ? "" : fmt::format(" ({})", fmt::join(list, ", "))));
  }
  return fmt::format("TABLE {}", fmt::join(out, ", "));
}

// Enforced by what is recorded in the database: a table whose guard could not be put on yet waits.
Result<std::set<QualifiedName>> armed_tables(pg::Connection& connection) {
  std::set<QualifiedName> out;
  auto rows = TRY(connection.query(
      "SELECT schema_name, table_name FROM domicile.catalog_table WHERE class = 'reference' AND "
      "mode = 'enforce' AND applied_at IS NOT NULL"));
  for (int i = 0; i < rows.size(); ++i)
    out.insert({std::string(rows.text(i, 0)), std::string(rows.text(i, 1))});
  return out;
}

Result<bool> table_there(pg::Connection& connection, const QualifiedName& name) {
  auto rows =
      TRY(connection.query("SELECT pg_catalog.to_regclass($1) IS NOT NULL", {quoted(name)}));
  return rows.boolean(0, 0);
}

Result<std::map<QualifiedName, std::vector<std::string>>> wanted_tables(pg::Connection& connection,
                                                                        const PublicationPlan& plan,
                                                                        PublicationHalf half,
                                                                        const Standing& standing,
                                                                        bool dry_run) {
  std::map<QualifiedName, std::vector<std::string>> out;
  if (plan.tables.empty()) return out;
  std::optional<std::set<QualifiedName>> armed;
  if (half == PublicationHalf::complete && !dry_run) armed = TRY(armed_tables(connection));
  for (const PublishedTable& table : plan.tables) {
    const auto now = standing.tables.find(table.name);
    if (half == PublicationHalf::take_out && now == standing.tables.end()) continue;
    if (armed && !armed->contains(table.name)) continue;
    out.emplace(table.name, table.columns);
  }
  const bool to_come = dry_run && !TRY(table_there(connection, {"domicile", "region"}));
  for (const QualifiedName& own : own_tables()) {
    if (half == PublicationHalf::take_out && !standing.tables.contains(own)) continue;
    if (to_come || TRY(table_there(connection, own))) out.emplace(own, std::vector<std::string>{});
  }
  return out;
}

std::vector<std::string> difference(
    const Standing& standing, const std::map<QualifiedName, std::vector<std::string>>& wanted) {
  const std::string create =
      fmt::format("CREATE PUBLICATION {} FOR {} WITH ({})", kName, objects(wanted), kOptions);
  if (!standing.there) return wanted.empty() ? std::vector<std::string>{} : std::vector{create};
  const std::string drop = fmt::format("DROP PUBLICATION {}", kName);
  if (wanted.empty()) return {drop};
  if (standing.whole_schemas) return {drop, create};
  std::vector<std::string> sql;
  if (standing.tables != wanted || !standing.filtered.empty())
    sql.push_back(fmt::format("ALTER PUBLICATION {} SET {}", kName, objects(wanted)));
  if (!standing.options_right)
    sql.push_back(fmt::format("ALTER PUBLICATION {} SET ({})", kName, kOptions));
  return sql;
}

Result<std::vector<std::string>> difference_of_links(pg::Connection& connection,
                                                     const PublicationPlan& plan) {
  std::set<std::vector<std::string>> wanted;
  for (const auto& [name, links] : plan.links) {
    for (const auto& link : links)
      wanted.insert({name.schema, name.name, link.column, std::string(to_string(link.rule))});
  }
  std::set<std::vector<std::string>> now;
  if (TRY(table_there(connection, {"domicile", "reference_link"}))) {
    auto rows = TRY(connection.query(
        "SELECT schema_name, table_name, column_name, rule FROM domicile.reference_link"));
    for (int i = 0; i < rows.size(); ++i)
      now.insert({std::string(rows.text(i, 0)), std::string(rows.text(i, 1)),
                  std::string(rows.text(i, 2)), std::string(rows.text(i, 3))});
  }
  std::vector<std::string> sql;
  for (const auto& l : now) {
    if (wanted.contains(l)) continue;
    sql.push_back(
        fmt::format("DELETE FROM domicile.reference_link WHERE schema_name = {} AND table_name = "
                    "{} AND column_name = {}",
                    pg::quote_literal(l[0]), pg::quote_literal(l[1]), pg::quote_literal(l[2])));
  }
  for (const auto& l : wanted) {
    if (now.contains(l)) continue;
    sql.push_back(fmt::format("INSERT INTO domicile.reference_link VALUES ({}, {}, {}, {})",
                              pg::quote_literal(l[0]), pg::quote_literal(l[1]),
                              pg::quote_literal(l[2]), pg::quote_literal(l[3])));
  }
  return sql;
}

Result<void> run(pg::Connection& connection, const std::vector<std::string>& sql,
                 const ApplyOptions& options) {
  for (int attempt = 1;; ++attempt) {
    auto done = connection.transaction([&]() -> Result<void> {
      TRY(connection.script(
          fmt::format("SET LOCAL lock_timeout = {}", options.lock_timeout.count())));
      TRY(connection.script("SELECT domicile_private.begin_upgrade()"));
      for (const auto& statement : sql) {
        if (auto one = connection.script(statement); !one)
          return std::unexpected(std::move(one).error().within(statement));
      }
      return {};
    });
    if (done) break;
    if (done.error().reason != "55P03") return done;
    if (attempt == options.attempts)
      return fail(Code::conflict,
                  fmt::format("publication {}: tables were locked by others for {} attempts of {} "
                              "ms; everything before it is done: run the same command again",
                              kName, attempt, options.lock_timeout.count()),
                  "55P03");
  }
  (void)
      connection.take_notices();  // the warning about wal_level, which the plan's note says better
  return {};
}

Result<void> check_owner(pg::Connection& connection) {
  auto rows = TRY(connection.query(
      "SELECT r.rolname FROM pg_catalog.pg_publication p JOIN pg_catalog.pg_roles r ON r.oid = "
      "p.pubowner WHERE p.pubname = $1 AND NOT pg_catalog.pg_has_role(current_user, p.pubowner, "
      "'usage')",
      {kName}));
  if (rows.size() == 0) return {};
  return fail(Code::denied,
              fmt::format("publication {} belongs to {}, whose rights this login does not have, "
                          "nothing was changed; GRANT {} TO it, or as its owner: DROP PUBLICATION "
                          "{}, which the next run makes anew",
                          kName, rows.text(0, 0), q(std::string(rows.text(0, 0))), kName),
              "cannot_publish");
}

}  // namespace

Result<PublicationPlan> prepare_publication(pg::Connection& connection,
                                            const catalog::Catalog& catalog,
                                            const std::vector<TableGuard>& guards, bool master) {
  TRY(check_owner(connection));
  auto plan = TRY(Planner(catalog, guards).plan(connection, master));
  if (plan.tables.empty()) return plan;
  const auto level = TRY(connection.query("SELECT pg_catalog.current_setting('wal_level')"));
  if (level.text(0, 0) != "logical") {
    plan.notes.push_back(
        fmt::format("wal_level is {}, so no other region can follow yet; ALTER SYSTEM SET "
                    "wal_level = logical, and restart PostgreSQL",
                    level.text(0, 0)));
  }
  return plan;
}

Result<std::vector<std::string>> settle_publication(pg::Connection& connection,
                                                    const PublicationPlan& plan,
                                                    PublicationHalf half,
                                                    const ApplyOptions& options) {
  const auto standing = TRY(standing_now(connection));
  if (half == PublicationHalf::take_out && !standing.there) return std::vector<std::string>{};
  // A dry run shows the end alone.
  if (half == PublicationHalf::take_out && options.dry_run) return std::vector<std::string>{};
  auto sql =
      difference(standing, TRY(wanted_tables(connection, plan, half, standing, options.dry_run)));
  if (half == PublicationHalf::complete) {
    auto links = TRY(difference_of_links(connection, plan));
    sql.insert(sql.begin(), links.begin(), links.end());
  }
  if (!sql.empty() && !options.dry_run) TRY(run(connection, sql, options));
  return sql;
}

Result<bool> is_master(pg::Connection& connection) {
  auto there =
      TRY(connection.query("SELECT pg_catalog.to_regclass('domicile.region') IS NOT NULL"));
  if (!there.boolean(0, 0)) return false;
  auto rows = TRY(connection.query("SELECT master FROM domicile.region"));
  return rows.size() > 0 && rows.boolean(0, 0);
}

}  // namespace domicile::store
