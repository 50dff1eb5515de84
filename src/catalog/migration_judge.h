// Judges one statement after another and follows the schema. One class over several files, by what
// the statements are about: tables, ALTER TABLE, access, rows. Internal to migration_check.h.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "catalog/migration_check.h"
#include "catalog/migration_model.h"
#include "sqltext/plpgsql.h"

namespace domicile::catalog {

class MigrationJudge {
 public:
  MigrationJudge(const Catalog& catalog, const MigrationCheckOptions& options);

  void migration(const Migration& migration, bool judged);
  // What only the whole shows: new tables against their entries in the catalog.
  void finish();

  std::vector<MigrationFinding> findings;
  std::size_t statements = 0;
  MigratedSchema schema;

 private:
  using Node = sqltext::Node;

  // The driver.
  void statement(std::string_view text, const Migration& migration);
  void dispatch(const Node& node);
  void transaction(const Node& node);
  void set_variable(const Node& node);
  void commit();  // the check at the end of a transaction
  void refuse_open(Standing& standing, std::string_view why);
  void say(Severity severity, Outcome outcome, std::string kind, std::string object,
           std::string message, std::string remedy);
  void refuse(std::string kind, std::string object, std::string message, std::string remedy) {
    say(Severity::error, Outcome::refused, std::move(kind), std::move(object), std::move(message),
        std::move(remedy));
  }
  void fails(std::string kind, std::string object, std::string message, std::string remedy) {
    say(Severity::error, Outcome::fails, std::move(kind), std::move(object), std::move(message),
        std::move(remedy));
  }
  void report(std::string kind, std::string object, std::string message, std::string remedy) {
    say(Severity::warning, Outcome::reported, std::move(kind), std::move(object),
        std::move(message), std::move(remedy));
  }
  void advise(Severity severity, std::string kind, std::string object, std::string message,
              std::string remedy) {
    say(severity, Outcome::advice, std::move(kind), std::move(object), std::move(message),
        std::move(remedy));
  }
  // This statement is the reason, should the table turn out to be open and unclassified.
  void touch(Standing& standing, std::string what, bool opens);

  // Tables (migration_judge_tables.cpp)
  void create_table(const Node& node, Relation relation);
  void create_as(const Node& into, const Node& query, bool materialized, bool with_data);
  void add_column(Standing& standing, const Node& column);
  void add_constraint(Standing& standing, const Node& constraint, const std::string& column);
  void unique_key(Standing& standing, const std::vector<std::string>& columns, bool primary,
                  const std::string& name);
  void foreign_key(Standing& standing, const Node& constraint, std::vector<std::string> columns,
                   bool with_column);
  void validates_key(Standing& standing, const QualifiedName& references);
  void not_armed(const Standing& standing);
  void create_index(const Node& node);
  void rename(const Node& node);
  void rename_table(Standing* standing, const QualifiedName& from, const QualifiedName& to);
  void rename_column(const Node& node);
  void set_schema(const Node& node);
  void drop(const Node& node);
  void drop_table(const QualifiedName& name, bool cascade);
  void truncate(const Node& node);

  // ALTER TABLE (migration_judge_alter.cpp)
  void alter_table(const Node& node);
  void alter_command(const Node& command, const Node& range_var, Standing* standing);
  void alter_column(const Node& command, Standing& standing);
  void alter_guard(const Node& command, Standing& standing);
  void alter_partition(const Node& command, Standing& standing);
  void alter_row_security(bool opens, std::string_view what, Standing& standing);
  void change_owner(const Node& command, Standing& standing);
  bool carries_guard(const Standing& standing, const std::string& column) const;

  // Access (migration_judge_access.cpp)
  void grant(const Node& node);
  void grant_on_table(Standing& standing, const std::vector<std::string>& grantees,
                      const Node& privileges);
  void default_privileges(const Node& node);
  void policy(const Node& range_var, std::string_view what);
  void rule(const Node& node);
  void view(const Node& node);
  void function(const Node& node);
  void extension(const std::string& name);
  void outside(const Node& node);
  void role(const Node& node);
  void drop_other(const Node& node);

  // Rows (migration_judge_rows.cpp)
  void rows(const Node& node);
  void write(const Node& range_var, std::string_view verb);
  void reads(const Node& node);
  void copy(const Node& node);
  void opaque(const Node& node);

  // What runs inside a statement (migration_judge_blocks.cpp)
  bool block(std::string_view text, const Node& node);
  void body(const std::vector<sqltext::PlpgsqlQuery>& parts, bool lines);
  void dynamic(const std::string& expression);
  void judge_tree(const Node& node);
  void remember(std::string_view text, const Node& node);
  void called(const Node& node);

  const MigrationCheckOptions& options_;
  Place place_;
  bool judged_ = true;
  bool tool_transaction_ = false;  // the tool opened one around the whole file
  bool explicit_transaction_ = false;
  bool entered_ = false;  // domicile.enter() was called in this transaction
  std::size_t file_statements_ = 0;
  std::map<std::string, std::vector<sqltext::PlpgsqlQuery>> bodies_;  // of functions, by name
  std::vector<std::string> calling_;  // the functions that are being followed
};

}  // namespace domicile::catalog
