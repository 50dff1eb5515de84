// domicile explain: why was this refused?
#include <cstdio>
#include <memory>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "app/cli.h"
#include "app/explain_decision.h"
#include "app/explain_reason.h"
#include "app/explain_sql.h"
#include "app/explain_token.h"
#include "app/node_config.h"
#include "audit/event_reader.h"
#include "base/clock.h"
#include "base/file.h"
#include "registry/snapshot_file.h"
#include "wire/http1_path.h"

namespace domicile::app {
namespace {

using Json = nlohmann::ordered_json;

struct ExplainArguments {
  std::string request_id, sql_error, config, audit, routes, snapshot, token_file, jwks_file,
      ca_file;
  std::string method, path, header, region;
  SaidPrincipal said;
};

void tell(const Cli& cli, const Json& json, const std::string& text) {
  print(cli.json ? json.dump(2, ' ', false, Json::error_handler_t::replace) : text);
}

std::string read_standard_input() {
  std::string text;
  char buffer[4096];
  while (const std::size_t n = std::fread(buffer, 1, sizeof buffer, stdin)) {
    text.append(buffer, n);
    if (text.size() > (64u << 10)) break;
  }
  return text;
}

// ---- a database error ---------------------------------------------------------------------------

Result<int> explain_sql_error(const Cli& cli, const ExplainArguments& given) {
  const std::string text =
      given.sql_error == "-" ? read_standard_input() : TRY(read_file(given.sql_error, 1u << 20));
  const SqlError found = explain_sql(text);
  if (found.known == nullptr) {
    const std::string meaning =
        found.sqlstate.empty()
            ? "Nothing in this text is an error of Domicile's guard."
            : fmt::format(
                  "SQLSTATE {} alone does not tell: paste the message too. Errors of the "
                  "guard begin with \"domicile: \" or name a constraint domicile_*.",
                  found.sqlstate);
    tell(cli, {{"known", false}, {"sqlstate", found.sqlstate}, {"meaning", meaning}}, meaning);
    return 1;
  }
  const ExplainedSql& known = *found.known;
  tell(cli,
       {{"known", true},
        {"code", known.code},
        {"sqlstate", found.sqlstate},
        {"meaning", known.meaning},
        {"remedy", known.remedy}},
       fmt::format("{} ({})\n  why     {}\n  remedy  {}", known.code,
                   found.sqlstate.empty() ? "no SQLSTATE in the text" : found.sqlstate,
                   known.meaning, known.remedy));
  return 0;
}

// ---- a request that was -------------------------------------------------------------------------

std::string text_at(const Json& event, const char* pointer) {
  const auto value = event.value(Json::json_pointer(pointer), Json());
  return value.is_string() ? value.get<std::string>() : "";
}

Json event_facts(std::uint64_t sequence, std::string_view line) {
  const auto facts = audit::facts_of(line);
  const Json event = Json::parse(line, nullptr, false);
  Json out = {{"sequence", sequence},
              {"time", event.is_discarded() ? "" : text_at(event, "/metadata/original_time")},
              {"kind", facts.kind},
              {"outcome", facts.outcome},
              {"organization", facts.organization}};
  if (event.is_discarded()) return out;
  out["time_ms"] = facts.time_ms;
  out["operation"] = text_at(event, "/api/operation");
  out["resource"] = text_at(event, "/resources/0/name");
  out["actor"] = text_at(event, "/actor/user/uid");
  out["reason"] = text_at(event, "/status_code");
  return out;
}

void add_meaning(Json& event) {
  const std::string reason = event.value("reason", "");
  if (const auto* known = explain_reason(reason)) {
    event["meaning"] = known->meaning;
    event["remedy"] = known->remedy;
  } else if (!reason.empty()) {
    event["meaning"] = "The request could be read in more than one way, or was over a limit.";
    event["remedy"] = "docs/gateway.md lists what is refused before anybody is asked.";
  } else if (event.value("outcome", "") == "allowed") {
    event["meaning"] =
        "The door let it through. If the answer was an error, it is the application's or the "
        "database's: paste it into domicile explain --sql-error -.";
  }
}

std::string event_text(const Json& event) {
  std::string out = fmt::format("record {}: {} {}", event.value("sequence", std::uint64_t{0}),
                                event.value("kind", ""), event.value("outcome", ""));
  for (const char* name : {"reason", "operation", "resource", "organization", "actor"}) {
    const std::string value = event.value(name, "");
    if (!value.empty()) out += fmt::format("\n  {:<12}  {}", name, value);
  }
  if (event.contains("meaning")) {
    out += fmt::format("\n  {:<12}  {}", "why", event.value("meaning", ""));
  }
  if (event.contains("remedy")) {
    out += fmt::format("\n  {:<12}  {}", "remedy", event.value("remedy", ""));
  }
  return out;
}

Result<int> explain_request(const Cli& cli, const ExplainArguments& given) {
  std::string directory = given.audit;
  if (directory.empty() && !given.config.empty()) {
    directory = TRY(load_node_config(given.config)).audit_directory.string();
  }
  if (directory.empty()) {
    return fail(Code::invalid,
                "--request-id needs --audit DIR (the region's event folder) or "
                "--config node.toml");
  }
  auto folder = TRY(audit::open_disk_folder_read_only(directory));
  Json events = Json::array();
  const auto report = TRY(audit::read_events(*folder, [&](const audit::EventRecord& record) {
    if (audit::facts_of(record.line).request_id == given.request_id) {
      events.push_back(event_facts(record.sequence, record.line));
    }
    return true;
  }));
  if (events.empty()) {
    return fail(Code::not_found,
                fmt::format("{} holds no event of request {} ({} records read). Requests that were "
                            "faulty before they named anything have none; other regions keep their "
                            "own log.",
                            directory, given.request_id, report.records));
  }
  std::string text;
  for (Json& event : events) {
    add_meaning(event);
    text += (text.empty() ? "" : "\n") + event_text(event);
  }
  tell(cli,
       {{"request_id", given.request_id},
        {"events", events},
        {"log_whole", report.problems.empty()}},
       text);
  for (const auto& problem : report.problems) fmt::print(stderr, "domicile: {}\n", problem);
  return 0;
}

// ---- a dry question -----------------------------------------------------------------------------

Result<void> complete(ExplainArguments& given) {
  if (given.config.empty()) {
    if (given.routes.empty() || given.snapshot.empty() || given.region.empty()) {
      return fail(Code::invalid,
                  "a question needs --config node.toml, or --routes, --snapshot and "
                  "--region");
    }
    return {};
  }
  const NodeConfig config = TRY(load_node_config(given.config));
  const auto fill = [](std::string& value, const std::string& otherwise) {
    if (value.empty()) value = otherwise;
  };
  fill(given.routes, config.routes_file.string());
  fill(given.snapshot, (config.state_directory / "registry.snapshot").string());
  fill(given.region, config.region.text());
  fill(given.ca_file, config.peer_ca_file.string());
  if (given.said.roles_file.empty()) given.said.roles_file = config.roles_file;
  return {};
}

std::string trace_text(const Json& json) {
  std::string out;
  for (const Json& step : json["steps"]) {
    const std::string outcome = step.value("outcome", "");
    const std::string_view mark = outcome == "passed" ? "ok" : outcome == "refused" ? "NO" : "-";
    out += fmt::format("{:<4}{}", mark, step.value("asks", ""));
    if (const std::string seen = step.value("seen", ""); !seen.empty()) {
      out += fmt::format("\n      {}", seen);
    }
    out += '\n';
  }
  if (json.value("permitted", false)) return out + "permitted: the door would forward it";
  out += fmt::format("refused: {} {}", json.value("status", 0), json.value("reason", ""));
  for (const auto& [name, label] :
       {std::pair{"meaning", "why"}, {"remedy", "remedy"}, {"home_url", "home"}}) {
    if (const std::string value = json.value(name, ""); !value.empty()) {
      out += fmt::format("\n  {:<7} {}", label, value);
    }
  }
  return out;
}

int verdict(const Cli& cli, Json json) {
  add_meaning(json);
  tell(cli, json, trace_text(json));
  return json.value("permitted", false) ? 0 : 1;
}

Json step_json(std::string_view asks, std::string_view seen, StepOutcome outcome) {
  return {{"asks", asks}, {"seen", seen}, {"outcome", to_string(outcome)}};
}

Json refused_json(std::string_view reason, int status, Json steps) {
  return {
      {"permitted", false}, {"reason", reason}, {"status", status}, {"steps", std::move(steps)}};
}

Result<int> explain_question(const Cli& cli, ExplainArguments given) {
  TRY(complete(given));
  const SystemClock clock;
  const auto policy =
      TRY(policy::RoutePolicy::parse(TRY(read_file(given.routes, 4u << 20)), given.routes));
  const auto snapshot = TRY(registry::load_snapshot(given.snapshot));
  DryQuestion question{.method = given.method,
                       .path = "",
                       .organization_header = given.header,
                       .region = given.region,
                       .principal = {},
                       .now_s = clock.unix_seconds()};
  Json steps = Json::array();
  const std::string raw = given.path.substr(0, given.path.find('?'));
  std::vector<char> scratch(2 * raw.size() + 1);
  wire::CleanPath clean;
  const auto fault =
      raw.starts_with('/') ? wire::clean_path(raw, scratch, clean) : wire::Fault::bad_target;
  const bool readable = fault == wire::Fault::none;
  steps.push_back(step_json("the path has one reading", readable ? clean.decoded : raw,
                            readable ? StepOutcome::passed : StepOutcome::refused));
  if (!readable) {
    return verdict(cli,
                   refused_json(wire::reason_of(fault), wire::status_of(fault), std::move(steps)));
  }
  question.path = clean.decoded;
  if (!given.token_file.empty()) {
    const Secret token = TRY(read_secret_file(given.token_file));
    TokenReading read = read_token(std::string(token.reveal()), *snapshot, given.jwks_file,
                                   given.ca_file, question.now_s);
    const auto match = policy->match(question.method, question.path);
    const bool asked =
        match.rule != nullptr && !match.rule->is_public;  // else the door looks at none
    const std::string seen =
        (read.checked ? "signature checked with keys " : "SIGNATURE NOT CHECKED: ") + read.keys;
    if (asked) {
      steps.push_back(step_json("the token counts",
                                read.principal ? seen : read.principal.error().message,
                                read.principal ? StepOutcome::passed : StepOutcome::refused));
    }
    if (asked && !read.principal) {
      return verdict(cli, refused_json(read.principal.error().reason, 401, std::move(steps)));
    }
    if (read.principal) question.principal = std::move(*read.principal);
  } else if (!given.said.organization.empty()) {
    given.said.region = given.region;
    question.principal = TRY(make_principal(given.said, *snapshot, question.now_s));
  }
  const DecisionTrace trace = trace_decision(*policy, *snapshot, question);
  for (const DecisionStep& step : trace.steps) {
    steps.push_back(step_json(step.asks, step.seen, step.outcome));
  }
  Json json = {{"permitted", trace.permitted}, {"reason", trace.reason}, {"status", trace.status}};
  if (!trace.home_url.empty()) {
    json["home_region"] = trace.home_region;
    json["home_url"] = trace.home_url;
  }
  json["snapshot_revision"] = snapshot->revision();
  json["steps"] = std::move(steps);
  return verdict(cli, std::move(json));
}

Result<int> explain(const Cli& cli, const ExplainArguments& given) {
  const int questions = !given.request_id.empty() + !given.sql_error.empty() + !given.path.empty();
  if (questions != 1) {
    return fail(Code::invalid, "ask one thing: --request-id, --sql-error, or --path with --method");
  }
  if (!given.request_id.empty()) return explain_request(cli, given);
  if (!given.sql_error.empty()) return explain_sql_error(cli, given);
  return explain_question(cli, given);
}

}  // namespace

void add_explain(CLI::App& root, Cli& cli) {
  auto given = std::make_shared<ExplainArguments>();
  auto* verb = root.add_subcommand(
      "explain", "Why was this refused? A request, a database error, or a question");
  verb->add_option("--request-id", given->request_id,
                   "Of a request that was: Domicile-Request-Id of its answer");
  verb->add_option("--sql-error", given->sql_error,
                   "A file with a database error as pasted; -: standard input");
  verb->add_option("--config", given->config,
                   "The node's TOML file: gives the files and the region below");
  verb->add_option("--audit", given->audit, "Event folder of the region")->type_name("DIR");
  verb->add_option("--method", given->method, "A question: the request's method")
      ->default_val("GET");
  verb->add_option("--path", given->path, "A question: the request's path");
  verb->add_option("--organization-header", given->header,
                   "Value of the header in which the route finds its organization");
  verb->add_option("--token-file", given->token_file, "Who asks: an access token (mode 600)")
      ->type_name("FILE");
  verb->add_option("--user", given->said.user, "Who asks, without a token: a name");
  verb->add_option("--org", given->said.organization, "The caller's own organization");
  verb->add_option("--role", given->said.roles, "A role of the caller; several times");
  verb->add_option("--permission", given->said.permissions,
                   "A permission of the caller; several times");
  verb->add_option("--epoch", given->said.epoch,
                   "Epoch of the caller's token; default: the present one");
  verb->add_option("--roles", given->said.roles_file, "The roles file")->type_name("FILE");
  verb->add_option("--region", given->region, "The door's region");
  verb->add_option("--routes", given->routes, "The route file")->type_name("FILE");
  verb->add_option("--snapshot", given->snapshot, "registry.snapshot of a node's state folder")
      ->type_name("FILE");
  verb->add_option("--jwks", given->jwks_file, "The issuer's keys; absent: asked of the issuer")
      ->type_name("FILE");
  verb->add_option("--ca-file", given->ca_file, "Authorities for the issuer's address, PEM")
      ->type_name("FILE");
  verb->footer("Exits 0 when explained or permitted, 1 when refused or not known.");
  verb->callback(cli.run([given, &cli] { return explain(cli, *given); }));
}

}  // namespace domicile::app
