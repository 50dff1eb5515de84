// domicile audit query: questions to the index of the log, ready ones and one's own.
#include "app/cmd_audit_query.h"

#include <map>
#include <memory>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <pwd.h>
#include <unistd.h>

#include "app/dsn_option.h"
#include "app/text_table.h"
#include "logindex/query.h"
#include "logindex/question.h"

namespace domicile::app {
namespace {

using Json = nlohmann::ordered_json;

struct QueryArguments {
  std::string question;
  std::string sql;
  std::string dsn;
  std::string dsn_file;
  std::vector<std::string> set;
  std::string from = "-infinity";
  std::string to = "infinity";
  std::string person;
  std::string format = "table";
  std::size_t limit = 1'000;
  unsigned timeout_s = 60;
};

int list_questions(const std::vector<logindex::Question>& all, const Cli& cli) {
  Json out = Json::array();
  for (const auto& question : all) {
    Json parameters = Json::array();
    if (!cli.json) print(fmt::format("{}\n    {}", question.name, question.title));
    for (const auto& parameter : question.parameters) {
      if (cli.json) {
        parameters.push_back({{"name", parameter.name},
                              {"type", parameter.type},
                              {"required", !parameter.otherwise},
                              {"default", parameter.otherwise.value_or("")},
                              {"help", parameter.help}});
        continue;
      }
      print(fmt::format(
          "    --set {}={}  {}", parameter.name,
          parameter.otherwise ? fmt::format("... (else {})", *parameter.otherwise) : "... (needed)",
          parameter.help));
    }
    out.push_back({{"name", question.name}, {"title", question.title}, {"parameters", parameters}});
  }
  if (cli.json) print(out.dump());
  return 0;
}

Result<std::map<std::string, std::string>> given_parameters(const std::vector<std::string>& set) {
  std::map<std::string, std::string> out;
  for (const std::string& item : set) {
    const auto equals = item.find('=');
    if (equals == item.npos || equals == 0) {
      return fail(Code::invalid, fmt::format("--set {}: write --set NAME=VALUE", item));
    }
    out[item.substr(0, equals)] = item.substr(equals + 1);
  }
  return out;
}

std::string account() {
  const passwd* entry = ::getpwuid(::geteuid());
  return entry != nullptr ? std::string(entry->pw_name) : fmt::format("uid {}", ::geteuid());
}

Result<logindex::Ask> ask_of(const QueryArguments& arguments) {
  logindex::Ask ask;
  ask.rows_most = arguments.limit;
  ask.time_most = std::chrono::seconds(arguments.timeout_s);
  ask.person = arguments.person.empty() ? account() : arguments.person;
  if (!arguments.sql.empty()) {
    if (!arguments.question.empty()) {
      return fail(Code::invalid, "a ready question and --sql are both given; keep one");
    }
    ask.sql = arguments.sql;
    ask.question = "sql";
    return ask;
  }
  if (arguments.question.empty()) {
    return fail(
        Code::invalid,
        "ask something: a ready question (domicile audit query list) or --sql \"SELECT ...\"");
  }
  const auto question = TRY(logindex::question_named(arguments.question));
  const auto given = TRY(given_parameters(arguments.set));
  ask.sql = question.sql;
  ask.question = question.name;
  ask.parameters = TRY(logindex::bind(question, arguments.from, arguments.to, given));
  if (const auto at = given.find("organization"); at != given.end()) ask.organization = at->second;
  return ask;
}

Json json_of(const logindex::Answer& answer, const std::string& question) {
  Json rows = Json::array();
  for (const auto& row : answer.rows) {
    Json out = Json::object();
    for (std::size_t c = 0; c < row.size(); ++c) {
      const auto& column = answer.columns[c];
      if (!row[c]) {
        out[column.name] = nullptr;
      } else if (column.number) {
        out[column.name] = Json::parse(*row[c]);
      } else {
        out[column.name] = *row[c];
      }
    }
    rows.push_back(std::move(out));
  }
  return {{"question", question},
          {"rows", std::move(rows)},
          {"more", answer.more},
          {"first_sequence", answer.first_sequence},
          {"last_sequence", answer.last_sequence}};
}

void print_table(const logindex::Answer& answer) {
  std::vector<std::vector<std::string>> rows(1);
  std::vector<std::size_t> right;
  for (std::size_t c = 0; c < answer.columns.size(); ++c) {
    rows[0].push_back(answer.columns[c].name);
    if (answer.columns[c].number) right.push_back(c);
  }
  for (const auto& row : answer.rows) {
    auto& out = rows.emplace_back();
    for (const auto& cell : row) out.push_back(cell.value_or("-"));
  }
  std::string text = text_table(rows, right);
  if (text.ends_with('\n')) text.pop_back();
  print(text);
}

Result<int> query(const QueryArguments& arguments, const Cli& cli) {
  if (arguments.question == "list") return list_questions(TRY(logindex::questions()), cli);
  const auto question = TRY(ask_of(arguments));
  const auto dsn = TRY(database_dsn(arguments.dsn, arguments.dsn_file));
  const auto answer = TRY(logindex::ask(dsn, question));
  if (cli.json || arguments.format == "json") {
    print(json_of(answer, question.question).dump(-1, ' ', false, Json::error_handler_t::replace));
  } else if (arguments.format == "csv") {
    const std::string text = logindex::csv(answer);
    std::fwrite(text.data(), 1, text.size(), stdout);
  } else {
    print_table(answer);
  }
  if (!cli.quiet) {
    fmt::print(stderr, "{} rows{}; the question is on record\n", answer.rows.size(),
               answer.more ? ", and more: raise --limit or ask for less" : "");
  }
  return 0;
}

}  // namespace

void add_audit_query(CLI::App& noun, Cli& cli) {
  auto arguments = std::make_shared<QueryArguments>();
  auto* verb = noun.add_subcommand(
      "query",
      "Ask the index: a ready question (list shows them) or --sql; each is itself an event");
  verb->add_option("question", arguments->question, "A ready question, or list");
  verb->add_option("--sql", arguments->sql, "A SELECT of your own over domicile_index.event");
  verb->add_option("--set", arguments->set, "NAME=VALUE, a parameter of a ready question")
      ->allow_extra_args(false);
  verb->add_option("--from", arguments->from, "From this time on (2026-11-22T20:31:05Z)");
  verb->add_option("--to", arguments->to, "Before this time");
  verb->add_option("--dsn-file", arguments->dsn_file, "The index's reader (mode 0600)");
  verb->add_option("--dsn", arguments->dsn, "... or its address, without a password");
  verb->add_option("--person", arguments->person, "Who asks; else the account this runs under");
  verb->add_option("--limit", arguments->limit, "At most so many rows")
      ->check(CLI::Range(1, 1'000'000));
  verb->add_option("--timeout-s", arguments->timeout_s, "At most so many seconds")
      ->check(CLI::Range(1, 3'600));
  verb->add_option("--format", arguments->format, "table, json or csv")
      ->check(CLI::IsMember({"table", "json", "csv"}));
  verb->callback(cli.run([=, &cli] { return query(*arguments, cli); }));
}

}  // namespace domicile::app
