#include "reference/change_writer.h"

#include <algorithm>
#include <ranges>

#include <fmt/format.h>

#include "crypto/sha256.h"

namespace domicile::reference {

using wire::pgoutput::Field;
using wire::pgoutput::FieldKind;
using wire::pgoutput::Tuple;

namespace {

constexpr std::size_t kLoadFrom = 50;  // rows; fewer are not worth a COPY of their own

Value value_of(const Field& field) {
  return field.kind == FieldKind::text ? Value(field.value) : std::nullopt;
}

std::string_view name_of(Effect effect) {
  switch (effect) {
    case Effect::insert: return "insert";
    case Effect::update: return "update";
    case Effect::remove: return "delete";
  }
  return "";
}

ColumnValues one_row(const Tuple& row, const std::vector<std::size_t>& places) {
  ColumnValues values;
  for (const std::size_t i : places) values.push_back({value_of(row[i])});
  return values;
}

std::vector<std::size_t> known(const TableWriter& writer, const Field* row) {
  std::vector<std::size_t> places;
  for (const std::size_t i : writer.all_but_key()) {
    if (row[i].kind != FieldKind::unchanged) places.push_back(i);
  }
  return places;
}

std::vector<std::size_t> everything(const TableWriter& writer) {
  std::vector<std::size_t> places(writer.columns().size());
  for (std::size_t i = 0; i < places.size(); ++i) places[i] = i;
  return places;
}

}  // namespace

std::string hash_of_key(std::string_view key) { return crypto::sha256_hex(key).substr(0, 32); }

bool is_own_rule(const Error& error) {
  return error.reason.starts_with("23") || error.reason == "P0001";
}

Result<WriteOutcome> ChangeWriter::write(const ChangeSet& changes, wire::Lsn at) {
  // Each way does all of it or is undone; only a rule of this region about a row leads to the next, slower one.
  enum class Way { net, order, one_by_one };
  for (const Way way : {Way::net, Way::order, Way::one_by_one}) {
    if (way == Way::net && !changes.net()) continue;
    outcome_ = {};
    careful_ = way == Way::one_by_one;
    const auto done = way == Way::net ? write_net(changes) : write_in_order(changes, at);
    if (done) return std::move(outcome_);
    if (careful_ || !is_own_rule(done.error())) return std::unexpected(done.error());
    TRY(connection_.script("ROLLBACK TO SAVEPOINT net"));
  }
  return std::move(outcome_);
}

Result<void> ChangeWriter::write_net(const ChangeSet& changes) {
  for (const QualifiedName& name : order_) {
    const auto found = changes.tables().find(name);
    if (found != changes.tables().end()) TRY(write_rows(found->second));
  }
  for (const QualifiedName& name : order_ | std::views::reverse) {
    const auto found = changes.tables().find(name);
    if (found != changes.tables().end()) TRY(remove_rows(found->second));
  }
  return {};
}

Result<void> ChangeWriter::write_rows(const TableChanges& table) {
  TableWriter& writer = *table.target->writer;
  ColumnValues inserts(writer.columns().size());
  // Updates of the same columns go together.
  std::map<std::vector<std::size_t>, std::vector<const Field*>> updates;
  const std::vector<std::size_t> whole = writer.all_but_key();
  for (const NetRow& row : table.rows) {
    const Field* fields = &table.fields[row.first];
    if (row.effect == Effect::insert) {
      for (std::size_t i = 0; i < inserts.size(); ++i) inserts[i].push_back(value_of(fields[i]));
    } else if (row.effect == Effect::update) {
      updates[row.partial ? known(writer, fields) : whole].push_back(fields);
    }
  }
  std::int64_t conflicts = 0;
  const std::size_t fresh = inserts.front().size();
  if (fresh >= kLoadFrom)
    conflicts += TRY(writer.load(connection_, inserts));
  else if (fresh > 0)
    conflicts += TRY(writer.insert(connection_, inserts));
  for (const auto& [places, rows] : updates) {
    ColumnValues values(places.size()), keys(writer.key().size());
    for (const Field* fields : rows) {
      for (std::size_t i = 0; i < places.size(); ++i)
        values[i].push_back(value_of(fields[places[i]]));
      for (std::size_t i = 0; i < keys.size(); ++i)
        keys[i].push_back(value_of(fields[writer.key()[i]]));
    }
    const std::int64_t missing = TRY(writer.update(connection_, places, values, keys));
    if (missing == 0) continue;
    conflicts += missing;
    if (places != whole) continue;  // cannot be made from a part: the next repair does
    ColumnValues full(writer.columns().size());
    for (const Field* fields : rows) {
      for (std::size_t i = 0; i < full.size(); ++i) full[i].push_back(value_of(fields[i]));
    }
    TRY(writer.insert(connection_, full));
  }
  if (conflicts != 0) outcome_.conflicts[writer.name()] += conflicts;
  return {};
}

Result<void> ChangeWriter::remove_rows(const TableChanges& table) {
  TableWriter& writer = *table.target->writer;
  ColumnValues keys(writer.key().size());
  for (const NetRow& row : table.rows) {
    if (row.effect != Effect::remove) continue;
    for (std::size_t i = 0; i < keys.size(); ++i)
      keys[i].push_back(value_of(table.fields[row.first + writer.key()[i]]));
  }
  // Rows that are not there are no conflict: a cascade of this region may have been faster.
  if (!keys.front().empty()) TRY(writer.remove(connection_, keys));
  return {};
}

Result<void> ChangeWriter::write_in_order(const ChangeSet& changes, wire::Lsn at) {
  std::string_view last_truncate;
  for (const Change& change : changes.log()) {
    const auto parsed = TRY(wire::pgoutput::parse(change.message));
    if (std::holds_alternative<wire::pgoutput::Truncate>(parsed)) {
      if (change.message.data() == last_truncate.data())
        continue;  // its tables were emptied together
      last_truncate = change.message;
      // Children first.
      std::vector<const Target*> targets;
      for (const Change& other : changes.log()) {
        if (other.message.data() == change.message.data()) targets.push_back(other.target);
      }
      std::ranges::sort(targets, std::greater{}, [&](const Target* target) {
        return std::ranges::find(order_, target->name) - order_.begin();
      });
      for (const Target* target : targets) TRY(empty_table(*target, at));
      continue;
    }
    const bool removes = std::holds_alternative<wire::pgoutput::Delete>(parsed);
    const bool inserts = std::holds_alternative<wire::pgoutput::Insert>(parsed);
    const Tuple& row = removes   ? std::get<wire::pgoutput::Delete>(parsed).old
                       : inserts ? std::get<wire::pgoutput::Insert>(parsed).row
                                 : std::get<wire::pgoutput::Update>(parsed).row;
    TRY(attempt(*change.target,
                removes   ? Effect::remove
                : inserts ? Effect::insert
                          : Effect::update,
                key_of(*change.target->writer, row).value_or(""), at,
                [&] { return write_one(change, parsed); }));
  }
  return {};
}

Result<void> ChangeWriter::write_one(const Change& change,
                                     const wire::pgoutput::AnyMessage& parsed) {
  TableWriter& writer = *change.target->writer;
  std::int64_t conflicts = 0;
  if (const auto* insert = std::get_if<wire::pgoutput::Insert>(&parsed)) {
    conflicts = TRY(writer.insert(connection_, one_row(insert->row, everything(writer))));
  } else if (const auto* update = std::get_if<wire::pgoutput::Update>(&parsed)) {
    const bool new_key =
        !update->old.empty() && key_of(writer, update->old) != key_of(writer, update->row);
    const Tuple& before = update->old.empty() ? update->row : update->old;
    std::vector<std::size_t> places;
    bool whole = true;
    for (std::size_t i = 0; i < update->row.size(); ++i) {
      const bool is_key = std::ranges::find(writer.key(), i) != writer.key().end();
      if (update->row[i].kind == FieldKind::unchanged)
        whole = false;
      else if (is_key ? new_key : writer.may_set(i))
        places.push_back(i);
    }
    conflicts = TRY(writer.update(connection_, places, one_row(update->row, places),
                                  one_row(before, writer.key())));
    if (conflicts != 0 && whole)
      TRY(writer.insert(connection_, one_row(update->row, everything(writer))));
  } else {
    TRY(writer.remove(connection_,
                      one_row(std::get<wire::pgoutput::Delete>(parsed).old, writer.key())));
  }
  if (conflicts != 0) outcome_.conflicts[writer.name()] += conflicts;
  return {};
}

Result<void> ChangeWriter::attempt(const Target& target, Effect effect, const std::string& key,
                                   wire::Lsn at, const std::function<Result<void>()>& body) {
  if (!careful_) return body();
  TRY(connection_.script("SAVEPOINT one"));
  const auto done = body();
  if (done) return connection_.script("RELEASE SAVEPOINT one");
  if (!is_own_rule(done.error())) return done;
  TRY(connection_.script("ROLLBACK TO SAVEPOINT one; RELEASE SAVEPOINT one"));
  Refused refused{
      .table = target.name, .effect = effect, .key_hash = hash_of_key(key), .error = done.error()};
  TRY(
      connection_.query("INSERT INTO domicile.reference_quarantine (schema_name, table_name, "
                        "operation, key, position, state, message) "
                        "VALUES ($1, $2, $3, $4, $5::pg_lsn, $6, $7)",
                        {target.name.schema, target.name.name, std::string(name_of(effect)),
                         refused.key_hash, wire::format_lsn(at), refused.error.reason,
                         fmt::format("the {} was refused here (SQLSTATE {})", name_of(effect),
                                     refused.error.reason)}));
  outcome_.refused.push_back(std::move(refused));
  return {};
}

// TRUNCATE would take rows of this region's own tables along, or lock them: rows are deleted instead.
Result<void> ChangeWriter::empty_table(const Target& target, wire::Lsn at) {
  TableWriter& writer = *target.writer;
  if (!careful_) return connection_.script("DELETE FROM " + writer.quoted_name());
  TRY(connection_.script("SAVEPOINT whole"));
  const auto done = connection_.script("DELETE FROM " + writer.quoted_name());
  if (done) return connection_.script("RELEASE SAVEPOINT whole");
  if (!is_own_rule(done.error())) return done;
  TRY(connection_.script("ROLLBACK TO SAVEPOINT whole; RELEASE SAVEPOINT whole"));
  std::string list;
  for (const std::size_t i : writer.key()) {
    list += fmt::format("{}{}::text", list.empty() ? "" : ", ",
                        pg::quote_identifier(writer.columns()[i]));
  }
  const auto rows =
      TRY(connection_.query(fmt::format("SELECT {} FROM {}", list, writer.quoted_name())));
  for (int i = 0; i < rows.size(); ++i) {
    Tuple key(writer.columns().size());
    for (std::size_t c = 0; c < writer.key().size(); ++c)
      key[writer.key()[c]] = {FieldKind::text, rows.text(i, static_cast<int>(c))};
    TRY(attempt(target, Effect::remove, key_of(writer, key).value_or(""), at,
                [&]() -> Result<void> {
                  TRY(writer.remove(connection_, one_row(key, writer.key())));
                  return {};
                }));
  }
  return {};
}

}  // namespace domicile::reference
