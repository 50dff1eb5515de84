#include "app/catalog_report.h"

#include <algorithm>
#include <cstdint>
#include <map>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace domicile::app {
namespace {

using catalog::Confidence;
using catalog::Finding;
using catalog::Severity;
using catalog::Table;
using catalog::TableClass;
using nlohmann::json;

constexpr std::size_t kShownPerKind = 6;

constexpr TableClass kClasses[] = {TableClass::organization, TableClass::mixed,
                                   TableClass::person,       TableClass::reference,
                                   TableClass::system,       TableClass::ignored};

std::string clean(std::string_view text) {
  std::string out;
  for (char c : text) out.push_back(static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c);
  return out;
}

std::string name_of(const catalog::QualifiedName& name) {
  return name.name.empty() ? "-" : clean(to_string(name));
}

std::string way_of(const Table& table) {
  if (!table.key.empty()) return table.key;
  if (!table.path.empty()) {
    std::string out;
    for (const auto& step : table.path) out += (out.empty() ? "" : ", ") + to_string(step);
    return out;
  }
  if (table.table_class == TableClass::person) return table.person;
  return table.of_organization() ? "?" : "";
}

std::string decided(const Table& table) {
  return table.proposed ? std::string(to_string(*table.proposed)) : "decided";
}

std::string plural(std::size_t count, std::string_view noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

// Columns as wide as their longest text; the last one runs on.
std::string aligned(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string out;
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      line += i + 1 == row.size() ? row[i] : fmt::format("{:<{}}  ", row[i], widths[i]);
    }
    while (line.ends_with(' ')) line.pop_back();
    out += line + "\n";
  }
  return out;
}

std::string counts_text(const catalog::Catalog& catalog) {
  std::map<std::pair<TableClass, int>, int>
      counts;  // by class, and certain, likely, unsure or decided
  for (const Table& table : catalog.tables)
    ++counts[{table.table_class, table.proposed ? static_cast<int>(*table.proposed) : 3}];
  std::vector<std::vector<std::string>> rows = {
      {"  class", "decided", "certain", "likely", "unsure", "tables"}};
  for (TableClass each : kClasses) {
    int sum = 0;
    const auto at = [&](int column) {
      const auto found = counts.find({each, column});
      const int count = found == counts.end() ? 0 : found->second;
      sum += count;
      return count == 0 ? std::string("-") : std::to_string(count);
    };
    std::vector<std::string> row = {"  " + std::string(to_string(each)), at(3), at(0), at(1),
                                    at(2)};
    if (sum == 0) continue;
    row.push_back(std::to_string(sum));
    rows.push_back(std::move(row));
  }
  return aligned(rows);
}

std::string questions_text(const catalog::Catalog& catalog) {
  std::string out;
  std::size_t count = 0;
  for (const Table& table : catalog.tables) {
    if (!table.open_question()) continue;
    ++count;
    out += fmt::format(
        "  {} (best guess: {}{})\n", name_of(table.name), to_string(table.table_class),
        way_of(table).empty() || way_of(table) == "?" ? "" : " by " + clean(way_of(table)));
    for (const std::string& why : table.why) out += fmt::format("      {}\n", clean(why));
  }
  if (count == 0) return "";
  return fmt::format("\nQuestions: {} only you can decide; {} stay{} closed until then\n{}",
                     plural(count, "table"), count == 1 ? "it" : "they", count == 1 ? "s" : "",
                     out);
}

std::string_view verb_of(catalog::Change::Kind kind) {
  switch (kind) {
    case catalog::Change::Kind::added: return "added";
    case catalog::Change::Kind::changed: return "changed";
    case catalog::Change::Kind::removed: return "removed";
  }
  return "changed";
}

std::string changes_text(const catalog::Proposal& proposal) {
  if (proposal.changes.empty()) return "\nNothing changed since the last scan.\n";
  std::vector<std::vector<std::string>> rows;
  for (const auto& change : proposal.changes) {
    rows.push_back(
        {"  " + std::string(verb_of(change.kind)), name_of(change.table), clean(change.what)});
  }
  return fmt::format("\nChanges: {}\n{}", proposal.changes.size(), aligned(rows));
}

}  // namespace

json to_json(const Table& table, const catalog::TableShape* shape) {
  json out = {{"name", to_string(table.name)},
              {"class", to_string(table.table_class)},
              {"mode", to_string(table.mode)},
              {"decided_by", table.decided_by_person() ? "person" : "proposed"}};
  if (table.proposed) out["confidence"] = to_string(*table.proposed);
  if (!table.key.empty()) out["key"] = table.key;
  for (const auto& step : table.path) out["path"].push_back(to_string(step));
  if (!table.person.empty()) out["person"] = table.person;
  for (const auto& [column, label] : table.personal) out["personal"][column] = label;
  for (const auto& [column, rule] : table.links) out["links"][column] = to_string(rule);
  if (!table.reason.empty()) out["reason"] = table.reason;
  if (!table.note.empty()) out["note"] = table.note;
  if (table.planned) out["planned"] = true;
  if (!table.why.empty()) out["why"] = table.why;
  if (shape != nullptr) {
    out["rows_estimate"] =
        shape->rows < 0 ? json(nullptr) : json(static_cast<std::int64_t>(shape->rows));
    out["bytes_estimate"] = shape->bytes;
  }
  return out;
}

