#include "store/catalog_apply.h"

#include <algorithm>
#include <map>
#include <optional>
#include <thread>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "store/schema_reader.h"

namespace domicile::store {
namespace {

using catalog::Mode;
using catalog::QualifiedName;

// One table as it stands now.
struct Standing {
  bool ours = false;  // may the installer change it?
  std::string owner;
  bool row_security = false;
  std::vector<std::string> constraints;  // ours, by name
  std::vector<std::string> triggers;
  std::vector<std::string> policies;
  std::vector<std::string> foreign_policies;
  std::int64_t bytes = 0;
};

// What was recorded when it was applied, and whether the table still looks like that.
struct Recorded {
  std::string table_class;
  std::string mode;
  std::string spec;
  bool applied = false;
  bool guard_intact = false;
  bool policy_intact = false;
  bool secured = false;
};

Result<std::map<QualifiedName, Standing>> standing_now(pg::Connection& connection) {
  auto rows = TRY(connection.query(R"(
    SELECT n.nspname, c.relname, pg_catalog.pg_has_role(current_user, c.relowner, 'usage'), o.rolname,
           c.relrowsecurity OR c.relforcerowsecurity,
           (SELECT pg_catalog.string_agg(x.conname, E'\n') FROM pg_catalog.pg_constraint x
            WHERE x.conrelid = c.oid AND x.contype = 'c' AND x.conname ~ '^domicile_'),
           (SELECT pg_catalog.string_agg(t.tgname, E'\n') FROM pg_catalog.pg_trigger t
            WHERE t.tgrelid = c.oid AND NOT t.tgisinternal AND t.tgparentid = 0 AND t.tgname ~ '^domicile_'),
           (SELECT pg_catalog.string_agg(p.polname, E'\n') FROM pg_catalog.pg_policy p
            WHERE p.polrelid = c.oid AND p.polname ~ '^domicile_'),
           (SELECT pg_catalog.string_agg(p.polname, E'\n') FROM pg_catalog.pg_policy p
            WHERE p.polrelid = c.oid AND p.polname !~ '^domicile_'),
           CASE c.relkind WHEN 'p' THEN (SELECT pg_catalog.sum(pg_catalog.pg_table_size(t.relid)) FROM pg_catalog.pg_partition_tree(c.oid) t)
                          ELSE pg_catalog.pg_table_size(c.oid) END::bigint
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace JOIN pg_catalog.pg_roles o ON o.oid = c.relowner
    WHERE c.relkind IN ('r', 'p', 'm') AND n.nspname !~ '^(pg_|domicile(_|$))' AND n.nspname <> 'information_schema')"));
  std::map<QualifiedName, Standing> found;
  for (int i = 0; i < rows.size(); ++i) {
    found[{std::string(rows.text(i, 0)), std::string(rows.text(i, 1))}] = {
        .ours = rows.boolean(i, 2),
        .owner = std::string(rows.text(i, 3)),
        .row_security = rows.boolean(i, 4),
        .constraints = rows.lines(i, 5),
        .triggers = rows.lines(i, 6),
        .policies = rows.lines(i, 7),
        .foreign_policies = rows.lines(i, 8),
        .bytes = rows.integer(i, 9)};
  }
  return found;
}

Result<std::map<QualifiedName, Recorded>> recorded_now(pg::Connection& connection) {
  std::map<QualifiedName, Recorded> found;
  auto there = TRY(connection.query(
      "SELECT pg_catalog.to_regprocedure('domicile_private.guard_of(oid)') IS NOT NULL"));
  if (!there.boolean(0, 0)) return found;
  auto rows = TRY(connection.query(R"(
    SELECT k.schema_name, k.table_name, k.class, k.mode, k.spec, k.applied_at IS NOT NULL,
           coalesce(domicile_private.guard_of(c.oid) = k.guard, false), coalesce(domicile_private.policy_of(c.oid) = k.policy, false),
           coalesce(c.relrowsecurity AND c.relforcerowsecurity, false)
    FROM domicile.catalog_table k LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = k.schema_name
    LEFT JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = k.table_name)"));
  for (int i = 0; i < rows.size(); ++i) {
    found[{std::string(rows.text(i, 0)), std::string(rows.text(i, 1))}] = {
        .table_class = std::string(rows.text(i, 2)),
        .mode = std::string(rows.text(i, 3)),
        .spec = std::string(rows.text(i, 4)),
        .applied = rows.boolean(i, 5),
        .guard_intact = rows.boolean(i, 6),
        .policy_intact = rows.boolean(i, 7),
        .secured = rows.boolean(i, 8)};
  }
  return found;
}

std::string spec_of(const TableGuard& guard) {
  return fmt::format("{}:{}", guard.guard_hash(), guard.policy_hash());
}

// What takes everything of ours off the table; `whole`: and puts back what was remembered.
Result<std::vector<std::string>> undo_lines(pg::Connection& connection, const std::string& table,
                                            bool whole) {
  std::vector<std::string> sql;
  auto there = TRY(connection.query(
      "SELECT pg_catalog.to_regprocedure('domicile_private.undo(oid,boolean)') IS NOT NULL"));
  if (!there.boolean(0, 0)) return sql;
  auto rows = TRY(connection.query(
      "SELECT u FROM domicile_private.undo(pg_catalog.to_regclass($1), $2::bool) u",
      {table, whole ? "true" : "false"}));
  for (int i = 0; i < rows.size(); ++i) sql.emplace_back(rows.text(i, 0));
  return sql;
}

// From one set of our guards and policies to another on a table that stays enforced: only what
// differs is touched.
std::vector<std::string> adjust(const TableGuard& guard, const Standing& standing, bool same_guard,
                                bool same_policy) {
  const std::string table = quoted(guard.name);
  std::vector<std::string> sql;
  if (!same_guard) {
    for (const auto& name : standing.triggers) {
      sql.push_back(fmt::format("DROP TRIGGER {} ON {}", pg::quote_identifier(name), table));
    }
    for (const auto& name : standing.constraints) {
      sql.push_back(
          fmt::format("ALTER TABLE {} DROP CONSTRAINT {}", table, pg::quote_identifier(name)));
    }
    sql.insert(sql.end(), guard.functions.begin(), guard.functions.end());
    sql.insert(sql.end(), guard.guard.begin(), guard.guard.end());
  }
  if (!same_policy) {
    for (const auto& name : standing.policies) {
      sql.push_back(fmt::format("DROP POLICY {} ON {}", pg::quote_identifier(name), table));
    }
    sql.insert(sql.end(), guard.policy.begin(), guard.policy.end());
    sql.insert(sql.end(), guard.grants.begin(), guard.grants.end());
  }
  return sql;
}

// The statements that take one table from where it stands to where it should.
Result<std::vector<std::string>> difference(pg::Connection& connection, const ApplyPlan& plan,
                                            const TableGuard& guard, const Standing& standing,
                                            const std::optional<Recorded>& recorded) {
  const bool secure =
      guard.mode == Mode::enforce && guard.table_class != catalog::TableClass::reference;
  const bool same_guard = recorded && recorded->applied && recorded->guard_intact &&
                          recorded->spec.starts_with(guard.guard_hash() + ":");
  const bool same_policy = recorded && recorded->applied && recorded->policy_intact &&
                           recorded->spec.ends_with(":" + guard.policy_hash()) &&
                           (!secure || recorded->secured);
  if (same_guard && same_policy) return std::vector<std::string>{};
  if (guard.mode == Mode::enforce && recorded && recorded->mode == "enforce")
    return adjust(guard, standing, same_guard, same_policy);
  auto sql = TRY(undo_lines(connection, quoted(guard.name), guard.mode != Mode::enforce));
  for (const auto* part : {&guard.functions, &guard.guard, &guard.policy, &guard.grants})
    sql.insert(sql.end(), part->begin(), part->end());
  // Undoing took the grants that the paths of other tables need to read this one.
  const std::string granted = fmt::format(" ON {} TO domicile_owner", quoted(guard.name));
  for (const TableGuard& other : plan.guards) {
    for (const auto& statement : other.functions) {
      if (statement.starts_with("GRANT ") && statement.ends_with(granted)) sql.push_back(statement);
    }
  }
  return sql;
}

Result<void> record(pg::Connection& connection, const TableGuard& guard) {
  TRY(connection.query(
      R"(INSERT INTO domicile.catalog_table AS k (schema_name, table_name, class, mode, key_column, key_required, spec, guard, policy, owner, applied_at)
         SELECT $1, $2, $3, $4, nullif($5, ''), $6::bool, $7, domicile_private.guard_of(c.oid), domicile_private.policy_of(c.oid), o.rolname,
                CASE WHEN c.oid IS NOT NULL THEN pg_catalog.clock_timestamp() END
         FROM (SELECT 1) one LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = $1
         LEFT JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = $2 LEFT JOIN pg_catalog.pg_roles o ON o.oid = c.relowner
         ON CONFLICT (schema_name, table_name) DO UPDATE SET class = excluded.class, mode = excluded.mode, key_column = excluded.key_column,
           key_required = excluded.key_required, spec = excluded.spec, guard = excluded.guard, policy = excluded.policy, owner = excluded.owner,
           applied_at = excluded.applied_at)",
      {guard.name.schema, guard.name.name, std::string(to_string(guard.table_class)),
       std::string(to_string(guard.mode)), guard.key, guard.key_required ? "true" : "false",
       guard.planned ? "" : spec_of(guard)}));
  TRY(connection.query("SELECT domicile_private.know_relation($1, $2)",
                       {guard.name.schema, guard.name.name}));
  return {};
}

// `fresh`: the table comes into this mode now.
Result<void> run_once(pg::Connection& connection, const TableGuard& guard, bool fresh,
                      const std::vector<std::string>& sql, const ApplyOptions& options) {
  const std::string table = quoted(guard.name);
  return connection.transaction([&]() -> Result<void> {
    TRY(connection.script(
        fmt::format("SET LOCAL lock_timeout = {}", options.lock_timeout.count())));
    TRY(
        connection.script("SELECT "
                          "pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('domicile."
                          "migration.region', 0));"
                          "SELECT domicile_private.begin_upgrade()"));
    if (!guard.planned && guard.mode != Mode::off) {
      TRY(connection.query("SELECT domicile_private.remember(pg_catalog.to_regclass($1))",
                           {table}));
    }
    for (const auto& statement : sql) {
      if (auto done = connection.script(statement); !done)
        return std::unexpected(std::move(done).error().within(statement));
    }
    TRY(record(connection, guard));
    if (guard.mode == Mode::observe && !guard.planned) {
      TRY(connection.query("SELECT domicile_private.start_observing($1, $2, $3::bool)",
                           {guard.name.schema, guard.name.name, fresh ? "true" : "false"}));
    }
    // Grants that roles had before are kept; without this the DDL assertion would refuse the next
    // migration for them.
    if (fresh && guard.mode == Mode::enforce)
      TRY(connection.query("SELECT domicile_private.accept_grants(pg_catalog.to_regclass($1))",
                           {table}));
    if (!guard.functions.empty()) TRY(connection.script("SELECT domicile_private.pin()"));
    return {};
  });
}

// People should know which grants of their own stay beside ours.
Result<void> tell_kept_grants(pg::Connection& connection, const TableGuard& guard,
                              TableOutcome& outcome) {
  auto rows =
      TRY(connection.query("SELECT v.kind, v.object, v.detail FROM "
                           "domicile_private.kept_grants(pg_catalog.to_regclass($1)) v",
                           {quoted(guard.name)}));
  for (int i = 0; i < rows.size(); ++i) {
    outcome.notes.push_back(fmt::format("kept, and known from now on: {} on {}: {}",
                                        rows.text(i, 0), rows.text(i, 1), rows.text(i, 2)));
  }
  return {};
}

Result<TableOutcome> apply_one(pg::Connection& connection, const ApplyPlan& plan,
                               const TableGuard& guard, const Standing& standing,
                               const std::optional<Recorded>& recorded,
                               const ApplyOptions& options) {
  TableOutcome outcome{.table = guard.name,
                       .state = TableOutcome::State::unchanged,
                       .sql = {},
                       .notes = guard.notes,
                       .blocked_by = {}};
  if (!guard.planned) outcome.sql = TRY(difference(connection, plan, guard, standing, recorded));
  const bool same_record = recorded && recorded->table_class == to_string(guard.table_class) &&
                           recorded->mode == to_string(guard.mode) &&
                           recorded->applied != guard.planned &&
                           recorded->spec == (guard.planned ? "" : spec_of(guard));
  if (outcome.sql.empty() && same_record) return outcome;
  outcome.state = guard.planned ? TableOutcome::State::planned : TableOutcome::State::changed;
  if (options.dry_run) return outcome;
  if (options.progress)
    options.progress(fmt::format("{} ({}, {})", to_string(guard.name), to_string(guard.table_class),
                                 to_string(guard.mode)));

  for (int attempt = 1;; ++attempt) {
    const bool fresh = !recorded || !recorded->applied || recorded->mode != to_string(guard.mode);
    auto done = run_once(connection, guard, !guard.planned && fresh, outcome.sql, options);
    if (done) break;
    if (done.error().reason != "55P03")
      return std::unexpected(std::move(done).error().within("table " + to_string(guard.name)));
    if (attempt == options.attempts) {
      outcome.state = TableOutcome::State::blocked;
      outcome.blocked_by = fmt::format("locked by others for {} attempts of {} ms", attempt,
                                       options.lock_timeout.count());
      return outcome;
    }
    std::this_thread::sleep_for(options.pause);
  }
  if (guard.mode == Mode::enforce) TRY(tell_kept_grants(connection, guard, outcome));
  if (guard.mode == Mode::enforce && !guard.guard.empty() &&
      standing.bytes < options.validate_below_bytes) {
    // Fails where rows of organizations that are not homed yet stand: region validate says so
    // later.
    (void)connection.script(
        fmt::format("SET lock_timeout = {}; ALTER TABLE {} VALIDATE CONSTRAINT domicile_home; "
                    "RESET lock_timeout",
                    options.lock_timeout.count(), quoted(guard.name)));
    (void)connection.script("RESET lock_timeout");
  }
  return outcome;
}

}  // namespace

Result<ApplyPlan> prepare_catalog(pg::Connection& connection, const catalog::Catalog& catalog) {
  const auto schema = TRY(read_schema(connection));
  ApplyPlan plan{TRY(plan_guards(catalog, schema))};
  const auto standing = TRY(standing_now(connection));
  std::vector<std::string> problems;
  for (const TableGuard& guard : plan.guards) {
    const auto now = standing.find(guard.name);
    if (guard.mode == Mode::off || now == standing.end()) continue;
    if (!now->second.ours) {
      problems.push_back(fmt::format(
          "table {} belongs to {}, whose rights this login does not have; GRANT {} TO it",
          to_string(guard.name), now->second.owner, pg::quote_identifier(now->second.owner)));
    }
    if (guard.mode == Mode::enforce && !now->second.foreign_policies.empty()) {
      problems.push_back(
          fmt::format("table {} has policies of its own ({}), which would be joined with ours by "
                      "OR; drop them first",
                      to_string(guard.name), fmt::join(now->second.foreign_policies, ", ")));
    }
  }
  if (!problems.empty()) {
    return fail(Code::invalid,
                fmt::format("the tables cannot be guarded, nothing was changed:\n  {}",
                            fmt::join(problems, "\n  ")),
                "catalog_mismatch");
  }
  // Functions over a path read their parents, whose policies then must be there.
  std::vector<TableGuard> ordered;
  for (const bool by_path : {false, true}) {
    for (TableGuard& guard : plan.guards) {
      if (guard.functions.empty() != by_path) ordered.push_back(std::move(guard));
    }
  }
  plan.guards = std::move(ordered);
  return plan;
}

Result<std::vector<TableOutcome>> apply_catalog(pg::Connection& connection, const ApplyPlan& plan,
                                                const ApplyOptions& options) {
  const auto standing = TRY(standing_now(connection));
  const auto recorded = TRY(recorded_now(connection));
  std::vector<TableOutcome> outcomes;
  for (const TableGuard& guard : plan.guards) {
    if (options.only && !options.only->contains(guard.name)) continue;
    const auto now = standing.find(guard.name);
    const auto past = recorded.find(guard.name);
    outcomes.push_back(TRY(
        apply_one(connection, plan, guard, now == standing.end() ? Standing{} : now->second,
                  past == recorded.end() ? std::nullopt : std::optional(past->second), options)));
  }
  if (options.only) return outcomes;
  // Tables that left the catalog are no longer known to violations(), except as unclassified.
  for (const auto& [name, row] : recorded) {
    const bool listed = std::any_of(plan.guards.begin(), plan.guards.end(),
                                    [&](const TableGuard& g) { return g.name == name; });
    if (listed) continue;
    outcomes.push_back({.table = name,
                        .state = TableOutcome::State::changed,
                        .sql = {},
                        .notes = {"no longer in the catalog"},
                        .blocked_by = {}});
    if (options.dry_run) continue;
    TRY(connection.query(
        "DELETE FROM domicile.catalog_table WHERE schema_name = $1 AND table_name = $2",
        {name.schema, name.name}));
  }
  return outcomes;
}

Result<std::vector<ValidateOutcome>> validate_guards(
    pg::Connection& connection, const std::function<void(const std::string&)>& progress,
    const std::set<QualifiedName>& only) {
  auto rows = TRY(connection.query(R"(
    SELECT pg_catalog.format('%I.%I', n.nspname, c.relname), x.conname, n.nspname, c.relname FROM pg_catalog.pg_constraint x
    JOIN pg_catalog.pg_class c ON c.oid = x.conrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE x.contype = 'c' AND x.conname ~ '^domicile_' AND NOT x.convalidated AND x.coninhcount = 0 ORDER BY 1)"));
  std::vector<ValidateOutcome> outcomes;
  for (int i = 0; i < rows.size(); ++i) {
    if (!only.empty() &&
        !only.contains({std::string(rows.text(i, 2)), std::string(rows.text(i, 3))}))
      continue;
    ValidateOutcome outcome{.table = std::string(rows.text(i, 0)), .valid = true, .problem = {}};
    if (progress) progress(outcome.table);
    auto done =
        connection.script(fmt::format("ALTER TABLE {} VALIDATE CONSTRAINT {}", outcome.table,
                                      pg::quote_identifier(rows.text(i, 1))));
    if (!done) {
      if (done.error().code == Code::unavailable || done.error().reason == "42501")
        return std::unexpected(std::move(done).error().within(outcome.table));
      outcome.valid = false;
      outcome.problem = done.error().message;
    }
    outcomes.push_back(std::move(outcome));
  }
  return outcomes;
}

}  // namespace domicile::store
