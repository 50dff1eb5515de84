// What no single key can show: the rules between fields, and between tables.
#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "catalog/catalog.h"

namespace domicile::catalog {
namespace {

class Validator {
 public:
  explicit Validator(const Catalog& catalog) : catalog_(catalog) {}

  std::vector<Problem> run() {
    names_are_unique_and_covered();
    for (const Table& table : catalog_.tables) {
      table_ = &table;
      fields_fit_the_class();
      columns_are_named_well();
      path_leads_to_a_key();
    }
    root_is_an_organization_table();
    return std::move(problems_);
  }

 private:
  void say(std::string_view field, std::string reason, std::string remedy) {
    std::string place = "table " + to_string(table_->name);
    if (!field.empty()) place += fmt::format(", {}", field);
    problems_.push_back({table_->line, 0, std::move(place), std::move(reason), std::move(remedy)});
  }

  void names_are_unique_and_covered() {
    const Table* before = nullptr;
    for (const Table& table : catalog_.tables) {
      table_ = &table;
      if (!valid_identifier(table.name.schema) || !valid_identifier(table.name.name)) {
        say("name", "this is not a valid name", "use 1 to 63 bytes without control characters");
      }
      if (before != nullptr && before->name == table.name) {
        say("",
            before->line == 0 ? "it stands here twice"
                              : fmt::format("it stands here twice, first in line {}", before->line),
            "keep one of the two");
      } else if (before != nullptr && table.name < before->name) {
        say("", "the tables are not sorted", "insert with Catalog::put");
      }
      before = &table;
      if (!std::ranges::binary_search(catalog_.schemas, table.name.schema)) {
        say("name", fmt::format("schema {} is not one of catalog.schemas", table.name.schema),
            "add the schema there, or correct the name");
      }
    }
  }

  void fields_fit_the_class() {
    const Table& t = *table_;
    const std::string name(to_string(t.table_class));
    const bool person_class = t.table_class == TableClass::person;
    if (t.of_organization()) {
      if (!t.key.empty() && !t.path.empty()) {
        say("path", "it has a key column and a path",
            "keep the key column, it is the faster and safer of the two");
      }
      if (t.key.empty() && t.path.empty() && !t.open_question()) {
        say("key", fmt::format("a table of class {} needs to know its organization", name),
            "write key = \"column\", or path = [\"column -> schema.parent\"]");
      }
    } else if (!t.key.empty()) {
      say("key", fmt::format("a table of class {} has no organization key", name),
          "remove it, or change the class to organization or mixed");
    }
    if (!t.path.empty() && !t.of_organization() && !person_class) {
      say("path", fmt::format("a table of class {} has no path", name),
          "remove it, or change the class");
    }
    if (person_class && t.person.empty() && t.path.empty() && !t.open_question()) {
      say("person", "a table of class person needs the column that names the user",
          "write person = \"user_id\", or path = [\"column -> schema.parent\"]");
    }
    if (!t.person.empty() && !person_class && !t.of_organization()) {
      say("person", fmt::format("a table of class {} is not about a user", name),
          "remove it, or change the class to person or organization");
    }
    if (!t.links.empty() && t.table_class != TableClass::reference &&
        t.table_class != TableClass::mixed) {
      say("links", "only rows that travel (class reference or mixed) have link rules", "remove it");
    }
    if (t.table_class == TableClass::ignored && t.reason.empty()) {
      say("reason", "an ignored table needs a reason",
          "write reason = \"why it may stay outside\"");
    }
    if (t.table_class != TableClass::ignored && !t.reason.empty()) {
      say("reason", "only an ignored table has a reason", "use note = \"...\" for remarks");
    }
    if (t.table_class == TableClass::reference && !t.personal.empty()) {
      say("personal", "reference rows are copied to all regions and cannot hold personal data",
          "change the class, or remove the label if the column holds none");
    }
    mode_fits();
  }

