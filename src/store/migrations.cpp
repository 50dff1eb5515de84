#include "store/migrations.h"

#include <charconv>

#include <fmt/format.h>

#include "crypto/sha256.h"
#include "store/embedded_sql.h"

namespace domicile::store {
namespace {

// "region/0001_guard.sql" -> 1, "guard".
Result<MigrationStep> step_of(const EmbeddedSql& file, std::string_view file_name) {
  MigrationStep step;
  const auto [end, error] = std::from_chars(file_name.begin(), file_name.begin() + 4, step.version);
  if (file_name.size() < 10 || error != std::errc{} || end != file_name.begin() + 4 ||
      *end != '_' || !file_name.ends_with(".sql")) {
    return fail(Code::internal,
                fmt::format("sql/{}: a migration is named NNNN_name.sql", file.path));
  }
  step.name = file_name.substr(5, file_name.size() - 9);
  step.sha256 = crypto::sha256_hex(file.text);
  return step;
}

std::string ledger_of(const MigrationOptions& options) {
  return pg::quote_identifier(options.schema) + ".migration";
}

// Serializes the runs of one set in one database, and ends with the transaction.
Result<void> lock(pg::Connection& connection, const MigrationOptions& options) {
  TRY(connection.script(fmt::format("SET LOCAL lock_timeout = {}", options.lock_timeout.count())));
  auto locked = connection.query(
      "SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended($1, 0))",
      {"domicile.migration." + options.set});
  if (!locked && locked.error().reason == "55P03") {
    return fail(
        Code::conflict,
        fmt::format("another run is changing schema {} of this database; wait for it and run again",
                    options.schema),
        "migration_running");
  }
  TRY(std::move(locked));
  return {};
}

Result<void> create_ledger(pg::Connection& connection, const MigrationOptions& options) {
  const std::string ledger = ledger_of(options);
  auto there = TRY(connection.query("SELECT pg_catalog.to_regclass($1) IS NOT NULL", {ledger}));
  if (there.boolean(0, 0)) return {};
  return connection.transaction([&]() -> Result<void> {
    TRY(lock(connection, options));
    auto schema = TRY(connection.query("SELECT pg_catalog.to_regnamespace($1) IS NOT NULL",
                                       {pg::quote_identifier(options.schema)}));
    if (!schema.boolean(0, 0)) {
      TRY(connection.script("CREATE SCHEMA " + pg::quote_identifier(options.schema)));
    }
    return connection.script(fmt::format(
        "CREATE TABLE IF NOT EXISTS {} (version integer PRIMARY KEY, name text NOT NULL, "
        "sha256 text NOT NULL, applied_at timestamptz NOT NULL DEFAULT "
        "pg_catalog.clock_timestamp())",
        ledger));
  });
}

struct Recorded {
  std::string name;
  std::string sha256;
};

Result<std::map<int, Recorded>> recorded(pg::Connection& connection,
                                         const MigrationOptions& options) {
  std::map<int, Recorded> found;
  const std::string ledger = ledger_of(options);
  auto there = TRY(connection.query("SELECT pg_catalog.to_regclass($1) IS NOT NULL", {ledger}));
  if (!there.boolean(0, 0)) return found;
  auto rows = TRY(connection.query(
      fmt::format("SELECT version, name, sha256 FROM {} WHERE version BETWEEN $1::int AND $2::int",
                  ledger),
      {std::to_string(options.first), std::to_string(options.last)}));
  for (int i = 0; i < rows.size(); ++i) {
    found[static_cast<int>(rows.integer(i, 0))] = {std::string(rows.text(i, 1)),
                                                   std::string(rows.text(i, 2))};
  }
  return found;
}

// The database's past and the binary's steps must tell the same story.
Result<std::vector<MigrationStep>> pending_of(const std::vector<MigrationStep>& steps,
                                              std::map<int, Recorded> past,
                                              const MigrationOptions& options) {
  std::vector<MigrationStep> pending;
  for (const MigrationStep& step : steps) {
    const auto found = past.find(step.version);
    if (found == past.end()) {
      pending.push_back(step);
      continue;
    }
    if (found->second.sha256 != step.sha256) {
      return fail(
          Code::conflict,
          fmt::format(
              "schema {}: step {:04} ({}) was applied with another text than this program has; "
              "released steps never change: use the version of domicile that applied it, or a "
              "later one",
              options.schema, step.version, found->second.name),
          "migration_changed");
    }
    past.erase(found);
  }
  if (!past.empty()) {
    return fail(
        Code::conflict,
        fmt::format(
            "schema {}: step {:04} ({}) was applied by a newer domicile; upgrade this program",
            options.schema, past.begin()->first, past.begin()->second.name),
        "migration_unknown");
  }
  return pending;
}

// False: another run was faster.
Result<bool> apply(pg::Connection& connection, const MigrationOptions& options,
                   const MigrationStep& step) {
  bool ran = false;
  auto done = connection.transaction([&]() -> Result<void> {
    TRY(lock(connection, options));
    const std::string ledger = ledger_of(options);
    auto there =
        TRY(connection.query(fmt::format("SELECT 1 FROM {} WHERE version = $1::int", ledger),
                             {std::to_string(step.version)}));
    if (there.size() > 0) return {};
    if (!options.prologue.empty()) TRY(connection.script(options.prologue));
    TRY(connection.script(step.sql));
    TRY(connection.script("RESET ROLE"));
    if (!options.epilogue.empty()) TRY(connection.script(options.epilogue));
    TRY(connection.query(
        fmt::format("INSERT INTO {} (version, name, sha256) VALUES ($1::int, $2, $3)", ledger),
        {std::to_string(step.version), step.name, step.sha256}));
    ran = true;
    return {};
  });
  if (!done) {
    return std::unexpected(std::move(done).error().within(
        fmt::format("sql/{}/{:04}_{}.sql", options.set, step.version, step.name)));
  }
  return ran;
}

}  // namespace

Result<std::string> fill_placeholders(std::string_view text,
                                      const std::map<std::string, std::string>& values) {
  std::string out;
  out.reserve(text.size() + 256);
  for (;;) {
    const auto open = text.find("{{");
    out += text.substr(0, open);
    if (open == std::string_view::npos) return out;
    const auto close = text.find("}}", open);
    if (close == std::string_view::npos)
      return fail(Code::internal, "a placeholder {{ is not closed");
    const std::string name(text.substr(open + 2, close - open - 2));
    const auto value = values.find(name);
    if (value == values.end()) {
      return fail(Code::internal, fmt::format("placeholder {{{{{}}}}} has no value", name));
    }
    out += value->second;
    text.remove_prefix(close + 2);
  }
}

Result<std::vector<MigrationStep>> migration_steps(const MigrationOptions& options) {
  std::vector<MigrationStep> steps;
  const std::string folder = options.set + "/";
  for (const EmbeddedSql& file : embedded_sql()) {
    if (!file.path.starts_with(folder)) continue;
    MigrationStep step = TRY(step_of(file, file.path.substr(folder.size())));
    if (step.version < options.first || step.version > options.last) continue;
    if (!steps.empty() && steps.back().version == step.version) {
      return fail(Code::internal,
                  fmt::format("sql/{}: version {:04} stands twice", options.set, step.version));
    }
    auto filled = fill_placeholders(file.text, options.values);
    if (!filled)
      return std::unexpected(std::move(filled).error().within("sql/" + std::string(file.path)));
    step.sql = std::move(*filled);
    steps.push_back(std::move(step));
  }
  return steps;
}

Result<MigrationReport> migrate(pg::Connection& connection, const MigrationOptions& options) {
  const auto steps = TRY(migration_steps(options));
  MigrationReport report;
  const auto past = TRY(recorded(connection, options));
  report.pending = TRY(pending_of(steps, past, options));
  report.already = static_cast<int>(steps.size() - report.pending.size());
  if (options.dry_run || report.pending.empty()) return report;

  TRY(create_ledger(connection, options));
  for (const MigrationStep& step : report.pending) {
    if (options.on_step) options.on_step(step);
    if (TRY(apply(connection, options, step))) ++report.applied;
  }
  return report;
}

}  // namespace domicile::store
