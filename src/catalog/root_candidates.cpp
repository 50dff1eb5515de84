#include "catalog/root_candidates.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "catalog/naming.h"

namespace domicile::catalog {
namespace {

// What contracts, invoices and sign-up pages know of an organization, and of hardly anything else.
bool trait_of_an_organization(std::string_view column) {
  static const std::set<std::string_view> kTraits = {
      "slug",          "subdomain", "domain", "subdominio", "plan",       "plan_id",
      "billing_email", "tier",      "vat",    "vat_no",     "vat_id",     "vat_number",
      "tax_no",        "ust_id",    "ustid",  "cif",        "nif",        "siret",
      "cnpj",          "rfc",       "cuit",   "kvk_no",     "hrb",        "registration_no",
      "siren",         "kvk",       "ein",    "abn",        "rechtsform", "timezone",
      "trial",         "logo",      "schema", "license_no", "licence_no"};
  const auto words = words_of(column);
  return kTraits.contains(joined(words)) ||
         (words.size() > 1 && (words.front() == "trial" || words.front() == "billing" ||
                               words.front() == "stripe" || words.front() == "contract"));
}

bool signs_in(const TableShape& table) {
  return std::ranges::any_of(
      table.columns, [](const Column& c) { return personal_label(c, false) == "credential"; });
}

class Judge {
 public:
  explicit Judge(const Graph& graph) : graph_(graph) {}

  std::optional<RootCandidate> judge(std::size_t i) const {
    const TableShape& table = *graph_.tables[i];
    const int named = organization_weight(table.name.name);
    const Index* key = table.primary_key();
    if (key == nullptr || key->columns.size() != 1 || user_weight(table.name.name) >= 7)
      return std::nullopt;
    if (lookup_weight(table.name.name) > 0 && named == 0) return std::nullopt;
    const auto direct = children(i);
    const std::size_t strong = below(i, true).size();
    const std::size_t any = below(i, false).size();
    const double all = static_cast<double>(graph_.tables.size());
    const double share = static_cast<double>(direct.size()) / all;
    const double sure = (1 - graph_.optional_links) * static_cast<double>(strong) +
                        graph_.optional_links * static_cast<double>(any);
    const double reach = (25.0 * sure + 15.0 * static_cast<double>(any)) / all;
    if (named == 0 && !enough_without_a_name(i, direct.size(), share, reach)) return std::nullopt;
    RootCandidate out{.table = i, .score = named * 3.0 + 40 * share + reach, .why = {}};
    if (named > 0) out.why.push_back(fmt::format("its name means an organization"));
    out.why.push_back(fmt::format("{} of {} tables point at it, {} reach it", direct.size(),
                                  graph_.tables.size(), any));
    traits(table, out);
    members(i, direct, out);
    counted_within(i, out);
    belongs_elsewhere(i, out);
    const bool person = signs_in(table) || table.column("email") != nullptr;
    if (person && named < 8) out.score -= 12;
    if (direct.empty()) out.score -= 15;
    if (named == 0 && list_like(i)) out.score -= 8;
    return out;
  }

  bool list_like(std::size_t i) const {
    const TableShape& table = *graph_.tables[i];
    if (organization_weight(table.name.name) > 0) return false;
    if (lookup_weight(table.name.name) > 0) return true;
    bool text = false;
    for (const Column& column : table.columns) {
      text = text || family_of(column.type) == TypeFamily::text;
      if (!personal_label(column, false).empty() || content_column(column) ||
          column.type.starts_with("timestamp") || column.type == "date" ||
          trait_of_an_organization(column.name))
        return false;
    }
    const bool up = std::ranges::any_of(graph_.out[i], [&](std::size_t e) {
      const std::size_t to = graph_.edges[e].to;
      return !graph_.edges[e].actor && graph_.tables[to]->columns.size() > 4 &&
             lookup_weight(graph_.tables[to]->name.name) <= 0;
    });
    return text && !up && table.columns.size() <= 5;
  }

 private:
  // Without a telling name, much must hang on it.
  bool enough_without_a_name(std::size_t i, std::size_t direct, double share, double reach) const {
    return direct >= (list_like(i) ? 4U : 2U) && (share >= 0.25 || reach >= 12);
  }

