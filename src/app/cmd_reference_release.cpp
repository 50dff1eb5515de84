#include "app/cmd_reference_release.h"

#include <memory>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "app/region_login.h"
#include "app/text_table.h"
#include "base/file.h"
#include "store/reference_release.h"

namespace domicile::app {
namespace {

using Json = nlohmann::json;

struct ReleaseVerb {
  RegionLogin login;
  std::string name, note, file, sql, reason, seen, required;
  std::int64_t most = 200;
  int lock_timeout_ms = 5'000;
  bool dry_run = false;
};

std::string dump(const Json& json) {
  return json.dump(2, ' ', false, Json::error_handler_t::replace);
}

Result<pg::Connection> open(const ReleaseVerb& verb) {
  auto connection = TRY(open_region(verb.login));
  TRY(require_region(connection));
  return connection;
}

void say(const Cli& cli, const Json& json, const std::string& text) {
  print(cli.json ? dump(json) : text);
}

Result<int> create(const Cli& cli, const ReleaseVerb& verb) {
  auto connection = TRY(open(verb));
  TRY(store::create_release(connection, verb.name, verb.note));
  say(cli, {{"release", verb.name}, {"state", "draft"}},
      fmt::format("release {} is a draft; add changes to it: domicile reference release add {} "
                  "--file changes.sql",
                  verb.name, verb.name));
  return 0;
}

Result<int> add(const Cli& cli, const ReleaseVerb& verb) {
  if (verb.sql.empty() == verb.file.empty())
    return fail(Code::invalid,
                "write the changes in a file and name it with --file, or give them "
                "with --sql");
  const std::string sql = verb.sql.empty() ? TRY(read_file(verb.file, 256u << 20)) : verb.sql;
  auto connection = TRY(open(verb));
  const auto added = TRY(store::add_to_release(connection, verb.name, sql));
  const std::string text =
      added.repeated ? fmt::format(
                           "this was the last that was added to {}, {} rows; it was not "
                           "added again",
                           verb.name, added.changes)
      : added.changes == 0
          ? fmt::format("this changes nothing; release {} is as it was", verb.name)
          : fmt::format(
                "{} changed rows are in release {}, and nowhere else yet; look at them: "
                "domicile reference release show {}",
                added.changes, verb.name, verb.name);
  say(cli, {{"release", verb.name}, {"changes", added.changes}, {"repeated", added.repeated}},
      text);
  return 0;
}

Json json_of(const store::ReleaseRecord& r) {
  return {{"release", r.name},
          {"state", r.state},
          {"current", r.current},
          {"note", r.note},
          {"authors", r.authors},
          {"hash", r.hash},
          {"changes", r.changes},
          {"created_at", r.created_at},
          {"submitted_by", r.submitted_by},
          {"decided_by", r.decided_by},
          {"decision_reason", r.decision_reason},
          {"published_by", r.published_by},
          {"published_at", r.published_at}};
}

Result<int> list(const Cli& cli, const ReleaseVerb& verb) {
  auto connection = TRY(open(verb));
  const auto found = TRY(store::releases(connection));
  Json json = Json::array();
  std::vector<std::vector<std::string>> table{
      {"release", "state", "changes", "authors", "decided by", "published", "note"}};
  for (const auto& r : found) {
    json.push_back(json_of(r));
    table.push_back({r.name, r.state + (r.current ? " (holds now)" : ""), std::to_string(r.changes),
                     fmt::format("{}", fmt::join(r.authors, ", ")), r.decided_by, r.published_at,
                     r.note});
  }
  std::string text = found.empty() ? "there is no release" : text_table(table, {2});
  if (text.ends_with('\n')) text.pop_back();
  say(cli, {{"releases", std::move(json)}}, text);
  return 0;
}

Result<store::ReleaseRecord> record_of(pg::Connection& connection, const std::string& name) {
  for (auto& r : TRY(store::releases(connection))) {
    if (r.name == name) return std::move(r);
  }
  return fail(Code::not_found,
              fmt::format("there is no release {}; domicile reference release list", name));
}

std::string show_text(const store::ReleaseRecord& record, const store::ReleaseDiff& diff) {
  std::string out = fmt::format("release {} ({}{}): {} changes of {} rows, by {}\n", record.name,
                                record.state, record.current ? ", holds now" : "", record.changes,
                                diff.of_rows, fmt::join(record.authors, ", "));
  if (!record.note.empty()) out += fmt::format("  {}\n", printable(record.note));
  if (!record.decision_reason.empty())
    out += fmt::format("  {} said: {}\n", record.decided_by, printable(record.decision_reason));
  for (const auto& row : diff.rows) {
    const char* sign = row.kind == "insert" ? "+" : row.kind == "delete" ? "-" : "~";
    out += fmt::format("  {} {} {}\n", sign, row.table, printable(row.key));
    std::size_t at = 0;
    while (!row.columns.empty() && at <= row.columns.size()) {
      const auto end = std::min(row.columns.find('\n', at), row.columns.size());
      out += fmt::format("      {}\n", printable(row.columns.substr(at, end - at)));
      at = end + 1;
    }
  }
  if (diff.of_rows > static_cast<std::int64_t>(diff.rows.size()))
    out += fmt::format("  and {} rows more; --limit shows them\n",
                       diff.of_rows - static_cast<std::int64_t>(diff.rows.size()));
  if (!record.hash.empty()) out += fmt::format("hash {}\n", record.hash);
  out.pop_back();
  return out;
}

Result<int> show(const Cli& cli, const ReleaseVerb& verb) {
  auto connection = TRY(open(verb));
  const auto record = TRY(record_of(connection, verb.name));
  const auto diff = TRY(store::release_diff(connection, verb.name, verb.most));
  if (!cli.json) {
    print(show_text(record, diff));
    return 0;
  }
  // The rows as the database wrote them, exact to the digit.
  std::string head = json_of(record).dump(-1, ' ', false, Json::error_handler_t::replace);
  head.pop_back();
  head += fmt::format(",\"of_rows\":{},\"rows\":[", diff.of_rows);
  for (std::size_t i = 0; i < diff.rows.size(); ++i) head += (i > 0 ? "," : "") + diff.rows[i].json;
  print(head + "]}");
  return 0;
}

Result<int> submit(const Cli& cli, const ReleaseVerb& verb) {
  auto connection = TRY(open(verb));
  const auto hash = TRY(store::submit_release(connection, verb.name));
  say(cli, {{"release", verb.name}, {"hash", hash}},
      fmt::format("release {} waits for a second person: domicile reference release show {}, then "
                  "approve or reject it\nhash {}",
                  verb.name, verb.name, hash));
  return 0;
}

Result<int> decide(const Cli& cli, const ReleaseVerb& verb, bool approve) {
  auto connection = TRY(open(verb));
  const auto hash =
      TRY(store::decide_release(connection, verb.name, approve, verb.reason, verb.seen));
  const char* word = approve ? "approved" : "rejected";
  say(cli, {{"release", verb.name}, {"state", word}, {"hash", hash}},
      fmt::format("release {} is {}{}", verb.name, word,
                  approve ? "; publish it: domicile reference release publish " + verb.name : ""));
  return 0;
}

Result<int> discard(const Cli& cli, const ReleaseVerb& verb) {
  auto connection = TRY(open(verb));
  TRY(store::discard_release(connection, verb.name));
  say(cli, {{"release", verb.name}, {"state", "discarded"}},
      fmt::format("release {} is discarded", verb.name));
  return 0;
}

// What would stand in the way now; exit 1 when something does.
Result<int> look_ahead(const Cli& cli, pg::Connection& connection, const std::string& name) {
  const auto conflicts = TRY(store::release_conflicts(connection, name));
  Json json = {{"release", name}, {"dry_run", true}, {"conflicts", Json::array()}};
  std::string text = conflicts.empty() ? "nothing stands in the way; nothing was changed" : "";
  for (const auto& c : conflicts) {
    json["conflicts"].push_back({{"table", c.table}, {"key", c.key}, {"what", c.what}});
    text += fmt::format("  {} {}: {}\n", c.table, printable(c.key), c.what);
  }
  if (!conflicts.empty())
    text += fmt::format("{} rows are not as they should be; nothing was changed", conflicts.size());
  say(cli, json, text);
  return conflicts.empty() ? 0 : 1;
}

Result<int> publish(const Cli& cli, const ReleaseVerb& verb, bool back) {
  auto connection = TRY(open(verb));
  if (verb.dry_run) {
    const std::string name =
        verb.name.empty() ? TRY(store::current_release(connection)).name : verb.name;
    return look_ahead(cli, connection, name);
  }
  TRY(connection.script(fmt::format("SET lock_timeout = {}", verb.lock_timeout_ms)));
  auto result = back ? store::rollback_release(connection, verb.name)
                     : store::publish_release(connection, verb.name);
  if (!result && result.error().reason == "55P03") {
    return fail(Code::conflict,
                "its tables were written by others for too long; nothing was changed: run the same "
                "command again",
                "55P03");
  }
  const auto done = TRY(std::move(result));
  const std::string holds =
      done.holds.empty() ? "no release holds now" : fmt::format("release {} holds now", done.holds);
  say(cli,
      {{"number", done.number},
       {"holds", done.holds},
       {"changes", done.changes},
       {"repeated", done.repeated}},
      fmt::format("{}{} changes in publication {}; {}",
                  done.repeated ? "it was done already: " : "", done.changes, done.number, holds));
  return 0;
}

Result<int> current(const Cli& cli, const ReleaseVerb& verb) {
  auto connection = TRY(open(verb));
  const auto now = TRY(store::current_release(connection));
  say(cli, {{"release", now.name}, {"number", now.number}, {"published_at", now.published_at}},
      now.name.empty() ? "no release holds in this region"
                       : fmt::format("release {} holds in this region (publication {}, {})",
                                     now.name, now.number, now.published_at));
  return 0;
}

Result<int> require(const Cli& cli, const ReleaseVerb& verb) {
  auto connection = TRY(open(verb));
  const bool on = verb.required == "on";
  TRY(store::require_releases(connection, on));
  say(cli, {{"required", on}},
      on ? "reference tables of this region change by releases only"
         : "reference tables of this region may be changed directly");
  return 0;
}

using Body = Result<int> (*)(const Cli&, const ReleaseVerb&);

CLI::App* verb_of(CLI::App* noun, Cli& cli, std::shared_ptr<ReleaseVerb> verb, const char* name,
                  const char* what, Body body) {
  CLI::App* app = noun->add_subcommand(name, what);
  add_login(*app, verb->login);
  app->callback(cli.run([&cli, verb, body] { return goes_on(body(cli, *verb)); }));
  return app;
}

void add_name(CLI::App* app, ReleaseVerb& verb) {
  app->add_option("name", verb.name, "The release's name")->required();
}

void add_publishing(CLI::App* app, ReleaseVerb& verb) {
  app->add_flag("--dry-run", verb.dry_run, "List what stands in the way, change nothing");
  app->add_option("--lock-timeout-ms", verb.lock_timeout_ms,
                  "How long to wait for others who write its tables")
      ->check(CLI::Range(10, 600'000))
      ->capture_default_str();
}

}  // namespace

void add_reference_release(CLI::App& reference_noun, Cli& cli) {
  auto verb = std::make_shared<ReleaseVerb>();
  CLI::App* noun = reference_noun.add_subcommand(
      "release", "Changes made together, approved by a second person, published at once");
  noun->require_subcommand(1);
  CLI::App* app = verb_of(noun, cli, verb, "create", "Begin a release", create);
  add_name(app, *verb);
  app->add_option("--note", verb->note, "What it is for");
  app = verb_of(noun, cli, verb, "add", "Add what some SQL does to reference tables", add);
  add_name(app, *verb);
  app->add_option("--file", verb->file, "File with the SQL");
  app->add_option("--sql", verb->sql, "The SQL itself");
  app = verb_of(noun, cli, verb, "show", "What it makes of each row", show);
  add_name(app, *verb);
  app->add_option("--limit", verb->most, "Rows to show")
      ->check(CLI::Range(1, 10'000'000))
      ->capture_default_str();
  verb_of(noun, cli, verb, "list", "All releases, the newest first", list);
  add_name(verb_of(noun, cli, verb, "submit", "Hand it to a second person", submit), *verb);
  app = verb_of(noun, cli, verb, "approve", "Approve what was submitted (none of its authors may)",
                [](const Cli& c, const ReleaseVerb& v) { return decide(c, v, true); });
  add_name(app, *verb);
  app->add_option("--seen", verb->seen, "Hash of what was looked at: refuse if it is another");
  app->add_option("--reason", verb->reason, "A remark");
  app = verb_of(noun, cli, verb, "reject", "Send it back",
                [](const Cli& c, const ReleaseVerb& v) { return decide(c, v, false); });
  add_name(app, *verb);
  app->add_option("--reason", verb->reason, "Why")->required();
  app = verb_of(noun, cli, verb, "publish", "Publish what was approved, in one transaction",
                [](const Cli& c, const ReleaseVerb& v) { return publish(c, v, false); });
  add_name(app, *verb);
  add_publishing(app, *verb);
  app = verb_of(noun, cli, verb, "rollback", "Take the newest publication back",
                [](const Cli& c, const ReleaseVerb& v) { return publish(c, v, true); });
  app->add_option("name", verb->name, "Its name, to be sure; default: whichever it is");
  add_publishing(app, *verb);
  add_name(verb_of(noun, cli, verb, "discard", "Give it up before it is published", discard),
           *verb);
  verb_of(noun, cli, verb, "current", "Which release holds in this region", current);
  app = verb_of(noun, cli, verb, "require",
                "Refuse direct changes in the master region (installer)", require);
  app->add_option("required", verb->required, "on or off")
      ->required()
      ->check(CLI::IsMember({"on", "off"}));
}

}  // namespace domicile::app
