#include "app/cmd_reference_schema.h"

#include <memory>
#include <set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "app/region_login.h"
#include "reference/schema_plan.h"

namespace domicile::app {
namespace {

using Json = nlohmann::json;

struct SchemaVerb {
  RegionLogin login;
  bool dry_run = false;
  int lock_timeout_ms = 2'000;
};

// The master's columns as this region's node saw them last.
Result<reference::TableShapes> seen_of_master(pg::Connection& connection) {
  const auto head = TRY(connection.query(
      "SELECT r.master, s.region FROM domicile.region r, domicile.reference_source s"));
  if (head.size() > 0 && head.boolean(0, 0))
    return fail(Code::invalid,
                "this is the master region, which the others follow: change its tables by the "
                "application's migrations, then run this in the other regions",
                "master_region");
  reference::TableShapes seen;
  const auto rows = TRY(connection.query(
      "SELECT schema_name, table_name, source_columns::text FROM domicile.reference_table WHERE "
      "source_columns IS NOT NULL"));
  if (rows.size() == 0)
    return fail(Code::conflict,
                "this region has not seen the master's tables yet: start its node with a "
                "[reference] section, and look at domicile reference status",
                "never_connected");
  for (int i = 0; i < rows.size(); ++i) {
    const catalog::QualifiedName name{std::string(rows.text(i, 0)), std::string(rows.text(i, 1))};
    seen[name] = TRY(reference::parse_shape(name, rows.text(i, 2)));
  }
  return seen;
}

Result<reference::SchemaPlan> plan_of(pg::Connection& connection) {
  const auto source = TRY(seen_of_master(connection));
  const auto own = TRY(reference::read_shapes(connection));
  // Asked for all at once: a planner talks to no database. What is more than a type's name, as another
  // region could send it, is an error of PostgreSQL's here.
  std::vector<std::string> types;
  for (const auto& [name, shape] : source) {
    for (const auto& column : shape.columns) types.push_back(column.type);
  }
  const auto rows = TRY(connection.query(
      "SELECT t FROM unnest($1::text[]) t WHERE pg_catalog.to_regtype(t) IS NOT NULL",
      {pg::array_literal(types)}));
  std::set<std::string, std::less<>> known;
  for (int i = 0; i < rows.size(); ++i) known.emplace(rows.text(i, 0));
  return reference::plan_schema(own, source,
                                [&](const std::string& type) { return known.contains(type); });
}

// The stream stops at a difference before the node has asked what the whole table looks like.
Result<void> nothing_new(pg::Connection& connection) {
  const auto rows = TRY(connection.query(
      "SELECT detail FROM domicile.reference_source WHERE state = 'stopped' AND reason = "
      "'schema_drift'"));
  if (rows.size() == 0) return {};
  return fail(Code::conflict,
              fmt::format("the stream stands still ({}), and the node has not told yet what the "
                          "master's tables look like now; it asks within seconds: run this again",
                          rows.text(0, 0)),
              "not_told_yet");
}

Result<void> carry_out(pg::Connection& connection, const reference::SchemaPlan& plan,
                       const SchemaVerb& verb) {
  auto done = connection.transaction([&]() -> Result<void> {
    TRY(connection.script(fmt::format("SET LOCAL lock_timeout = {}", verb.lock_timeout_ms)));
    for (const auto& addition : plan.additions) {
      if (auto one = connection.script(addition.sql); !one)
        return std::unexpected(std::move(one).error().within(addition.sql));
    }
    return {};
  });
  if (!done && done.error().reason == "55P03")
    return fail(Code::conflict,
                "others held the tables' locks for too long; nothing was changed: run the same "
                "command again",
                "55P03");
  return done;
}

std::string text_of(const reference::SchemaPlan& plan, bool dry_run) {
  if (plan.empty()) return "the reference tables have the master's columns";
  std::string out;
  for (const auto& addition : plan.additions) out += addition.sql + ";\n";
  for (const auto& refusal : plan.refusals)
    out += fmt::format("refused: {}: {}; {}\n", refusal.place, refusal.reason, refusal.remedy);
  out += dry_run
             ? "a dry run: nothing was changed"
             : fmt::format("{} columns added{}", plan.additions.size(),
                           plan.refusals.empty()
                               ? "; the node goes on by itself"
                               : fmt::format(", {} differences are left", plan.refusals.size()));
  return out;
}

Json json_of(const reference::SchemaPlan& plan, bool dry_run) {
  Json json = {{"dry_run", dry_run}, {"added", Json::array()}, {"refused", Json::array()}};
  for (const auto& a : plan.additions)
    json["added"].push_back({{"table", to_string(a.table)}, {"column", a.column}, {"sql", a.sql}});
  for (const auto& r : plan.refusals)
    json["refused"].push_back({{"place", r.place}, {"reason", r.reason}, {"remedy", r.remedy}});
  return json;
}

Result<int> apply(const Cli& cli, const SchemaVerb& verb) {
  auto connection = TRY(open_region(verb.login));
  TRY(require_region(connection));
  const auto plan = TRY(plan_of(connection));
  if (plan.empty()) TRY(nothing_new(connection));
  if (!verb.dry_run && !plan.additions.empty()) TRY(carry_out(connection, plan, verb));
  print(cli.json ? json_of(plan, verb.dry_run).dump(2, ' ', false, Json::error_handler_t::replace)
                 : text_of(plan, verb.dry_run));
  return plan.refusals.empty() ? 0 : 1;
}

}  // namespace

void add_reference_schema(CLI::App& noun, Cli& cli) {
  auto verb = std::make_shared<SchemaVerb>();
  CLI::App* app = noun.add_subcommand(
      "apply-schema",
      "In a replica region: add the columns that the master's reference tables have more");
  add_login(*app, verb->login);
  app->add_flag("--dry-run", verb->dry_run, "Show the difference, change nothing");
  app->add_option("--lock-timeout-ms", verb->lock_timeout_ms, "How long to wait for a table's lock")
      ->check(CLI::Range(10, 600'000))
      ->capture_default_str();
  app->callback(cli.run([&cli, verb] { return goes_on(apply(cli, *verb)); }));
}

}  // namespace domicile::app
