// The part of an applier that takes copies of whole tables. A table that is empty is loaded at once; one that holds rows
// gets the difference, so that rows which this region's organizations use stay where they are. Everything of one
// copy is one transaction: readers see all of it or nothing.
#include <algorithm>
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

}  // namespace

Result<void> Applier::Worker::copy(RecordSource& source, Puller& puller,
                                   std::string_view announced) {
  if (in_source_) return fail(Code::invalid, "a copy inside a transaction", "frame_malformed");
  if (open_ || !changes_.empty() || reached_ != position_) TRY(commit(source, puller));
  const json head = json::parse(announced, nullptr, false);
  std::vector<CopiedTable> tables;
  wire::Lsn at = 0;
  bool all = false;
  try {
    at = TRY(wire::parse_lsn(head.at("lsn").get<std::string>()));
    all = head.at("all").get<bool>();
    for (const json& each : head.at("tables")) {
      const QualifiedName name{each.at("schema").get<std::string>(),
                               each.at("name").get<std::string>()};
      const auto own = own_.find(name);
      if (own == own_.end()) {
        const std::string detail = fmt::format(
            "the stream brought a copy of {}, which is no reference table of this region's catalog",
            to_string(name));
        raise("class_violation", to_string(name), detail, "critical");
        return fail(Code::denied, detail, "class_violation");
      }
      CopiedTable table{.own = own->second, .columns = {}, .stage = {}};
      for (const ColumnShape& column : TRY(parse_shape(name, each.at("columns").dump())).columns) {
        if (!column.generated) table.columns.push_back(column.name);
      }
      tables.push_back(std::move(table));
    }
  } catch (const json::exception&) {
    return fail(Code::invalid, "a copy's announcement is malformed", "frame_malformed");
  }
  log_info("reference",
           fmt::format("copying {} tables as of {}", tables.size(), wire::format_lsn(at)));
  TRY(begin());
  std::vector<std::string> schemas, names;
  for (const auto& table : tables) {
    schemas.push_back(table.own.name.schema);
    names.push_back(table.own.name.name);
  }
  if (const auto allowed = sql_->query("SELECT domicile.require_reference($1::text[], $2::text[])",
                                       {pg::array_literal(schemas), pg::array_literal(names)});
      !allowed) {
    return fail(Code::denied, allowed.error().message, "class_violation");
  }

  std::string sequences;
  std::string_view pending;  // rows that came with the record that ended the last table
  bool ended = false;
  // The next rows of the table at hand; nullopt at its end. `broken` tells why there are no more.
  Result<void> broken;
  std::optional<std::size_t> table_at;
  const auto next_record = [&]() -> Result<std::optional<Record>> {
    while (!stopping()) {
      const auto next = TRY(source.next(std::chrono::milliseconds(200)));
      if (next.moment == RecordSource::Moment::record) return next.record;
      if (next.moment == RecordSource::Moment::frame_end) {
        frames_.push_back(source.facts());
        source.release();
      }
    }
    return fail(Code::unavailable, "the node stops", "stopping");
  };
  const auto rows_of_table = [&]() -> std::optional<std::string> {
    for (;;) {
      auto record = next_record();
      if (!record) {
        broken = std::unexpected(record.error());
        return std::nullopt;
      }
      const Record& got = **record;
      if (got.kind == RecordKind::copy_rows) {
        source.facts().rows[tables[*table_at].own.name] +=
            static_cast<std::uint64_t>(std::ranges::count(got.bytes, '\n'));
        return std::string(got.bytes);
      }
      if (got.kind == RecordKind::copy_table) {
        pending = got.bytes;
      } else if (got.kind == RecordKind::copy_end) {
        sequences = got.bytes;
        ended = true;
      } else {
        broken = fail(Code::invalid, "a change in the middle of a copy", "frame_malformed");
      }
      return std::nullopt;
    }
  };
  // Before the first table.
  if (const auto first = TRY(next_record()); first->kind == RecordKind::copy_table)
    pending = first->bytes;
  else if (first->kind == RecordKind::copy_end)
    ended = true, sequences = first->bytes;
  else
    return fail(Code::invalid, "a copy without tables", "frame_malformed");
  for (std::size_t i = 0; !ended; ++i) {
    if (i >= tables.size() || pending != std::to_string(i))
      return fail(Code::invalid, "a copy's tables are out of order", "frame_malformed");
    table_at = i;
    CopiedTable& table = tables[i];
    const TableWriter writer = table.writer();
    const auto empty =
        TRY(sql_->query(fmt::format("SELECT NOT EXISTS (SELECT FROM {})", writer.quoted_name())));
    if (!empty.boolean(0, 0)) {
      table.stage =
          fmt::format("pg_temp.{}", pg::quote_identifier(fmt::format("domicile_copy_{}", i)));
      TRY(sql_->script(
          fmt::format("CREATE TEMPORARY TABLE {} ON COMMIT DROP AS SELECT {} FROM {} WITH NO DATA",
                      pg::quote_identifier(fmt::format("domicile_copy_{}", i)),
                      writer.column_list(), writer.quoted_name())));
    }
    const auto loaded = sql_->copy_in(
        fmt::format("COPY {} ({}) FROM STDIN",
                    table.stage.empty() ? writer.quoted_name() : table.stage, writer.column_list()),
        rows_of_table);
    TRY(std::move(broken));
    if (!loaded) {
      if (is_own_rule(loaded.error())) {
        return fail(Code::conflict,
                    fmt::format("the copy of {} is refused by a rule of this region's database: {}",
                                to_string(table.own.name), loaded.error().reason),
                    "copy_refused");
      }
      return std::unexpected(loaded.error());
    }
    if (!table.stage.empty()) TRY(sql_->script("ANALYZE " + table.stage));
  }

  std::vector<QualifiedName> kept;
  for (const CopiedTable& table : tables | std::views::reverse) {
    if (!table.stage.empty()) TRY(remove_vanished(*sql_, table, at, kept));
  }
  for (const CopiedTable& table : tables) {
    if (table.stage.empty()) continue;
    if (const auto merged = merge(*sql_, table); !merged) {
      if (!is_own_rule(merged.error())) return merged;
      return fail(Code::conflict,
                  fmt::format("the copy of {} is refused by a rule of this region's database "
                              "(SQLSTATE {}): a row that is in use here holds a "
                              "unique value which the master region gave to another row; change it "
                              "here by hand, then domicile reference resync",
                              to_string(table.own.name), merged.error().reason),
                  "copy_refused");
    }
  }
  TRY(set_sequences(sequences));
  for (const CopiedTable& table : tables) {
    TRY(
        sql_->query("UPDATE domicile.reference_table SET copied_lsn = $3::pg_lsn, copied_at = "
                    "pg_catalog.clock_timestamp() "
                    "WHERE schema_name = $1 AND table_name = $2",
                    {table.own.name.schema, table.own.name.name, wire::format_lsn(at)}));
  }
  if (all) {
    TRY(sql_->query(
        "UPDATE domicile.reference_source s SET position = $1::pg_lsn, resync = false, "
        "accept_master = false, region = m.region, "
        "system_identifier = m.system_identifier, timeline = m.timeline, database_id = "
        "m.database_id, state = 'streaming', reason = '', detail = '', "
        "changed_at = pg_catalog.clock_timestamp() FROM "
        "pg_catalog.json_to_record(pg_catalog.current_setting('domicile.reference_master')::json) "
        "m(region text, system_identifier text, timeline bigint, database_id text)",
        {wire::format_lsn(at)}));
  }
  TRY(sql_->script("SET LOCAL synchronous_commit = on"));
  if (source.facts().sequence != 0) frames_.push_back(source.facts());
  source.facts()
      .rows.clear();  // its event is written here; nothing but the end of the frame may follow
  if (all) reached_ = at;
  TRY(record_frames(domain::Outcome::allowed, ""));
  open_ = false;
  TRY(sql_->script("COMMIT"));
  if (all) position_ = reached_ = at;
  for (const CopiedTable& table : tables) copied_[table.own.name] = at;
  for (const QualifiedName& name : kept) {
    quarantined_.insert(name);
    raise("delete_refused", to_string(name),
          fmt::format("rows of {} that the master region has no more are in use here",
                      to_string(name)),
          "medium");
  }
  puller.confirm(position_);
  const auto described = described_;
  for (const auto& [id, message] : described) {
    const auto parsed = TRY(wire::pgoutput::parse(message));
    TRY(take_relation(std::get<wire::pgoutput::Relation>(parsed)));
  }
  report("streaming", {});
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
      "WHERE pg_catalog.has_sequence_privilege(s.oid, 'UPDATE') AND "
      "coalesce(pg_catalog.pg_sequence_last_value(s.oid), 0) < w.value",
      {std::string(values)});
  if (!done) {
    log_warning("reference",
                "the sequences behind reference tables cannot be set: " + done.error().message);
    TRY(sql_->script("ROLLBACK TO SAVEPOINT sequences"));
  }
  return sql_->script(own_transaction ? "COMMIT" : "RELEASE SAVEPOINT sequences");
}

}  // namespace domicile::reference
