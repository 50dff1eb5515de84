#include "app/catalog_analysis.h"

#include <algorithm>
#include <set>

namespace domicile::app {
namespace {

using catalog::Table;
using catalog::TableClass;
using store::Amount;
using store::TableSizes;

class Analysing {
 public:
  Analysing(const catalog::Catalog& catalog, const catalog::Assignment& assignment)
      : catalog_(catalog), assignment_(assignment) {
    out_.regions_known = !assignment.empty();
  }

  Analysis run(const std::vector<TableSizes>& sizes) {
    known_organizations(sizes);
    for (const TableSizes& size : sizes) {
      if (const Table* table = catalog_.find(size.table)) add(*table, size);
    }
    finish();
    return std::move(out_);
  }

 private:
  // Those of the root's rows; without a root, whoever is named in a table.
  void known_organizations(const std::vector<TableSizes>& sizes) {
    for (const TableSizes& size : sizes) {
      if (!catalog_.root || size.table != *catalog_.root || size.factor != 1 ||
          !size.skipped.empty())
        continue;
      for (const auto& [key, amount] : size.organizations) known_.insert(key);
    }
    if (known_.empty()) return;
    for (const std::string& key : known_) parts_[key];
  }

  void add(const Table& table, const TableSizes& size) {
    TablePart part{.table = &table};
    part.sampled = size.factor != 1;
    part.skipped = size.skipped;
    out_.sampled = out_.sampled || part.sampled;
    if (!table.of_organization()) {
      part.all = size.without;
      (table.table_class == TableClass::reference ? out_.shared
       : table.table_class == TableClass::person  ? out_.people
                                                  : out_.system)
          .add(part.all);
      out_.tables.push_back(std::move(part));
      return;
    }
    double largest = 0;
    Amount strangers;
    for (const auto& [key, amount] : size.organizations) {
      part.all.add(amount);
      if (!known_.empty() && !known_.contains(key)) {
        strangers.add(amount);
        continue;
      }
      ++part.organizations;
      if (amount.bytes > largest) {
        largest = amount.bytes;
        part.largest = key;
      }
      parts_[key].amount.add(amount);
      ++parts_[key].tables;
      out_.of_organizations.add(amount);
    }
    nobody(table, size, strangers, part);
    part.largest_share = part.all.bytes > 0 ? largest / part.all.bytes : 0;
    out_.tables.push_back(std::move(part));
  }

  void nobody(const Table& table, const TableSizes& size, const Amount& strangers,
              TablePart& part) {
    part.all.add(size.without);
    part.all.add(size.orphaned);
    std::vector<std::string> why;
    if (table.table_class == TableClass::mixed && (!table.key.empty() || !table.path.empty())) {
      part.shared = size.without;
      out_.shared.add(size.without);
    } else if (size.without.rows > 0) {
      part.unassigned.add(size.without);
      why.push_back(table.key.empty() && table.path.empty() ? "nothing says whose its rows are"
                                                            : "rows without an organization");
    }
    if (size.orphaned.rows > 0) why.push_back("rows that point at nothing");
    if (strangers.rows > 0) why.push_back("rows of organizations that are not listed");
    part.unassigned.add(size.orphaned);
    part.unassigned.add(strangers);
    for (const std::string& each : why)
      part.unassigned_why += (part.unassigned_why.empty() ? "" : ", ") + each;
    out_.unassigned.add(part.unassigned);
  }

  void finish() {
    std::map<std::string, RegionPart> regions;
    for (const auto& [key, region] : assignment_) {
      regions[region].region = region;
      if (!parts_.contains(key)) out_.unknown_assigned.push_back(key);
    }
    for (auto& [key, part] : parts_) {
      part.key = key;
      const auto at = assignment_.find(key);
      part.region = at == assignment_.end() ? "" : at->second;
      RegionPart& region = regions[part.region];
      region.region = part.region;
      ++region.organizations;
      region.amount.add(part.amount);
      if (part.amount.bytes > region.largest_bytes) {
        region.largest_bytes = part.amount.bytes;
        region.largest = key;
      }
      out_.organizations.push_back(part);
    }
    for (auto& [name, region] : regions) out_.regions.push_back(std::move(region));
    std::ranges::sort(out_.regions, {},
                      [](const RegionPart& r) { return std::pair(r.region.empty(), r.region); });
    std::ranges::sort(out_.organizations, {},
                      [](const OrganizationPart& o) { return std::pair(-o.amount.bytes, o.key); });
    std::ranges::sort(out_.tables, {},
                      [](const TablePart& t) { return std::pair(-t.all.bytes, t.table->name); });
  }

  const catalog::Catalog& catalog_;
  const catalog::Assignment& assignment_;
  std::set<std::string> known_;
  std::map<std::string, OrganizationPart> parts_;
  Analysis out_;
};

}  // namespace

std::vector<store::SizeQuestion> size_questions(const catalog::Catalog& catalog,
                                                const catalog::Schema& schema) {
  std::vector<store::SizeQuestion> out;
  for (const Table& table : catalog.tables) {
    if (schema.find(table.name) == nullptr) continue;
    store::SizeQuestion question{table.name, std::nullopt};
    if (table.of_organization() && !table.key.empty()) {
      question.way = catalog::Way{{}, table.key};
    } else if (table.of_organization() && !table.path.empty()) {
      const Table* last = catalog.find(table.path.back().references);
      question.way = catalog::Way{table.path, last == nullptr ? "" : last->key};
      for (catalog::PathStep& step : question.way->steps) {
        const catalog::TableShape* parent = schema.find(step.references);
        const catalog::Index* key = parent == nullptr ? nullptr : parent->primary_key();
        if (step.referenced_columns.empty() && key != nullptr)
          step.referenced_columns = key->columns;
        if (step.referenced_columns.size() != step.columns.size()) question.way.reset();
        if (!question.way) break;
      }
    }
    out.push_back(std::move(question));
  }
  return out;
}

Analysis analyse(const catalog::Catalog& catalog, const catalog::Schema& schema,
                 const std::vector<TableSizes>& sizes, const catalog::Assignment& assignment) {
  Analysis out = Analysing(catalog, assignment).run(sizes);
  out.database = schema.database;
  return out;
}

const Table* membership_table(const catalog::Catalog& catalog, const catalog::Schema& schema) {
  for (const Table& table : catalog.tables) {
    const catalog::TableShape* shape = schema.find(table.name);
    if (shape == nullptr || table.table_class != TableClass::organization || table.key.empty() ||
        table.person.empty() || table.key == table.person)
      continue;
    // Each person at most once per organization: (organization, person) is a key.
    const bool once = std::ranges::any_of(shape->indexes, [&](const catalog::Index& index) {
      return index.unique && index.complete && index.columns.size() == 2 &&
             std::ranges::find(index.columns, table.key) != index.columns.end() &&
             std::ranges::find(index.columns, table.person) != index.columns.end();
    });
    if (once) return &table;
  }
  return nullptr;
}

}  // namespace domicile::app
