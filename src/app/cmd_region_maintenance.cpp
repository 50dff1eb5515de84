// domicile region maintenance begin | end | status: an audited window for upgrades, dumps, restores
// and backfills. What is relaxed by time arms itself when the window expires.
#include "app/cmd_region_maintenance.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <memory>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "app/region_login.h"
#include "app/region_report.h"
#include "base/file.h"
#include "store/maintenance.h"

namespace domicile::app {
namespace {

using Json = nlohmann::json;
using store::MaintenanceWindow;

struct MaintenanceVerb {
  RegionLogin login;
  std::string superuser_dsn_file;
  std::string ticket;
  std::string lasts;
  std::vector<std::string> allow;
  std::vector<std::string> roles;
  bool event_triggers_off = false;
};

// 90s, 30m, 2h, 1d.
Result<std::chrono::seconds> parse_duration(const std::string& text) {
  std::int64_t number = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  std::int64_t unit = 0;
  if (error == std::errc{} && rest + 1 == end) {
    switch (*rest) {
      case 's': unit = 1; break;
      case 'm': unit = 60; break;
      case 'h': unit = 3600; break;
      case 'd': unit = 86'400; break;
      default: break;
    }
  }
  constexpr std::int64_t kMax = 7 * 86'400;
  if (unit == 0 || number < 1 || number > kMax || number * unit < 60 || number * unit > kMax)
    return fail(Code::invalid,
                fmt::format("--for {}: write a minute to seven days, as 90s, 30m, 2h or 1d", text));
  return std::chrono::seconds(number * unit);
}

// What people ask for, and what it relaxes.
Result<std::vector<std::string>> relaxed(const MaintenanceVerb& verb) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 4> kWords{
      {{"ddl", "ddl"}, {"dump", "read"}, {"backfill", "write"}, {"restore", "write"}}};
  std::vector<std::string> out;
  const auto add = [&out](std::string_view what) {
    if (std::ranges::find(out, what) == out.end()) out.emplace_back(what);
  };
  for (const auto& word : verb.allow) {
    const auto found = std::ranges::find(kWords, word, &decltype(kWords)::value_type::first);
    if (found == kWords.end())
      return fail(Code::invalid,
                  fmt::format("--allow {}: write ddl, dump, backfill or restore", word));
    add(found->second);
  }
  if (verb.event_triggers_off) add("event_triggers_off");
  if (out.empty())
    return fail(Code::invalid,
                "nothing would be relaxed; write --allow ddl, dump, backfill or restore, or "
                "--event-triggers-off");
  return out;
}

Json json_of(const MaintenanceWindow& w) {
  Json json = {{"id", w.id},
               {"ticket", w.ticket},
               {"allow", w.allow},
               {"roles", w.roles},
               {"begun_at", w.begun_at},
               {"begun_by", w.begun_by},
               {"expires_at", w.expires_at},
               {"expired", w.expired},
               {"seconds_left", w.ended_at.empty() ? w.seconds_left : 0},
               {"ddl_statements", w.acts},
               {"let_pass", w.let_pass},
               {"left_open", w.left_open}};
  json["ended_at"] = w.ended_at.empty() ? Json() : Json(w.ended_at);
  json["ended_by"] = w.ended_at.empty() ? Json() : Json(w.ended_by);
  json["armed"] = w.armed ? Json(*w.armed) : Json();
  return json;
}

std::string text_of(const MaintenanceWindow& w) {
  std::string out =
      fmt::format("window {} (ticket {}): {}", w.id, w.ticket, fmt::join(w.allow, ", "));
  if (!w.roles.empty()) out += fmt::format("; lent to {}", fmt::join(w.roles, ", "));
  out += fmt::format("\n  begun {} by {}", w.begun_at, w.begun_by);
  if (!w.ended_at.empty())
    out += fmt::format(", ended {} by {}", w.ended_at, w.ended_by);
  else if (w.expired)
    out += fmt::format(", expired {}: nothing is relaxed by it any more", w.expires_at);
  else
    out += fmt::format(", expires {} (in {} min)", w.expires_at, (w.seconds_left + 59) / 60);
  out +=
      fmt::format("\n  {} DDL statements, {} of them would have been refused", w.acts, w.let_pass);
  if (w.armed)
    out += *w.armed ? "\n  armed: violations() finds nothing that must not be"
                    : "\n  NOT armed; run domicile region init, then domicile region violations:";
  for (const auto& line : w.left_open) out += "\n    " + line;
  return out;
}

void print_window(const Cli& cli, const MaintenanceWindow& window) {
  print(cli.json ? json_of(window).dump(2, ' ', false, Json::error_handler_t::replace)
                 : text_of(window));
}

Result<std::unique_ptr<pg::Connection>> superuser_of(const MaintenanceVerb& verb,
                                                     pg::Connection& connection) {
  if (verb.superuser_dsn_file.empty()) return std::unique_ptr<pg::Connection>{};
  const Secret dsn = TRY(read_secret_file(verb.superuser_dsn_file));
  auto superuser =
      std::make_unique<pg::Connection>(TRY(pg::Connection::open(std::string(dsn.reveal()))));
  TRY(same_database(connection, *superuser));
  return superuser;
}

Result<int> begin(const Cli& cli, const MaintenanceVerb& verb) {
  store::MaintenanceRequest request{.ticket = verb.ticket,
                                    .lasts = TRY(parse_duration(verb.lasts)),
                                    .allow = TRY(relaxed(verb)),
                                    .roles = verb.roles};
  if (request.ticket.empty() || request.ticket.size() > 200)
    return fail(Code::invalid, "--ticket: write 1 to 200 characters");
  auto connection = TRY(open_region(verb.login));
  TRY(require_region(connection));
  const auto superuser = TRY(superuser_of(verb, connection));
  print_window(cli, TRY(store::begin_maintenance(connection, request, superuser.get())));
  return 0;
}

Result<int> end(const Cli& cli, const MaintenanceVerb& verb) {
  auto connection = TRY(open_region(verb.login));
  TRY(require_region(connection));
  const auto superuser = TRY(superuser_of(verb, connection));
  const auto window = TRY(store::end_maintenance(connection, superuser.get()));
  print_window(cli, window);
  return window.armed.value_or(false) && window.left_open.empty() ? 0 : 1;
}

Result<int> status(const Cli& cli, const MaintenanceVerb& verb) {
  auto connection = TRY(open_region(verb.login));
  TRY(require_region(connection));
  const auto windows = TRY(store::maintenance_windows(connection, 10));
  const bool open = !windows.empty() && windows[0].ended_at.empty();
  if (cli.json) {
    Json json = {
        {"open", open && !windows[0].expired}, {"to_end", open}, {"windows", Json::array()}};
    for (const auto& window : windows) json["windows"].push_back(json_of(window));
    print(json.dump(2, ' ', false, Json::error_handler_t::replace));
    return 0;
  }
  std::string out = !open ? "no maintenance window is open"
                    : windows[0].expired
                        ? "a window has expired; prove that all is armed: domicile "
                          "region maintenance end"
                        : "a maintenance window is open";
  for (const auto& window : windows) out += "\n" + text_of(window);
  print(out);
  return 0;
}

}  // namespace