  void mode_fits() {
    const Table& t = *table_;
    if (t.mode == Mode::off) return;
    if (t.table_class == TableClass::system || t.table_class == TableClass::ignored) {
      say("mode", fmt::format("a table of class {} is not guarded", to_string(t.table_class)),
          "remove the mode");
    } else if (t.open_question()) {
      say("mode", "the scan was unsure of this table, so nothing can be enforced yet",
          "decide its class and remove the line `proposed`");
    }
  }

  void columns_are_named_well() {
    const auto check = [&](std::string_view field, const std::string& column) {
      if (!valid_identifier(column)) {
        say(field, "this is not a valid column name",
            "use 1 to 63 bytes without control characters");
      }
    };
    if (!table_->key.empty()) check("key", table_->key);
    if (!table_->person.empty()) check("person", table_->person);
    std::string_view before;
    for (const auto& [column, label] : table_->personal) {
      check("personal", column);
      if (std::ranges::find(personal_labels(), label) == personal_labels().end()) {
        say("personal", fmt::format("the label of column {} is not known", column),
            fmt::format("use one of {}", fmt::join(personal_labels(), ", ")));
      }
      if (!before.empty() && before >= column) say("personal", "a column stands twice", "keep one");
      before = column;
    }
    before = {};
    for (const auto& link : table_->links) {
      check("links", link.column);
      if (!before.empty() && before >= link.column)
        say("links", "a column stands twice", "keep one");
      before = link.column;
    }
  }

  void path_leads_to_a_key() {
    const Table& t = *table_;
    if (t.path.empty()) return;
    std::set<QualifiedName> seen = {t.name};
    const Table* last = nullptr;
    for (std::size_t i = 0; i < t.path.size(); ++i) {
      const PathStep& step = t.path[i];
      const std::string place = fmt::format("path[{}]", i);
      if (step.columns.empty() || (!step.referenced_columns.empty() &&
                                   step.referenced_columns.size() != step.columns.size())) {
        say(place, "the two sides name different numbers of columns", "pair them one by one");
      }
      if (!seen.insert(step.references).second) {
        say(place, fmt::format("the path comes back to {}", to_string(step.references)),
            "name a path that visits each table once");
        return;
      }
      last = catalog_.find(step.references);
      if (last == nullptr) {
        say(place, fmt::format("{} is not in the catalog", to_string(step.references)),
            "classify that table too, or correct the name");
        return;
      }
      const bool fits = t.table_class == TableClass::person
                            ? last->table_class == TableClass::person
                            : last->of_organization();
      if (!fits) {
        say(place,
            fmt::format("{} is of class {}, so no organization can be read from it",
                        to_string(step.references), to_string(last->table_class)),
            "lead the path through tables of class organization or mixed (for class person: "
            "person)");
        return;
      }
    }
    const bool ends =
        t.table_class == TableClass::person ? !last->person.empty() : !last->key.empty();
    if (!ends && !(last->open_question() && t.proposed)) {
      say("path",
          fmt::format("it ends at {}, which has no key column of its own", to_string(last->name)),
          "continue it to a table that has one");
    }
  }

  void root_is_an_organization_table() {
    if (!catalog_.root) return;
    const Table* root = catalog_.find(*catalog_.root);
    const auto say_root = [&](std::string reason, std::string remedy) {
      problems_.push_back({root == nullptr ? 0 : root->line, 0, "catalog.root", std::move(reason),
                           std::move(remedy)});
    };
    if (root == nullptr) {
      say_root(fmt::format("{} is not in the catalog", to_string(*catalog_.root)),
               "add it as a [[table]] of class organization, or remove root");
    } else if (root->table_class != TableClass::organization ||
               (root->key.empty() && !root->open_question())) {
      say_root("the table of the organizations must be of class organization with its own key",
               "write class = \"organization\" and key = \"id\" there");
    }
  }

  const Catalog& catalog_;
  const Table* table_ = nullptr;
  std::vector<Problem> problems_;
};

}  // namespace

std::vector<Problem> validate(const Catalog& catalog) { return Validator(catalog).run(); }

}  // namespace domicile::catalog
