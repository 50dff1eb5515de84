// The part of an applier that takes copies of whole tables. A table that is empty is loaded at once; one that holds rows
// gets the difference, so that rows which this region's organizations use stay where they are. Everything of one
// copy is one transaction: readers see all of it or nothing.
#include <algorithm>
#include <functional>
#include <ranges>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "base/log.h"
#include "reference/applier_worker.h"

namespace domicile::reference {
namespace {

using nlohmann::json;

struct CopiedTable {
  TableShape own;
  std::vector<std::string> columns;
  std::string stage;  // "": loaded at once

  TableWriter writer() const { return TableWriter(own, columns); }
};

// Rows that are here and not in the copy.
Result<void> remove_vanished(pg::Connection& sql, const CopiedTable& table, wire::Lsn at,
                             std::vector<QualifiedName>& kept) {
  const TableWriter writer = table.writer();
  std::vector<std::string> same, list;
  for (const std::size_t i : writer.key()) {
    const std::string column = pg::quote_identifier(writer.columns()[i]);
    same.push_back(fmt::format("s.{0} = t.{0}", column));
    list.push_back(fmt::format("t.{}::text", column));
  }
  const std::string gone =
      fmt::format("NOT EXISTS (SELECT FROM {} s WHERE {})", table.stage, fmt::join(same, " AND "));
  TRY(sql.script("SAVEPOINT vanished"));
  const auto done =
      sql.script(fmt::format("DELETE FROM {} t WHERE {}", writer.quoted_name(), gone));
  if (done) return sql.script("RELEASE SAVEPOINT vanished");
  if (!is_own_rule(done.error())) return done;
  TRY(sql.script("ROLLBACK TO SAVEPOINT vanished; RELEASE SAVEPOINT vanished"));
  // Some are in use here: the others go.
  const auto rows = TRY(sql.query(fmt::format("SELECT {} FROM {} t WHERE {}", fmt::join(list, ", "),
                                              writer.quoted_name(), gone)));
  TableWriter one = table.writer();
  for (int i = 0; i < rows.size(); ++i) {
    ColumnValues key;
    wire::pgoutput::Tuple tuple(writer.columns().size());
    for (std::size_t c = 0; c < writer.key().size(); ++c) {
      key.push_back({rows.text(i, static_cast<int>(c))});
      tuple[writer.key()[c]] = {wire::pgoutput::FieldKind::text, rows.text(i, static_cast<int>(c))};
    }
    TRY(sql.script("SAVEPOINT one"));
    const auto removed = one.remove(sql, key);
    if (removed) {
      TRY(sql.script("RELEASE SAVEPOINT one"));
      continue;
    }
    if (!is_own_rule(removed.error())) return std::unexpected(removed.error());
    TRY(sql.script("ROLLBACK TO SAVEPOINT one; RELEASE SAVEPOINT one"));
    TRY(
        sql.query("INSERT INTO domicile.reference_quarantine (schema_name, table_name, operation, "
                  "key, position, state, message) "
                  "VALUES ($1, $2, 'delete', $3, $4::pg_lsn, $5, 'the master region has it no "
                  "more, and it is in use here')",
                  {table.own.name.schema, table.own.name.name,
                   hash_of_key(key_of(writer, tuple).value_or("")), wire::format_lsn(at),
                   removed.error().reason}));
    kept.push_back(table.own.name);
  }
  return {};
}

Result<void> merge(pg::Connection& sql, const CopiedTable& table) {
  const TableWriter writer = table.writer();
  std::vector<std::string> key, set, differs;
  for (const std::size_t i : writer.key()) key.push_back(pg::quote_identifier(writer.columns()[i]));
  for (const std::size_t i : writer.all_but_key()) {
    const std::string column = pg::quote_identifier(writer.columns()[i]);
    set.push_back(fmt::format("{0} = excluded.{0}", column));
    // As text: types without equality (json), and values that are equal but not the same (numeric 1.0 and 1.00).
    differs.push_back(fmt::format("t.{0}::text IS DISTINCT FROM excluded.{0}::text", column));
  }
  const std::string action = set.empty()
                                 ? "DO NOTHING"
                                 : fmt::format("DO UPDATE SET {} WHERE {}", fmt::join(set, ", "),
                                               fmt::join(differs, " OR "));
  return sql.script(fmt::format(
      "INSERT INTO {} AS t ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM {} ON CONFLICT ({}) {}",
      writer.quoted_name(), writer.column_list(), writer.column_list(), table.stage,
      fmt::join(key, ", "), action));
}

// What a copy begins with.
struct Announced {
  wire::Lsn at = 0;
  bool all = false;
  std::vector<CopiedTable> tables;
};

Result<Announced> parse_announcement(std::string_view text, const TableShapes& own) {
  const json head = json::parse(text, nullptr, false);
  Announced out;
  try {
    out.at = TRY(wire::parse_lsn(head.at("lsn").get<std::string>()));
    out.all = head.at("all").get<bool>();
    for (const json& each : head.at("tables")) {
      const QualifiedName name{each.at("schema").get<std::string>(),
                               each.at("name").get<std::string>()};
      const auto mine = own.find(name);
      if (mine == own.end()) {
        return fail(Code::denied,
                    fmt::format("the stream brought a copy of {}, which is no reference table of "
                                "this region's catalog; nothing of it was stored",
                                to_string(name)),
                    "class_violation");
      }
      CopiedTable table{.own = mine->second, .columns = {}, .stage = {}};
      for (const ColumnShape& column : TRY(parse_shape(name, each.at("columns").dump())).columns) {
        if (!column.generated) table.columns.push_back(column.name);
      }
      out.tables.push_back(std::move(table));
    }
  } catch (const json::exception&) {
    return fail(Code::invalid, "a copy's announcement is malformed", "frame_malformed");
  }
  return out;
}

std::unexpected<Error> out_of_order(const char* what) {
  return fail(Code::invalid, what, "frame_malformed");
}

// Empty tables are loaded at once, others into a table of this transaction.
Result<void> load(pg::Connection& sql, CopiedTable& table, std::size_t index,
                  const std::function<std::optional<std::string>()>& rows) {
  const TableWriter writer = table.writer();
  const auto empty =
      TRY(sql.query(fmt::format("SELECT NOT EXISTS (SELECT FROM {})", writer.quoted_name())));
  if (!empty.boolean(0, 0)) {
    const std::string stage = pg::quote_identifier(fmt::format("domicile_copy_{}", index));
    table.stage = "pg_temp." + stage;
    TRY(sql.script(
        fmt::format("CREATE TEMPORARY TABLE {} ON COMMIT DROP AS SELECT {} FROM {} WITH NO DATA",
                    stage, writer.column_list(), writer.quoted_name())));
  }
  const std::string into = table.stage.empty() ? writer.quoted_name() : table.stage;
  const auto loaded =
      sql.copy_in(fmt::format("COPY {} ({}) FROM STDIN", into, writer.column_list()), rows);
  if (!loaded && is_own_rule(loaded.error())) {
    return fail(
        Code::conflict,
        fmt::format("the copy of {} is refused by a rule of this region's database (SQLSTATE {})",
                    to_string(table.own.name), loaded.error().reason),
        "copy_refused");
  }
  if (!loaded) return std::unexpected(loaded.error());
  if (!table.stage.empty()) TRY(sql.script("ANALYZE " + table.stage));
  return {};
}

// Brings the tables that held rows to what was loaded beside them. The tables whose vanished rows are in use here.
Result<std::vector<QualifiedName>> settle(pg::Connection& sql,
                                          const std::vector<CopiedTable>& tables, wire::Lsn at) {
  std::vector<QualifiedName> kept;
  for (const CopiedTable& table : tables | std::views::reverse) {
    if (!table.stage.empty()) TRY(remove_vanished(sql, table, at, kept));
  }
  for (const CopiedTable& table : tables) {
    if (table.stage.empty()) continue;
    auto merged = merge(sql, table);
    if (merged) continue;
    if (!is_own_rule(merged.error())) return std::unexpected(std::move(merged).error());
    return fail(Code::conflict,
                fmt::format("the copy of {} is refused by a rule of this region's database "
                            "(SQLSTATE {}): a row that is in use here holds a "
                            "unique value which the master region gave to another row; change it "
                            "here by hand, then domicile reference resync",
                            to_string(table.own.name), merged.error().reason),
                "copy_refused");
  }
  return kept;
}

// What was set aside before the copy is done by it, but for what it had to keep itself.
Result<void> forget_refusals(pg::Connection& sql, const std::vector<QualifiedName>& copied,
                             const std::vector<QualifiedName>& kept, wire::Lsn at) {
  for (const QualifiedName& name : copied) {
    TRY(sql.query(
        "UPDATE domicile.reference_quarantine SET resolved_at = pg_catalog.clock_timestamp() WHERE "
        "resolved_at IS NULL AND schema_name = $1 AND table_name = $2 AND position < $3::pg_lsn",
        {name.schema, name.name, wire::format_lsn(at)}));
    if (std::ranges::find(kept, name) != kept.end()) continue;
    TRY(sql.query(
        "SELECT domicile.resolve_reference_findings(ARRAY['delete_refused', 'row_refused'], $1)",
        {to_string(name)}));
  }
  return {};
}

}  // namespace

// The records of a copy, for one table after the other.
class Applier::Worker::CopyStream {
 public:
  CopyStream(Worker& worker, RecordSource& source) : worker_(worker), source_(source) {}

