#include "app/catalog_page.h"

#include <algorithm>

#include <fmt/format.h>

#include "app/catalog_picture.h"
#include "http/html.h"

namespace domicile::app {
namespace {

using http::escaped;

using catalog::Table;
using catalog::TableClass;

constexpr std::size_t kOrganizationsShown = 500;

constexpr std::string_view kStyle = R"css(
:root{--ink:#1c2330;--soft:#5b6472;--line:#d9dee6;--paper:#fff;--wash:#f5f7fa;
--organization:#2f6fdb;--mixed:#8a4fd0;--person:#c2571a;--reference:#1f8a53;--system:#6b7280;--ignored:#9aa1ab}
@media(prefers-color-scheme:dark){:root{--ink:#e6e9ef;--soft:#9aa5b5;--line:#38414f;--paper:#161b22;--wash:#1e252f;
--organization:#5b93f0;--mixed:#ae80e8;--person:#e0854e;--reference:#46b37c;--system:#8b94a3;--ignored:#6f7886}}
*{box-sizing:border-box}body{margin:0 auto;max-width:76rem;padding:1.5rem;background:var(--paper);color:var(--ink);
font:15px/1.5 system-ui,sans-serif}h1{font-size:1.5rem;margin:0}h2{font-size:1.15rem;margin:2.2rem 0 .6rem}
p{margin:.4rem 0;color:var(--soft)}table{border-collapse:collapse;width:100%;font-size:14px}
th,td{text-align:left;padding:.3rem .7rem .3rem 0;border-bottom:1px solid var(--line);vertical-align:top;overflow-wrap:anywhere}
th{font-weight:600;color:var(--soft)}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.tiles{display:flex;flex-wrap:wrap;gap:.8rem;margin:1.2rem 0}.tile{background:var(--wash);border-radius:6px;padding:.7rem 1rem;min-width:9rem}
.tile b{display:block;font-size:1.3rem}.tile span{color:var(--soft);font-size:13px}
.frame{overflow:auto;border:1px solid var(--line);border-radius:6px;max-height:80vh}
svg.schema{display:block}svg text{font:12px system-ui,sans-serif;fill:#fff}svg text.heading{fill:var(--soft)}
svg rect{fill:var(--system)}.keys path{fill:none;stroke:var(--soft);stroke-opacity:.22}.keys path.way{stroke:var(--organization);stroke-opacity:.5}
.organization rect{fill:var(--organization)}.mixed rect{fill:var(--mixed)}.person rect{fill:var(--person)}
.reference rect{fill:var(--reference)}.ignored rect{fill:var(--ignored)}
.question rect{fill-opacity:.18;stroke:#d99a00;stroke-width:2;stroke-dasharray:4 3}.question text{fill:var(--ink)}
.badge{display:inline-block;border-radius:3px;padding:0 .45rem;color:#fff;font-size:12.5px}
.badge.organization{background:var(--organization)}.badge.mixed{background:var(--mixed)}.badge.person{background:var(--person)}
.badge.reference{background:var(--reference)}.badge.system{background:var(--system)}.badge.ignored{background:var(--ignored)}
.badge.question{background:none;color:var(--ink);border:1.5px dashed #d99a00}
.error{color:#c62828;font-weight:600}.warning{color:#b26a00;font-weight:600}.note{color:var(--soft)}
code{font:13px ui-monospace,monospace}summary{cursor:pointer;color:var(--soft)}
)css";

std::string tile(const std::string& value, std::string_view what) {
  return fmt::format("<div class=\"tile\"><b>{}</b><span>{}</span></div>", escaped(value),
                     escaped(what));
}

std::string badge(const Table& table) {
  return table.open_question()
             ? fmt::format("<span class=\"badge question\">{}?</span>",
                           to_string(table.table_class))
             : fmt::format("<span class=\"badge {0}\">{0}</span>", to_string(table.table_class));
}

std::string cell(const std::string& text) { return "<td>" + escaped(text) + "</td>"; }
std::string number(const std::string& text) { return "<td class=\"n\">" + escaped(text) + "</td>"; }

std::string way(const Table& table) {
  if (!table.key.empty()) return "<code>" + escaped(table.key) + "</code>";
  std::string out;
  for (const auto& step : table.path)
    out += fmt::format("{}<code>{}</code>", out.empty() ? "" : "<br>", escaped(to_string(step)));
  if (out.empty() && !table.person.empty()) return "<code>" + escaped(table.person) + "</code>";
  return out;
}

class Page {
 public:
  Page(const Scanned& scanned, const Analysis& analysis)
      : catalog_(scanned.proposal.catalog), scanned_(scanned), analysis_(analysis) {}

  std::string write() {
    out_ = fmt::format(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
        "'unsafe-inline'\">\n<meta name=\"viewport\" content=\"width=device-width\">\n"
        "<title>{0}: who has what</title>\n<style>{1}</style></head><body>\n"
        "<h1>{0}: who has what</h1>\n",
        escaped(scanned_.schema.database), kStyle);
    head();
    picture();
    regions();
    organizations();
    questions();
    findings();
    tables();
    return std::move(out_) + "</body></html>\n";
  }

 private:
  void head() {
    out_ +=
        fmt::format("<p>PostgreSQL {}.{}, schemas {}. {}</p>\n",
                    scanned_.schema.server_version / 10000, scanned_.schema.server_version % 10000,
                    escaped(fmt::format("{}", fmt::join(catalog_.schemas, ", "))),
                    catalog_.root ? "Organizations are the rows of <code>" +
                                        escaped(to_string(*catalog_.root)) + "</code>."
                                  : "No table lists the organizations.");
    const auto asked = std::ranges::count_if(catalog_.tables, &Table::open_question);
    out_ += "<div class=\"tiles\">" +
            tile(human_rows(static_cast<double>(catalog_.tables.size())), "tables") +
            tile(human_rows(static_cast<double>(asked)), "questions to answer") +
            tile(human_rows(static_cast<double>(analysis_.organizations.size())), "organizations") +
            tile(human_bytes(analysis_.of_organizations.bytes), "of organizations") +
            tile(human_bytes(analysis_.shared.bytes), "shared, for every region") +
            tile(human_bytes(analysis_.unassigned.bytes), "of nobody: decide before moving") +
            "</div>\n";
    if (analysis_.sampled)
      out_ += "<p>~ stands before what was estimated from a part of a table's pages.</p>\n";
  }

  void picture() {
    out_ += "<h2>The schema</h2>\n<p>";
    for (TableClass each : {TableClass::organization, TableClass::mixed, TableClass::person,
                            TableClass::reference, TableClass::system, TableClass::ignored}) {
      const auto count = std::ranges::count(catalog_.tables, each, &Table::table_class);
      if (count > 0)
        out_ +=
            fmt::format("<span class=\"badge {0}\">{0}</span> {1} &nbsp; ", to_string(each), count);
    }
    out_ +=
        "<span class=\"badge question\">question</span> closed until decided. Blue lines lead to "
        "the organization.</p>\n<div class=\"frame\">" +
        schema_picture(catalog_, scanned_.schema) + "</div>\n";
  }

  void regions() {
    if (!analysis_.regions_known) return;
    out_ +=
        "<h2>Regions</h2>\n<table><tr><th>region<th class=\"n\">organizations<th class=\"n\">rows"
        "<th class=\"n\">bytes<th>largest organization</tr>\n";
    for (const RegionPart& part : analysis_.regions) {
      out_ += "<tr>" + cell(part.region.empty() ? "(not assigned)" : part.region) +
              number(human_rows(static_cast<double>(part.organizations))) +
              number(human_rows(part.amount.rows)) + number(human_bytes(part.amount.bytes)) +
              cell(part.largest) + "</tr>\n";
    }
    out_ += "</table>\n";
  }

  void organizations() {
    const auto& all = analysis_.organizations;
    out_ += fmt::format(
        "<h2>Organizations</h2>\n<details{}><summary>{} of {}, largest first</summary>"
        "<table><tr><th>key<th>region<th class=\"n\">rows<th class=\"n\">bytes<th "
        "class=\"n\">tables</tr>\n",
        all.size() <= 30 ? " open" : "", std::min(all.size(), kOrganizationsShown), all.size());
    for (std::size_t i = 0; i < all.size() && i < kOrganizationsShown; ++i) {
      out_ += "<tr>" + cell(all[i].key) + cell(all[i].region) +
              number(human_rows(all[i].amount.rows)) + number(human_bytes(all[i].amount.bytes)) +
              number(std::to_string(all[i].tables)) + "</tr>\n";
    }
    out_ += "</table></details>\n";
  }

  void questions() {
    out_ += "<h2>Questions</h2>\n";
    std::string rows;
    for (const Table& table : catalog_.tables) {
      if (!table.open_question()) continue;
      rows += "<tr>" + cell(to_string(table.name)) + "<td>" + badge(table) + "</td>" +
              cell(fmt::format("{}", fmt::join(table.why, "; "))) + "</tr>\n";
    }
    out_ += rows.empty() ? "<p>None.</p>\n"
                         : "<table><tr><th>table<th>best guess<th>why it is a question</tr>\n" +
                               rows + "</table>\n";
  }

  void findings() {
    out_ += "<h2>Findings</h2>\n";
    std::string loud;
    std::string notes;
    std::size_t quiet = 0;
    for (const catalog::Finding& finding : scanned_.proposal.findings) {
      const bool note = finding.severity == catalog::Severity::note;
      quiet += note;
      (note ? notes : loud) +=
          fmt::format("<tr><td class=\"{0}\">{0}</td>{1}{2}{3}</tr>\n", to_string(finding.severity),
                      cell(finding.table.name.empty() ? "" : to_string(finding.table)),
                      cell(finding.message), cell(finding.remedy));
    }
    const std::string heading = "<table><tr><th><th>table<th>what<th>what to do</tr>\n";
    out_ += loud.empty() ? "<p>No errors and no warnings.</p>\n" : heading + loud + "</table>\n";
    if (quiet > 0)
      out_ += fmt::format("<details><summary>{} notes</summary>{}{}</table></details>\n", quiet,
                          heading, notes);
  }

  void tables() {
    out_ +=
        "<h2>Tables</h2>\n<table><tr><th>table<th>class<th>by<th>sure<th class=\"n\">rows<th "
        "class=\"n\">bytes<th class=\"n\">of nobody<th>personal columns</tr>\n";
    for (const TablePart& part : analysis_.tables) {
      const Table& table = *part.table;
      std::string personal;
      for (const auto& each : table.personal)
        personal += (personal.empty() ? "" : ", ") + each.column;
      const std::string about = part.sampled ? "~" : "";
      out_ += "<tr>" + cell(to_string(table.name)) + "<td>" + badge(table) + "</td><td>" +
              way(table) + "</td>" +
              cell(table.proposed ? std::string(to_string(*table.proposed)) : "decided") +
              number(part.skipped.empty() ? about + human_rows(part.all.rows) : "not read") +
              number(part.skipped.empty() ? about + human_bytes(part.all.bytes) : "") +
              number(part.unassigned.rows > 0 ? human_rows(part.unassigned.rows) : "") +
              cell(personal) + "</tr>\n";
    }
    out_ += "</table>\n";
  }

  const catalog::Catalog& catalog_;
  const Scanned& scanned_;
  const Analysis& analysis_;
  std::string out_;
};

}  // namespace

std::string catalog_page(const Scanned& scanned, const Analysis& analysis) {
  return Page(scanned, analysis).write();
}

}  // namespace domicile::app
