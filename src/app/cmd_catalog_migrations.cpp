#include "app/cmd_catalog_migrations.h"

#include <algorithm>
#include <filesystem>
#include <map>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "catalog/migration_check.h"

namespace domicile::app {
namespace {

namespace fs = std::filesystem;
using catalog::MigrationFinding;
using catalog::Outcome;
using catalog::Severity;
using nlohmann::json;

constexpr std::size_t kFilesMax = 50'000;
constexpr std::size_t kFileBytesMax = 64u << 20;

bool of_interest(const fs::path& path) {
  static const std::vector<std::string> known = {".sql", ".py", ".rb", ".xml", ".yaml",
                                                 ".yml", ".ts", ".js", ".java"};
  return std::ranges::find(known, path.extension().string()) != known.end();
}

Result<void> read_into(const fs::path& path, std::vector<catalog::SourceFile>& files) {
  auto text = read_file(path.string(), kFileBytesMax);
  if (!text) return std::unexpected(Error{Code::invalid, text.error().message, "migrations"});
  files.push_back({path.generic_string(), *std::move(text)});
  return {};
}

Result<std::vector<catalog::SourceFile>> read_files(const std::vector<std::string>& paths) {
  std::vector<catalog::SourceFile> files;
  for (const std::string& given : paths) {
    std::error_code error;
    if (!fs::exists(given, error))
      return fail(Code::invalid, fmt::format("--migrations: there is no file or folder {}", given));
    if (!fs::is_directory(given, error)) {
      TRY(read_into(given, files));
      continue;
    }
    std::vector<fs::path> found;
    fs::recursive_directory_iterator at(given, error);
    for (; !error && at != fs::recursive_directory_iterator(); at.increment(error)) {
      const auto name = at->path().filename().string();
      if (at->is_directory(error)) {
        if (name.starts_with(".") || name == "node_modules" || name == "__pycache__")
          at.disable_recursion_pending();
      } else if (of_interest(at->path())) {
        found.push_back(at->path());
      }
      if (found.size() > kFilesMax)
        return fail(Code::invalid, fmt::format("{} holds more than {} files", given, kFilesMax));
    }
    if (error) return fail(Code::invalid, fmt::format("{}: {}", given, error.message()));
    std::ranges::sort(found);
    for (const auto& path : found) TRY(read_into(path, files));
  }
  return files;
}

std::string place_of(const MigrationFinding& finding) {
  return fmt::format("{}:{}", finding.path, finding.line);
}

std::string text_of(const catalog::MigrationReport& report, bool ok) {
  std::string out;
  std::map<Outcome, std::size_t> count;
  for (const auto& finding : report.findings) {
    ++count[finding.outcome];
    out += fmt::format("{}: {}: {}{}{} [{}{}]\n    {}\n", place_of(finding),
                       catalog::to_string(finding.severity), finding.object,
                       finding.object.empty() ? "" : ": ", finding.message,
                       finding.outcome == Outcome::advice
                           ? ""
                           : fmt::format("{}, ", catalog::to_string(finding.outcome)),
                       finding.kind, finding.remedy);
  }
  out += fmt::format(
      "{}{}: {} migrations, {} statements: {} refused, {} fail, {} leave a table closed, "
      "{} reported, {} to look at\n",
      out.empty() ? "" : "\n", ok ? "ok" : "failed", report.migrations, report.statements,
      count[Outcome::refused], count[Outcome::fails], count[Outcome::closed],
      count[Outcome::reported], count[Outcome::advice]);
  return out;
}

json finding_json(const MigrationFinding& finding) {
  return {{"severity", catalog::to_string(finding.severity)},
          {"outcome", catalog::to_string(finding.outcome)},
          {"kind", finding.kind},
          {"file", finding.path},
          {"line", finding.line},
          {"object", finding.object},
          {"message", finding.message},
          {"remedy", finding.remedy}};
}

// GitHub's workflow commands; GitLab and others read them as plain lines.
std::string escaped(std::string_view text, bool property) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '%': out += "%25"; break;
      case '\r': out += "%0D"; break;
      case '\n': out += "%0A"; break;
      case ':': out += property ? "%3A" : ":"; break;
      case ',': out += property ? "%2C" : ","; break;
      default: out += c;
    }
  }
  return out;
}

std::string github(const catalog::MigrationReport& report) {
  std::string out;
  for (const auto& finding : report.findings) {
    out += fmt::format(
        "::{} file={},line={},title={}::{}\n",
        finding.severity == Severity::error     ? "error"
        : finding.severity == Severity::warning ? "warning"
                                                : "notice",
        escaped(finding.path, true), finding.line, escaped("domicile: " + finding.kind, true),
        escaped(fmt::format("{}{}{}; {}", finding.object, finding.object.empty() ? "" : ": ",
                            finding.message, finding.remedy),
                false));
  }
  return out;
}