  std::set<std::size_t> children(std::size_t i) const {
    std::set<std::size_t> out;
    for (std::size_t e : graph_.in[i]) {
      if (!graph_.edges[e].actor) out.insert(graph_.edges[e].from);
    }
    return out;
  }

  // The tables whose rows lead to a row of this one; `strong`: always.
  std::set<std::size_t> below(std::size_t root, bool strong) const {
    std::set<std::size_t> seen = {root};
    std::vector<std::size_t> open = {root};
    while (!open.empty()) {
      const std::size_t at = open.back();
      open.pop_back();
      for (std::size_t e : graph_.in[at]) {
        const Edge& edge = graph_.edges[e];
        if (edge.actor || (strong && !edge.not_null) || !seen.insert(edge.from).second) continue;
        open.push_back(edge.from);
      }
    }
    seen.erase(root);
    return seen;
  }

  static void traits(const TableShape& table, RootCandidate& out) {
    const auto count = std::ranges::count_if(
        table.columns, [](const Column& c) { return trait_of_an_organization(c.name); });
    const auto first = std::ranges::find_if(
        table.columns, [](const Column& c) { return trait_of_an_organization(c.name); });
    if (count == 0) return;
    out.score += count > 1 ? 5 : 3;
    out.why.push_back(fmt::format("it has a column {}", first->name));
  }

  // Those who sign in belong to it, directly or through a table of memberships.
  void members(std::size_t i, const std::set<std::size_t>& direct, RootCandidate& out) const {
    for (std::size_t child : direct) {
      const auto account = [&](std::size_t table) {
        return table != i && signs_in(*graph_.tables[table]);
      };
      const bool joined = std::ranges::any_of(graph_.out[child], [&](std::size_t e) {
        return !graph_.edges[e].actor && graph_.edges[e].not_null && account(graph_.edges[e].to);
      });
      if (!account(child) && !joined) continue;
      out.score += 5;
      out.why.push_back(fmt::format("those who sign in belong to it ({})",
                                    to_string(graph_.tables[child]->name)));
      return;
    }
  }

  // UNIQUE (office, number): numbers are given anew within each of its rows.
  void counted_within(std::size_t i, RootCandidate& out) const {
    std::set<std::size_t> found;
    for (std::size_t e : graph_.in[i]) {
      const Edge& edge = graph_.edges[e];
      if (edge.actor || edge.step.columns.size() != 1) continue;
      for (const Index& index : graph_.tables[edge.from]->indexes) {
        if (index.unique && index.columns.size() > 1 && index.columns[0] == edge.step.columns[0])
          found.insert(edge.from);
      }
    }
    if (found.size() < 2) return;
    out.score += std::min(8.0, 2.0 * static_cast<double>(found.size()));
    out.why.push_back(fmt::format("{} tables count or name their rows within it", found.size()));
  }

  // What belongs to another table that owns more is not the root itself.
  void belongs_elsewhere(std::size_t i, RootCandidate& out) const {
    const auto mine = below(i, false);
    for (std::size_t e : graph_.out[i]) {
      const Edge& edge = graph_.edges[e];
      if (edge.actor || edge.to == i || mine.contains(edge.to)) continue;
      const bool named =
          organization_weight(graph_.tables[edge.to]->name.name) > 0 && edge.not_null;
      std::size_t others = 0;
      for (std::size_t child : children(edge.to)) others += child != i && !list_like(child);
      if (!named && (list_like(edge.to) || others < 2)) continue;
      out.score -= 20;
      out.why.push_back(
          fmt::format("but it belongs to {} itself", to_string(graph_.tables[edge.to]->name)));
      return;
    }
  }

  const Graph& graph_;
};

}  // namespace

std::vector<RootCandidate> root_candidates(const Graph& graph) {
  const Judge judge(graph);
  std::vector<RootCandidate> out;
  for (std::size_t i = 0; i < graph.tables.size(); ++i) {
    if (auto candidate = judge.judge(i)) out.push_back(*std::move(candidate));
  }
  std::ranges::sort(out, [&](const auto& a, const auto& b) {
    return a.score != b.score ? a.score > b.score
                              : graph.tables[a.table]->name < graph.tables[b.table]->name;
  });
  return out;
}

bool list_like(const Graph& graph, std::size_t table) { return Judge(graph).list_like(table); }

}  // namespace domicile::catalog