void add_region_maintenance(CLI::App& region_noun, Cli& cli) {
  auto verb = std::make_shared<MaintenanceVerb>();
  CLI::App* noun = region_noun.add_subcommand(
      "maintenance", "An audited window for upgrades, dumps, restores and backfills");
  noun->require_subcommand(1);
  CLI::App* app = noun->add_subcommand("begin", "Open a window, with a ticket and an end");
  add_login(*app, verb->login);
  app->add_option("--ticket", verb->ticket, "The change's ticket")->required();
  app->add_option("--for", verb->lasts, "How long: 30m, 2h, 1d; at most 7d")->required();
  app->add_option("--allow", verb->allow,
                  "ddl (pass what the assertion would refuse), dump (read all rows), backfill or "
                  "restore (write them); may be given several times");
  app->add_option("--role", verb->roles,
                  "Who may read and write; several times. Default: the login of this command");
  app->add_flag("--event-triggers-off", verb->event_triggers_off,
                "Drop the event triggers, as major upgrades of managed services ask");
  app->add_option("--superuser-dsn-file", verb->superuser_dsn_file,
                  "Connection string of the event triggers' owner");
  app->callback(cli.run([&cli, verb] { return goes_on(begin(cli, *verb)); }));

  app = noun->add_subcommand("end", "Close the window and prove that everything is armed");
  add_login(*app, verb->login);
  app->add_option("--superuser-dsn-file", verb->superuser_dsn_file,
                  "Connection string of the event triggers' owner");
  app->callback(cli.run([&cli, verb] { return goes_on(end(cli, *verb)); }));

  app = noun->add_subcommand("status", "Is a window open, and what were the last ones");
  add_login(*app, verb->login);
  app->callback(cli.run([&cli, verb] { return status(cli, *verb); }));
}

}  // namespace domicile::app