json to_json(const Finding& finding) {
  return {{"severity", to_string(finding.severity)},
          {"table", finding.table.name.empty() ? "" : to_string(finding.table)},
          {"kind", finding.kind},
          {"message", finding.message},
          {"remedy", finding.remedy}};
}

json catalog_json(const catalog::Catalog& catalog) {
  json out = {{"version", 1},
              {"key_type", domain::to_string(catalog.key_type)},
              {"root", catalog.root ? json(to_string(*catalog.root)) : json(nullptr)},
              {"schemas", catalog.schemas},
              {"default_mode", to_string(catalog.default_mode)},
              {"tables", json::array()}};
  for (const Table& table : catalog.tables) out["tables"].push_back(to_json(table, nullptr));
  return out;
}

json scan_json(const catalog::Proposal& proposal, const catalog::Schema& schema,
               const store::FactsRead& facts) {
  json out = catalog_json(proposal.catalog);
  out["database"] = schema.database;
  out["server_version"] = schema.server_version;
  out["root_why"] = proposal.root_why;
  out["tables"] = json::array();
  for (const Table& table : proposal.catalog.tables)
    out["tables"].push_back(to_json(table, schema.find(table.name)));
  for (const char* list : {"findings", "changes", "not_looked_at"}) out[list] = json::array();
  for (const Finding& finding : proposal.findings) out["findings"].push_back(to_json(finding));
  for (const auto& change : proposal.changes) {
    out["changes"].push_back({{"change", verb_of(change.kind)},
                              {"table", to_string(change.table)},
                              {"what", change.what}});
  }
  for (const auto& [table, why] : facts.skipped)
    out["not_looked_at"].push_back({{"table", to_string(table)}, {"why", why}});
  return out;
}

std::string findings_text(const std::vector<Finding>& findings, std::size_t per_kind) {
  std::string out;
  std::map<std::pair<Severity, std::string>, std::size_t> counts;
  for (const Finding& finding : findings) {
    if (++counts[{finding.severity, finding.kind}] > per_kind) continue;
    out += fmt::format("  {:<8} {}: {}", to_string(finding.severity), name_of(finding.table),
                       clean(finding.message));
    if (!finding.remedy.empty()) out += "; " + clean(finding.remedy);
    out += fmt::format(" [{}]\n", finding.kind);
  }
  for (const auto& [kind, count] : counts) {
    if (count > per_kind)
      out += fmt::format("  ... and {} more [{}]: see --output json, or --all\n", count - per_kind,
                         kind.second);
  }
  return out;
}

std::string scan_text(const ScanReport& report) {
  const auto& catalog = report.proposal.catalog;
  std::string out =
      fmt::format("{} in database {} (schemas {}; PostgreSQL {}.{})\n",
                  plural(report.schema.classifiable().size(), "table"),
                  clean(report.schema.database), fmt::join(catalog.schemas, ", "),
                  report.schema.server_version / 10000, report.schema.server_version % 10000);
  if (catalog.root) {
    out += fmt::format("Organizations are the rows of {} (key {}{}{})\n\n", name_of(*catalog.root),
                       domain::to_string(catalog.key_type),
                       report.proposal.root_why.empty() ? "" : ": ",
                       clean(fmt::format("{}", fmt::join(report.proposal.root_why, ", "))));
  } else {
    out += fmt::format("No table lists the organizations (key {}: {})\n\n",
                       domain::to_string(catalog.key_type),
                       clean(fmt::format("{}", fmt::join(report.proposal.root_why, ", "))));
  }
  out += counts_text(catalog) + questions_text(catalog);
  std::vector<Finding> loud;
  std::vector<Finding> notes;
  std::map<std::string, std::size_t> quiet;
  for (const Finding& finding : report.proposal.findings) {
    if (finding.severity == Severity::note) {
      ++quiet[finding.kind];
      notes.push_back(finding);
    } else {
      loud.push_back(finding);
    }
  }
  if (!loud.empty())
    out += fmt::format("\nFindings: {}\n{}", loud.size(),
                       findings_text(loud, report.all ? SIZE_MAX : kShownPerKind));
  if (!quiet.empty() && !report.all) {
    out += "\nNotes (--all prints them):";
    for (const auto& [kind, count] : quiet) out += fmt::format(" {} {}", count, kind);
    out += "\n";
  } else if (!quiet.empty()) {
    out += "\nNotes:\n" + findings_text(notes, SIZE_MAX);
  }
  if (report.merged) out += changes_text(report.proposal);
  if (!report.sampled)
    out +=
        "\nNo rows were looked at (--sample-rows 0): keys that may be NULL could not be judged.\n";
  if (!report.facts.skipped.empty()) {
    out += fmt::format("\nRows not looked at: {}\n", plural(report.facts.skipped.size(), "table"));
    for (const auto& [table, why] : report.facts.skipped)
      out += fmt::format("  {}: {}\n", name_of(table), clean(why));
  }
  return out;
}

std::string tables_text(const std::vector<const Table*>& tables) {
  std::vector<std::vector<std::string>> rows = {{"table", "class", "mode", "", "by"}};
  for (const Table* table : tables) {
    rows.push_back({name_of(table->name), std::string(to_string(table->table_class)),
                    std::string(to_string(table->mode)), decided(*table), clean(way_of(*table))});
  }
  return aligned(rows);
}

std::string table_text(const Table& table) { return to_toml(table, catalog::Mode::off); }

}  // namespace domicile::app
