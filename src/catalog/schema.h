// What a live database looks like, as plain data: read by store/schema_reader.h, made by hand in
// tests. catalog::propose() and catalog::compare() are pure functions of it.
//
// Facts are what a bounded look at the rows has shown. A fact that was not looked for is not set:
// absence of evidence is never evidence.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "catalog/catalog.h"

namespace domicile::catalog {

struct Column {
  std::string name;
  std::string
      type;  // as format_type() prints it, without its modifier: "bigint", "character varying"
  bool not_null = false;
  bool generated = false;    // GENERATED ALWAYS AS (...) STORED
  bool has_default = false;  // or identity
  std::string comment;
  bool partitions = false;  // the table, or a part of it, is partitioned by this column
};

struct Index {
  std::string name;
  std::vector<std::string> columns;  // leading plain columns; an expression ends the list
  bool unique = false;
  bool primary = false;
  bool partial = false;
  bool complete = true;  // false: `columns` is only a prefix, an expression follows
};

struct ForeignKey {
  std::string name;
  std::vector<std::string> columns;
  QualifiedName references;
  std::vector<std::string> referenced_columns;
  bool validated = true;
  char on_delete =
      'a';  // pg_constraint.confdeltype: a no action, r restrict, c cascade, n null, d default
};

enum class Relation { table, partitioned, partition, view, materialized_view, foreign_table };

struct TableShape {
  QualifiedName name;
  Relation relation = Relation::table;
  QualifiedName parent;  // a partition's root, or the table it INHERITS from; empty name: none
  std::vector<Column> columns;
  std::vector<Index> indexes;  // the primary key's among them
  std::vector<ForeignKey> foreign_keys;
  std::vector<QualifiedName> reads;  // views: the relations they select from
  bool security_invoker = false;     // views: PostgreSQL 15's option
  double rows = -1;                  // the planner's estimate; -1: never analysed
  std::int64_t bytes = 0;            // with indexes and TOAST; a partitioned table's is the sum
  // Since PostgreSQL's statistics were last reset: sequential and index scans, rows written.
  std::int64_t scans = 0;
  std::int64_t writes = 0;
  std::string comment;
  std::string extension;  // the extension that owns it, if one does

  const Column* column(std::string_view column_name) const;  // null when there is none
  const Index* primary_key() const;
  bool is_view() const {
    return relation == Relation::view || relation == Relation::materialized_view;
  }
};

// A comparison of two columns in the definition of a view or the body of a function: whoever wrote it
// knew which row the first one names. No proof, but better than a name.
struct JoinSeen {
  QualifiedName table;
  std::string column;
  QualifiedName other;
  std::string other_column;
  std::string where;  // "view public.open_invoices", for people
  friend auto operator<=>(const JoinSeen&, const JoinSeen&) = default;
};

struct Schema {
  std::vector<std::string> schemas;  // those that were read, sorted
  std::vector<TableShape> tables;    // sorted by name
  std::vector<JoinSeen> joins;       // sorted; empty when nobody looked
  std::string database;
  int server_version = 0;  // 150018

  const TableShape* find(const QualifiedName& name) const;
  // Tables, partitioned tables and materialized views: what stores rows under a name of its own.
  // The partitions belong to their root, views store nothing, and an extension's tables are its own
  // affair.
  std::vector<const TableShape*> classifiable() const;
};

// A column of whole numbers, each of which in the sample is an organization's key. Small numbers are
// everywhere; how tight the match is, classify_keys.cpp weighs.
struct NumberMatch {
  std::string column;
  std::int64_t different = 0;  // values in the sample
  std::int64_t keys = 0;       // organizations there are
  std::int64_t gaps = 0;       // numbers between its smallest and largest value that are no key
  // Rows that reach an organization in another way as well: how many say the same, how many another.
  std::int64_t agree = 0;
  std::int64_t differ = 0;
};

// What some rows of one table have shown, along the way the catalog gives it.
struct Facts {
  std::string way;                // the way that was followed, as text: the facts speak of no other
  std::int64_t sampled_rows = 0;  // how many were looked at; 0: the table was empty
  std::int64_t null_keys = 0;     // rows whose key (or a step of the path) is NULL
  std::int64_t orphans = 0;       // rows whose key or step points to nothing
  std::int64_t organizations = 0;  // distinct organizations in the sample
  // Rows that reach one organization by the table's way and another one by a second way.
  std::int64_t rows_of_two_organizations = 0;
  std::string second_way;  // that way, as text
  // Of this table's rows that sampled rows of other tables point at: how many, and how many of them
  // from two organizations or more. -1: not asked.
  std::int64_t used_rows = -1;
  std::int64_t used_by_several = -1;
  std::vector<std::string> type_values;  // of a polymorphic pair, in the sample
  // Columns that nothing but their values tell to be the organization's key: at least three different
  // values in the sample, each of them an organization's.
  std::vector<std::string> keys_by_value;
  std::vector<NumberMatch> number_matches;
};
using FactsByTable = std::map<QualifiedName, Facts>;

}  // namespace domicile::catalog
