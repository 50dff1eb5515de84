// What names tell: tables and columns are named by people, and people name alike. Everything here
// is a hint for propose(), never a proof; a name alone never makes a proposal certain.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "catalog/schema.h"

namespace domicile::catalog {

// The words of a name in lower case: "OrderItems", "order_items", "order-items" -> {order, items}.
std::vector<std::string> words_of(std::string_view name);
std::string singular(std::string_view word);   // countries -> country, statuses -> status
std::string head_noun(std::string_view name);  // the last word, singular: core_tenants -> tenant
std::string joined(const std::vector<std::string>& words, std::size_t from = 0);  // with "_"

// How much a table's name speaks for its rows being the organizations: 0 (not at all) to 10
// (tenant).
int organization_weight(std::string_view table);
// How much for its rows being the people who sign in: 0 to 10.
int user_weight(std::string_view table);
// created_by, author_id, assignee: who acted, not to whom the row belongs.
bool names_an_actor(std::string_view column);
bool names_a_deed(const std::vector<std::string>& column_words);  // created_by, write_uid

// A table of a migration tool, by its exact name; the reason, for the reader.
std::optional<std::string> migration_table(std::string_view table);
// Queues, caches, sessions and logs of frameworks and of the application itself.
std::optional<std::string> framework_table(std::string_view table);  // by its exact name or prefix
std::optional<std::string> machinery_table(
    std::string_view table);  // those, and by words such as queue
// A word for machinery that is no word of business, or columns such as attempts and locked_at.
std::optional<std::string> solid_machinery(const TableShape& table);
bool application_wide(std::string_view table);  // global_settings and the like

// How much a table's name speaks for the same rows in every region: 5 for countries, 3 for *_types,
// negative for names of things that people and organizations make (messages, addresses, files).
int lookup_weight(std::string_view table);
// A column that a static list does not have: bodies, payloads, file names, tokens.
bool content_column(const Column& column);

// bigint, integer, smallint are one family, and so are text, varchar, char.
enum class TypeFamily { integer, uuid, text, other };
TypeFamily family_of(std::string_view type);
inline bool comparable(std::string_view a, std::string_view b) {
  return family_of(a) == family_of(b) && family_of(a) != TypeFamily::other;
}

// The columns of `x_type`, `x_id` pairs (also content_type_id/object_id, table_name/row_id,
// type/type_id), as (type column, id column).
std::vector<std::pair<std::string, std::string>> polymorphic_pairs(const TableShape& table);

// A column that names a row somewhere: order_id, or any uuid beside the table's own key. `of_keys`:
// the family of the organizations' key, for schemas whose identifiers are text.
bool names_a_row(const Column& column, TypeFamily of_keys);
// default_team_id, last_message_id: where somebody stands at the moment, not where the row belongs.
bool names_a_pointer(std::string_view column);
// qty, line_no, year, position: a number that counts, orders or measures.
bool names_a_measure(std::string_view column);
bool mentions_organization(std::string_view column);  // org_code, company_ref
// "invoice" for invoices_history, invoice_aud, audit_invoices: the table that another one shadows.
std::optional<std::string> shadowed_name(std::string_view table);

// The label of a column with personal data; empty for none. `about_people`: the table describes
// persons.
std::string_view personal_label(const Column& column, bool about_people);
bool about_people(const TableShape& table);

}  // namespace domicile::catalog