  // Before the first table.
  Result<void> open() {
    const Record first = TRY(next());
    if (!ends_table(first)) return out_of_order("a copy without tables");
    return {};
  }
  bool ended() const { return ended_; }
  bool starts(std::size_t index) const { return pending_ == std::to_string(index); }
  const std::string& sequences() const { return sequences_; }
  Result<void>& broken() { return broken_; }  // why there were no more rows

  // The next rows of this table; nullopt at its end.
  std::optional<std::string> rows(const QualifiedName& table) {
    auto got = next();
    if (!got) {
      broken_ = std::unexpected(std::move(got).error());
    } else if (got->kind == RecordKind::copy_rows) {
      source_.facts().rows[table] +=
          static_cast<std::uint64_t>(std::ranges::count(got->bytes, '\n'));
      return std::string(got->bytes);
    } else if (!ends_table(*got)) {
      broken_ = out_of_order("a change in the middle of a copy");
    }
    return std::nullopt;
  }

 private:
  bool ends_table(const Record& record) {
    if (record.kind == RecordKind::copy_table)
      pending_ = record.bytes;
    else if (record.kind == RecordKind::copy_end)
      ended_ = true, sequences_ = record.bytes;
    else
      return false;
    return true;
  }
  Result<Record> next() {
    while (!worker_.stopping()) {
      const auto got = TRY(source_.next(std::chrono::milliseconds(200)));
      if (got.moment == RecordSource::Moment::record) return got.record;
      if (got.moment == RecordSource::Moment::frame_end) {
        worker_.frames_.push_back(source_.facts());
        source_.release();
      }
    }
    return fail(Code::unavailable, "the node stops", "stopping");
  }

