// The analysis as text and as JSON.
#include <cmath>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "app/catalog_analysis.h"
#include "app/text_table.h"

namespace domicile::app {
namespace {

using nlohmann::json;
using store::Amount;
using Lines = std::vector<std::vector<std::string>>;

json to_json(const Amount& amount) {
  return {{"rows", std::llround(amount.rows)}, {"bytes", std::llround(amount.bytes)}};
}

std::string region_name(const std::string& region) {
  return region.empty() ? "(not assigned)" : region;
}

std::string share(double part, double whole) {
  return whole <= 0 ? "-" : fmt::format("{:.1f} %", 100 * part / whole);
}

std::string regions_text(const Analysis& a) {
  Lines rows = {{"  region", "organizations", "rows", "bytes", "largest organization"}};
  for (const RegionPart& part : a.regions) {
    rows.push_back(
        {"  " + region_name(part.region), human_rows(static_cast<double>(part.organizations)),
         human_rows(part.amount.rows), human_bytes(part.amount.bytes),
         part.largest.empty()
             ? ""
             : fmt::format("{} ({})", part.largest, share(part.largest_bytes, part.amount.bytes))});
  }
  return "\nBy region\n" + text_table(rows, {1, 2, 3});
}

std::string organizations_text(const Analysis& a, std::size_t top) {
  Lines rows = {{"  organization", "region", "rows", "bytes", "share", "tables"}};
  for (std::size_t i = 0; i < a.organizations.size() && i < top; ++i) {
    const OrganizationPart& part = a.organizations[i];
    rows.push_back({"  " + part.key, region_name(part.region), human_rows(part.amount.rows),
                    human_bytes(part.amount.bytes),
                    share(part.amount.bytes, a.of_organizations.bytes),
                    std::to_string(part.tables)});
  }
  const std::size_t count = a.organizations.size();
  return fmt::format("\nBy organization ({})\n",
                     count > top ? fmt::format("the largest {} of {}", top, count)
                                 : fmt::format("{}", count)) +
         text_table(rows, {2, 3, 4, 5});
}

std::string tables_text(const Analysis& a, std::size_t top) {
  Lines rows = {{"  table", "class", "rows", "bytes", "organizations", "largest"}};
  for (std::size_t i = 0; i < a.tables.size() && i < top; ++i) {
    const TablePart& part = a.tables[i];
    const std::string about = part.sampled ? "~" : "";
    rows.push_back(
        {"  " + to_string(part.table->name),
         std::string(to_string(part.table->table_class)) + (part.table->open_question() ? "?" : ""),
         part.skipped.empty() ? about + human_rows(part.all.rows) : "?",
         part.skipped.empty() ? about + human_bytes(part.all.bytes) : "?",
         part.organizations == 0 ? "" : std::to_string(part.organizations),
         part.largest.empty()
             ? ""
             : fmt::format("{} ({:.0f} %)", part.largest, 100 * part.largest_share)});
  }
  return fmt::format("\nBy table (the largest {} of {})\n", std::min(top, a.tables.size()),
                     a.tables.size()) +
         text_table(rows, {2, 3, 4});
}

std::string kinds_text(const Analysis& a) {
  const auto line = [](std::string name, const Amount& amount, std::string what) {
    return std::vector<std::string>{"  " + std::move(name), human_rows(amount.rows),
                                    human_bytes(amount.bytes), std::move(what)};
  };
  return "\nWhat goes where\n" +
         text_table(
             {line("organizations' rows", a.of_organizations, "to each organization's region"),
              line("shared rows", a.shared, "copied to every region"),
              line("people", a.people, "to the regions of their organizations"),
              line("machinery", a.system, "stays where it is"),
              line("of nobody", a.unassigned, "cannot be moved until somebody decides")},
             {1, 2});
}

std::string problems_text(const Analysis& a) {
  Lines nobody;
  Lines skipped;
  for (const TablePart& part : a.tables) {
    if (part.unassigned.rows > 0)
      nobody.push_back({"  " + to_string(part.table->name), human_rows(part.unassigned.rows),
                        human_bytes(part.unassigned.bytes), part.unassigned_why});
    if (!part.skipped.empty())
      skipped.push_back({"  " + to_string(part.table->name), part.skipped});
  }
  std::string out;
  if (!nobody.empty()) out += "\nRows of nobody\n" + text_table(nobody, {1, 2});
  if (!skipped.empty()) out += "\nNot read\n" + text_table(skipped);
  if (!a.unknown_assigned.empty()) {
    out += fmt::format("\nAssigned to a region, but not in this database: {}\n",
                       printable(fmt::format("{}", fmt::join(a.unknown_assigned, ", "))));
  }
  return out;
}

std::string people_text(const Analysis& a) {
  if (!a.people_unknown.empty()) {
    return fmt::format("\nWho belongs to organizations of several regions is not known: {}: {}\n",
                       printable(a.members), printable(a.people_unknown));
  }
  if (a.people_by_regions.empty()) return "";
  std::int64_t several = 0;
  std::int64_t all = 0;
  for (const auto& [regions, count] : a.people_by_regions) {
    all += count;
    if (regions > 1) several += count;
  }
  return fmt::format(
      "\nOf {} people with an organization, {} belong to organizations of several "
      "regions (by {}): each of these has a row in each.\n",
      human_rows(static_cast<double>(all)), human_rows(static_cast<double>(several)),
      printable(a.members));
}

}  // namespace

std::string human_bytes(double bytes) {
  static constexpr const char* kUnits[] = {"B", "kB", "MB", "GB", "TB", "PB"};
  std::size_t unit = 0;
  while (bytes >= 999.5 && unit + 1 < std::size(kUnits)) {
    bytes /= 1000;
    ++unit;
  }
  return unit == 0 ? fmt::format("{:.0f} B", bytes)
                   : fmt::format(fmt::runtime(bytes < 9.95 ? "{:.1f} {}" : "{:.0f} {}"), bytes,
                                 kUnits[unit]);
}

std::string human_rows(double rows) {
  std::string digits = std::to_string(std::llround(rows));
  for (std::size_t i = digits.size(); i > 3; i -= 3) digits.insert(i - 3, ",");
  return digits;
}

std::string analysis_text(const Analysis& a, std::size_t top) {
  std::string out = fmt::format("{} organizations in database {}, {} of {} rows in {} tables\n",
                                a.organizations.size(), printable(a.database),
                                human_bytes(a.of_organizations.bytes),
                                human_rows(a.of_organizations.rows), a.tables.size());
  out += kinds_text(a);
  if (a.regions_known) out += regions_text(a);
  out += organizations_text(a, top) + tables_text(a, top) + people_text(a) + problems_text(a);
  if (a.sampled)
    out += "\n~ estimated from a part of the table's pages; --exact reads every row.\n";
  if (!a.regions_known)
    out +=
        "\nWhere each organization is to live is not known: --regions FILE (key,region) or "
        "--placements FILE adds it.\n";
  return out;
}

json analysis_json(const Analysis& a) {
  json out = {{"database", a.database},
              {"of_organizations", to_json(a.of_organizations)},
              {"shared", to_json(a.shared)},
              {"people", to_json(a.people)},
              {"system", to_json(a.system)},
              {"unassigned", to_json(a.unassigned)},
              {"sampled", a.sampled},
              {"regions", json::array()},
              {"organizations", json::array()},
              {"tables", json::array()},
              {"unknown_assigned", a.unknown_assigned}};
  for (const RegionPart& part : a.regions) {
    json region = to_json(part.amount);
    region["region"] = part.region.empty() ? json(nullptr) : json(part.region);
    region["organizations"] = part.organizations;
    region["largest"] = part.largest.empty() ? json(nullptr) : json(part.largest);
    out["regions"].push_back(std::move(region));
  }
  for (const OrganizationPart& part : a.organizations) {
    json organization = to_json(part.amount);
    organization["key"] = part.key;
    organization["region"] = part.region.empty() ? json(nullptr) : json(part.region);
    organization["tables"] = part.tables;
    out["organizations"].push_back(std::move(organization));
  }
  for (const TablePart& part : a.tables) {
    json table = to_json(part.all);
    table["name"] = to_string(part.table->name);
    table["class"] = to_string(part.table->table_class);
    table["open_question"] = part.table->open_question();
    table["organizations"] = part.organizations;
    table["shared"] = to_json(part.shared);
    table["unassigned"] = to_json(part.unassigned);
    table["sampled"] = part.sampled;
    if (!part.largest.empty()) table["largest"] = part.largest;
    if (!part.unassigned_why.empty()) table["unassigned_why"] = part.unassigned_why;
    if (!part.skipped.empty()) table["not_read"] = part.skipped;
    out["tables"].push_back(std::move(table));
  }
  if (!a.people_by_regions.empty()) {
    out["people_by_regions"] = json::object();
    for (const auto& [regions, count] : a.people_by_regions)
      out["people_by_regions"][std::to_string(regions)] = count;
    out["members"] = a.members;
  }
  if (!a.people_unknown.empty()) out["people_unknown"] = a.people_unknown;
  return out;
}

}  // namespace domicile::app
