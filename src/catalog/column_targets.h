// Which table a column names when no foreign key says so: `course_id` beside courses, `cust_no` beside
// the table whose key is cust_no, `bancoCodigo` beside banco (codigo), `emp_id` beside employees. Names
// in any language, because only names of this schema are compared with each other. Every answer is a
// hint that rows may refute, and an ambiguous name has none.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "catalog/schema.h"

namespace domicile::catalog {

// Refers to `tables`, which must outlive it.
class ColumnTargets {
 public:
  explicit ColumnTargets(const std::vector<const TableShape*>& tables);

  // The place of the one table whose primary key (of one column, comparable) the column names;
  // npos for none or several. May be `from` itself: parent_id.
  std::size_t target_of(std::size_t from, const Column& column) const;

  // Tables whose primary key of several columns stands in `from` under the same names, each with
  // those columns: (firm, account) beside accounts (firm, account).
  std::vector<std::pair<std::size_t, std::vector<std::string>>> composite_targets(
      std::size_t from) const;

 private:
  using Places = std::vector<std::size_t>;

  bool fits(std::size_t to, const Column& column) const;
  std::size_t same_key(std::size_t from, const Column& column) const;
  std::size_t key_with_a_role(std::size_t from, const Column& column) const;
  std::size_t table_and_key(std::size_t from, const Column& column) const;
  std::size_t word_of_a_list(std::size_t from, const Column& column) const;
  std::size_t bare_role(std::size_t from, const Column& column) const;
  std::size_t abbreviated(std::size_t from, const Column& column) const;
  std::size_t run_together(std::size_t from, const Column& column) const;
  std::size_t by_name(std::size_t from, const Column& column) const;
  std::size_t named_after(std::size_t from, const Column& column,
                          const std::vector<std::string>& words, bool suffixed) const;
  std::size_t only_user(const Column& column) const;
  void same_schema_first(std::size_t from, Places& found) const;

  const std::vector<const TableShape*>& tables_;
  std::vector<std::vector<std::string>> words_;  // of each table's name, the last one singular
  std::map<std::string, Places> by_noun_;
  std::map<std::string, Places> by_key_;  // by the primary key's name, where it says something
  Places users_;
};

}  // namespace domicile::catalog