json sarif(const catalog::MigrationReport& report) {
  json results = json::array();
  std::map<std::string, json> rules;
  for (const auto& finding : report.findings) {
    rules[finding.kind] = {{"id", finding.kind}};
    results.push_back(
        {{"ruleId", finding.kind},
         {"level", finding.severity == Severity::error     ? "error"
                   : finding.severity == Severity::warning ? "warning"
                                                           : "note"},
         {"message",
          {{"text", fmt::format("{}{}{}; {}", finding.object, finding.object.empty() ? "" : ": ",
                                finding.message, finding.remedy)}}},
         {"locations",
          {{{"physicalLocation",
             {{"artifactLocation", {{"uri", finding.path}}},
              {"region", {{"startLine", std::max<std::size_t>(finding.line, 1)}}}}}}}}});
  }
  json listed = json::array();
  for (const auto& [id, rule] : rules) listed.push_back(rule);
  return {{"$schema", "https://json.schemastore.org/sarif-2.1.0.json"},
          {"version", "2.1.0"},
          {"runs",
           {{{"tool", {{"driver", {{"name", "domicile"}, {"rules", listed}}}}},
             {"results", results}}}}};
}

}  // namespace

void add_migration_options(CLI::App& verb, MigrationOptions& options) {
  verb.add_option("--migrations", options.paths,
                  "Judge these migrations before they run, without a database: a folder or a file "
                  "(repeatable)");
  verb.add_option("--since", options.since,
                  "With --migrations: judge only those after this one (a path, or its last part)");
  verb.add_option(
      "--owner", options.owner,
      "With --migrations: the role that owns the tables, so that OWNER TO it is no change");
  verb.add_option("--search-path", options.search_path,
                  "With --migrations: schemas of unqualified names (default: the catalog's only "
                  "schema, else public)");
  verb.add_option("--placeholder", options.placeholders,
                  "With --migrations: value of Flyway's ${name}, as name=value (repeatable)");
  verb.add_flag("--no-transaction", options.no_transaction,
                "With --migrations: plain SQL files run statement by statement");
  verb.add_option("--format", options.format,
                  "With --migrations: text, github (annotations) or sarif")
      ->check(CLI::IsMember({"text", "github", "sarif"}))
      ->capture_default_str();
}

Result<int> check_migrations(const catalog::Catalog& catalog, const MigrationOptions& options,
                             bool strict, const Cli& cli) {
  catalog::MigrationFileOptions arranging{.no_transactions = options.no_transaction};
  for (const std::string& given : options.placeholders) {
    const auto equals = given.find('=');
    if (equals == std::string::npos || equals == 0)
      return fail(Code::invalid, fmt::format("--placeholder {}: write name=value", given));
    arranging.placeholders[given.substr(0, equals)] = given.substr(equals + 1);
  }
  auto set = TRY(catalog::arrange_migrations(TRY(read_files(options.paths)), arranging));
  if (set.migrations.empty()) {
    std::string why = "there is no SQL in it";
    if (!set.unread.empty())
      why = fmt::format("{} is {}, not SQL; {}", set.unread[0].path, set.unread[0].what,
                        set.unread[0].remedy);
    return fail(Code::invalid,
                fmt::format("--migrations {}: {}", fmt::join(options.paths, ", "), why));
  }
  auto report = TRY(catalog::check_migrations(
      catalog, set,
      {.owner = options.owner, .since = options.since, .search_path = options.search_path}));
  for (const auto& file : set.unread) {
    report.findings.push_back({.severity = Severity::error,
                               .kind = "unread",
                               .path = file.path,
                               .line = 1,
                               .message = file.what + ", not SQL: it was not looked at",
                               .remedy = file.remedy});
  }
  const bool ok = std::ranges::none_of(report.findings, [&](const MigrationFinding& f) {
    return f.severity == Severity::error || (strict && f.severity == Severity::warning);
  });
  if (cli.json) {
    json out = {{"ok", ok},
                {"migrations", report.migrations},
                {"statements", report.statements},
                {"findings", json::array()}};
    for (const auto& finding : report.findings) out["findings"].push_back(finding_json(finding));
    print(out.dump(2, ' ', false, json::error_handler_t::replace));
  } else if (options.format == "sarif") {
    print(sarif(report).dump(2, ' ', false, json::error_handler_t::replace));
  } else {
    if (options.format == "github") fmt::print("{}", github(report));
    fmt::print("{}", text_of(report, ok));
  }
  return ok ? 0 : 1;
}

}  // namespace domicile::app
