// The data classification of one application: which class every table of its schema has, where the
// organization stands in each row, which columns are personal. It is read from one reviewed file,
// domicile.catalog.toml, and drives the guard, row security, reference sync, moves, checks and
// reports. A table that is not in it is closed: neither readable by tenants, nor synchronized, nor
// moved.
//
// A Catalog is a value: plain data, no I/O, no hidden state; share it as const. parse_catalog()
// returns only catalogs that validate() finds nothing wrong with, so a reader may rely on these
// invariants:
//  - tables are sorted by name, each name once, all identifiers are valid (1..63 bytes, no control
//  bytes);
//  - `organization` and `mixed` tables have either a key column or a path, never both, except for
//  an
//    open question (see Table::open_question), which may have neither;
//  - a path visits no table twice, every table it references is in the catalog, and its last table
//  has
//    a key column of its own (for class person: a person column);
//  - `ignored` has a reason; `reference` has no personal columns; a mode other than off stands only
//  on
//    classes that can be guarded (organization, mixed, person, reference) and never on an open
//    question.
//
// The file's reference is docs/catalog.md.
#pragma once

#include <compare>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "domain/names.h"

namespace domicile::catalog {

// A table's name as the database has it (exact, case kept). Text form: schema.name; a part that
// holds a dot, a quote or a space is written in double quotes, with quotes doubled:
// public."order.items".
struct QualifiedName {
  std::string schema;
  std::string name;
  friend auto operator<=>(const QualifiedName&, const QualifiedName&) = default;
};
std::string to_string(const QualifiedName& name);
Result<QualifiedName> parse_qualified_name(std::string_view text);  // the schema must be given
bool valid_identifier(std::string_view text);                       // 1..63 bytes, no control bytes

enum class TableClass {
  organization,  // every row belongs to one organization
  mixed,         // a NULL key is a shared row (reference data), other rows are an organization's
  reference,     // the same in all regions; only the master region changes it
  person,        // keyed by a user, who may belong to several organizations; one row per region
  system,        // the application's own machinery: migrations, queues of its framework
  ignored,       // deliberately outside, with a reason
};
enum class Mode { off, observe, enforce };
enum class Confidence { certain, likely, unsure };

std::string_view to_string(TableClass value);
std::string_view to_string(Mode value);
std::string_view to_string(Confidence value);
Result<TableClass> parse_table_class(std::string_view text);
Result<Mode> parse_mode(std::string_view text);
Result<Confidence> parse_confidence(std::string_view text);

// One step from a table to its parent along a foreign key (declared or not).
struct PathStep {
  std::vector<std::string> columns;             // in the child, in the key's order
  QualifiedName references;                     // the parent
  std::vector<std::string> referenced_columns;  // empty: the parent's primary key
  friend bool operator==(const PathStep&, const PathStep&) = default;
};
std::string to_string(
    const PathStep& step);  // "course_id -> public.courses", "(a, b) -> s.t (x, y)"
Result<PathStep> parse_path_step(std::string_view text);

struct PersonalColumn {
  std::string column;
  std::string label;  // one of personal_labels()
  friend bool operator==(const PersonalColumn&, const PersonalColumn&) = default;
};
const std::vector<std::string_view>& personal_labels();

// What becomes of a column of a reference (or shared) row that points into organization data, such
// as created_by, when the row is carried to another region.
enum class LinkRule {
  drop,
  refuse
};  // drop: the column travels as NULL; refuse: the row does not travel
std::string_view to_string(LinkRule value);
struct Link {
  std::string column;
  LinkRule rule = LinkRule::refuse;
  friend bool operator==(const Link&, const Link&) = default;
};

struct Table {
  QualifiedName name;
  TableClass table_class = TableClass::system;
  Mode mode = Mode::off;       // the table's own, or the file's default_mode
  std::string key;             // organization, mixed: the key column; "" when there is a path
  std::vector<PathStep> path;  // organization, mixed, person: from this table to one with a key
  std::string person;  // the column that names the user; required for class person without path
  std::vector<PersonalColumn> personal;  // sorted by column
  std::vector<Link> links;               // reference, mixed; sorted by column
  std::string reason;                    // ignored: why
  std::string note;                      // free text of the reviewers
  bool planned = false;                  // may stand here before the database has it
  // Set: the scan proposed this entry and is so sure of it. Not set: a person decided it, and no
  // scan ever changes it.
  std::optional<Confidence> proposed;
  std::vector<std::string> why;  // the scan's reasons
  std::size_t line = 0;          // where it stands in the file; 0 when not read from one

  bool decided_by_person() const { return !proposed; }
  // The scan could not tell: its class is only the best guess, and the table stays closed until a
  // person has decided.
  bool open_question() const { return proposed == Confidence::unsure; }
  bool of_organization() const {
    return table_class == TableClass::organization || table_class == TableClass::mixed;
  }
};

struct Catalog {
  domain::KeyType key_type = domain::KeyType::bigint;
  std::optional<QualifiedName> root;  // the table whose rows are the organizations, if there is one
  std::vector<std::string>
      schemas;  // those that the catalog covers, sorted; every table is in one of them
  Mode default_mode = Mode::off;
  std::vector<Table> tables;

  const Table* find(const QualifiedName& name) const;  // O(log n); null when not catalogued
  Table* find(const QualifiedName& name);
  void put(Table table);  // inserts, or replaces the entry of that name; keeps the order
};

// One thing wrong in a file. line and column count from 1; 0 when the place has none.
struct Problem {
  std::size_t line = 0;
  std::size_t column = 0;
  std::string place;  // "table public.courses, key"
  std::string reason;
  std::string remedy;
};
// "file:line:column: place: reason; remedy", one line each.
std::string to_string(const std::vector<Problem>& problems, std::string_view filename);

// Everything wrong with a catalog as a value (positions are those of the tables' lines).
std::vector<Problem> validate(const Catalog& catalog);

// Strict: unknown keys, wrong types, duplicates and impossible combinations are errors. All of the
// file's problems are listed in the error's message (Code::invalid, reason "catalog_invalid").
Result<Catalog> parse_catalog(std::string_view text, std::string_view filename);
std::vector<Problem> problems_of(std::string_view text);  // the same, for machines

// The file's stable form: parse_catalog(to_toml(c)) == c, and a second writing changes no byte.
std::string to_toml(const Catalog& catalog);
std::string to_toml(const Table& table,
                    Mode default_mode);  // one [[table]] block, newline at its end

}  // namespace domicile::catalog