  Worker& worker_;
  RecordSource& source_;
  std::string pending_, sequences_;
  bool ended_ = false;
  Result<void> broken_;
};

Result<void> Applier::Worker::copy(RecordSource& source, Puller& puller,
                                   std::string_view announced) {
  if (in_source_) return out_of_order("a copy inside a transaction");
  if (open_ || !changes_.empty() || reached_ != position_) TRY(commit(source, puller));
  auto parsed = parse_announcement(announced, own_);
  if (!parsed) {
    if (parsed.error().reason == "class_violation")
      raise("class_violation", "copy", parsed.error().message, "critical");
    return std::unexpected(std::move(parsed).error());
  }
  std::vector<CopiedTable>& tables = parsed->tables;
  log_info("reference",
           fmt::format("copying {} tables as of {}", tables.size(), wire::format_lsn(parsed->at)));
  std::vector<QualifiedName> names;
  for (const CopiedTable& table : tables) names.push_back(table.own.name);
  TRY(require_class(names, Savepoint::none));
  CopyStream stream(*this, source);
  TRY(stream.open());
  for (std::size_t i = 0; !stream.ended(); ++i) {
    if (i >= tables.size() || !stream.starts(i))
      return out_of_order("a copy's tables are out of order");
    auto loaded = load(*sql_, tables[i], i, [&] { return stream.rows(names[i]); });
    if (!stream.broken()) return stream.broken();
    TRY(std::move(loaded));
  }
  const auto kept = TRY(settle(*sql_, tables, parsed->at));
  TRY(forget_refusals(*sql_, names, kept, parsed->at));
  TRY(set_sequences(stream.sequences()));
  frames_.push_back(source.facts());
  source.facts()
      .rows.clear();  // its event is written here; nothing but the end of the frame follows
  TRY(finish_copy(names, parsed->at, parsed->all));
  for (const QualifiedName& name : kept) {
    raise("delete_refused", to_string(name),
          fmt::format("rows of {} that the master region has no more are in use here",
                      to_string(name)),
          "medium");
  }
  puller.confirm(position_);
  const auto described = described_;
  for (const auto& [id, message] : described) {
    const auto relation = TRY(wire::pgoutput::parse(message));
    TRY(take_relation(std::get<wire::pgoutput::Relation>(relation)));
  }
  report("streaming", {});
  return {};
}

// The tables are copied, with the transaction that stored their rows; after a copy of everything the region stands where
// the copy does.
Result<void> Applier::Worker::finish_copy(const std::vector<QualifiedName>& names, wire::Lsn at,
                                          bool all) {
  for (const QualifiedName& name : names) {
    TRY(
        sql_->query("UPDATE domicile.reference_table SET copied_lsn = $3::pg_lsn, copied_at = "
                    "pg_catalog.clock_timestamp() "
                    "WHERE schema_name = $1 AND table_name = $2",
                    {name.schema, name.name, wire::format_lsn(at)}));
  }
  if (all) {
    const auto moved = TRY(sql_->query(
        "UPDATE domicile.reference_source s SET position = $1::pg_lsn, resync = false, "
        "accept_master = false, region = m.region, "
        "system_identifier = m.system_identifier, timeline = m.timeline, database_id = "
        "m.database_id, state = 'streaming', reason = '', detail = '', "
        "changed_at = pg_catalog.clock_timestamp() FROM "
        "pg_catalog.json_to_record(pg_catalog.current_setting('domicile.reference_master')::json) "
        "m(region text, system_identifier text, timeline bigint, database_id text) WHERE "
        "s.position = $2::pg_lsn",
        {wire::format_lsn(at), wire::format_lsn(position_)}));
    if (moved.affected() == 0)
      return fail(Code::conflict, "another applier was faster", "another_applier");
    reached_ = at;
  }
  TRY(sql_->script("SET LOCAL synchronous_commit = on"));
  TRY(make_visible(submit_frames(domain::Outcome::allowed, "")));
  if (all) {
    position_ = at;
    TRY(sql_->query("SELECT domicile.resolve_reference_findings(ARRAY['reference_resync'], NULL)"));
  }
  for (const QualifiedName& name : names) copied_[name] = at;
  return {};
}

// Only sequences behind reference tables, and only forward.
Result<void> Applier::Worker::set_sequences(std::string_view values) {
  const bool own_transaction = !open_;
  TRY(sql_->script(own_transaction ? "BEGIN; SAVEPOINT sequences" : "SAVEPOINT sequences"));
  const auto done = sql_->query(
      "SELECT pg_catalog.setval(s.oid::pg_catalog.regclass, w.value) FROM (SELECT key, "
      "value::bigint FROM pg_catalog.json_each_text($1::json)) w "
      "JOIN pg_catalog.pg_class s ON s.oid = pg_catalog.to_regclass(w.key) AND s.relkind = 'S' "
      "JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND "
      "d.objid = s.oid AND d.deptype IN ('a', 'i') "
      "JOIN pg_catalog.pg_class c ON c.oid = d.refobjid JOIN pg_catalog.pg_namespace n ON n.oid = "
      "c.relnamespace "
      "JOIN domicile.reference_tables() t ON t.schema_name = n.nspname AND t.table_name = "
      "c.relname "
      // The planner may ask for other relations first, and only a sequence may be asked.
      "WHERE CASE WHEN s.relkind = 'S' AND pg_catalog.has_sequence_privilege(s.oid, 'UPDATE') "
      "THEN coalesce(pg_catalog.pg_sequence_last_value(s.oid), 0) < w.value END",
      {std::string(values)});
  if (!done) {
    log_warning("reference",
                "the sequences behind reference tables cannot be set: " + done.error().message);
    TRY(sql_->script("ROLLBACK TO SAVEPOINT sequences"));
  }
  return sql_->script(own_transaction ? "COMMIT" : "RELEASE SAVEPOINT sequences");
}

}  // namespace domicile::reference
