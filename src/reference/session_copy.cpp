// The part of a session that copies whole tables.
#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "base/encoding.h"
#include "base/log.h"
#include "crypto/random.h"
#include "reference/session.h"

namespace domicile::reference {
namespace {

using nlohmann::json;

constexpr std::size_t kLinesAtOnce = 64u << 10;

// What the publication says of each of its tables: the columns that travel.
using Published = std::map<QualifiedName, std::set<std::string>>;

Result<Published> published(pg::Connection& sql) {
  Published tables;
  const auto rows = TRY(
      sql.query("SELECT p.schemaname, p.tablename, pg_catalog.array_to_string(p.attnames, E'\\n') "
                "FROM pg_catalog.pg_publication_tables p WHERE p.pubname = $1",
                {kPublication}));
  for (int i = 0; i < rows.size(); ++i) {
    const auto columns = rows.lines(i, 2);
    tables[{std::string(rows.text(i, 0)), std::string(rows.text(i, 1))}] = {columns.begin(),
                                                                            columns.end()};
  }
  return tables;
}

}  // namespace

Result<void> Session::begin_streaming(pg::ReplicationConnection& stream) {
  const Published tables = TRY(published(*sql_));
  for (const auto& [name, columns] : tables) TRY(check_class(name.schema, name.name));
  if (tables.empty()) {
    return fail(Code::unavailable,
                fmt::format("the publication {} is not in this database: run `domicile region "
                            "init` with the catalog that names "
                            "the reference tables",
                            kPublication),
                "publication_missing");
  }
  TRY(sql_->query("SELECT domicile.resolve_reference_findings(ARRAY['class_violation'], NULL)"));
  std::vector<QualifiedName> wanted;
  for (const QualifiedName& name : TRY(parents_first(*sql_, tables_))) {
    const bool due = start_.copying == Copying::everything || !start_.copied.contains(name);
    if (due && tables.contains(name) && name != QualifiedName{"domicile", "reference_beat"})
      wanted.push_back(name);
  }
  if (start_.copying == Copying::everything) {
    note("copying", {});
    if (const auto dropped = stream.drop_slot(slot_); !dropped && dropped.error().reason != "42704")
      return dropped;
    const auto slot = TRY(stream.create_slot(slot_, pg::SlotLife::permanent, options_.slot_wait));
    from_ = to_ = slot.consistent_point;
    TRY(copy(slot.snapshot, slot.consistent_point, wanted));
    return stream.start(slot_, slot.consistent_point, kPublication);
  }
  from_ = to_ = start_.position;
  if (!wanted.empty()) {
    auto holder = TRY(pg::ReplicationConnection::open(std::string(options_.dsn.reveal())));
    const std::string name = "domicile_copy_" + to_hex(crypto::random_bytes(8));
    auto slot = TRY(holder.create_slot(name, pg::SlotLife::temporary, options_.slot_wait));
    late_.emplace(LateCopy{std::move(holder), std::move(slot), std::move(wanted)});
  }
  return stream.start(slot_, start_.position, kPublication);
}

Result<void> Session::copy(const std::string& snapshot, wire::Lsn at,
                           const std::vector<QualifiedName>& names) {
  auto reader = TRY(pg::Connection::open(std::string(options_.dsn.reveal())));
  TRY(
      reader.script(fmt::format("SET datestyle = ISO; SET intervalstyle = postgres; SET "
                                "extra_float_digits = 3; SET timezone = 'UTC'; "
                                "SET bytea_output = hex; SET search_path = ''; BEGIN ISOLATION "
                                "LEVEL REPEATABLE READ READ ONLY; "
                                "SET TRANSACTION SNAPSHOT {}",
                                pg::quote_literal(snapshot))));
  const Published travels = TRY(published(reader));
  json begin = {{"lsn", wire::format_lsn(at)},
                {"all", start_.copying == Copying::everything},
                {"tables", json::array()}};
  std::vector<std::string> statements;
  for (const QualifiedName& name : names) {
    const auto shape = tables_.find(name);
    const auto list = travels.find(name);
    if (shape == tables_.end() || list == travels.end()) {
      return fail(Code::conflict,
                  fmt::format("{} left the publication while it was copied", to_string(name)),
                  "session_unknown");
    }
    TableShape sent{.name = name, .columns = {}};
    std::vector<std::string> columns;
    std::string stays;  // withheld rows (withheld.h)
    for (const ColumnShape& column : shape->second.columns) {
      if (column.refuse)
        stays += fmt::format("{}{} IS NULL", stays.empty() ? " WHERE " : " AND ",
                             pg::quote_identifier(column.name));
      if (!list->second.contains(column.name)) continue;
      sent.columns.push_back(column);
      if (!column.generated) columns.push_back(pg::quote_identifier(column.name));
    }
    begin["tables"].push_back({{"schema", name.schema},
                               {"name", name.name},
                               {"columns", json::parse(sent.columns_json())}});
    statements.push_back(fmt::format("COPY (SELECT {} FROM {}{}) TO STDOUT",
                                     fmt::join(columns, ", "), quoted(name), stays));
  }
  writer_.add(RecordKind::copy_begin, begin.dump());
  for (std::size_t i = 0; i < names.size(); ++i) {
    writer_.add(RecordKind::copy_table, std::to_string(i));
    std::string lines;
    Result<void> sealed;
    const auto flush = [&] {
      writer_.add(RecordKind::copy_rows, lines);
      lines.clear();
      if (writer_.size() >= options_.frame_bytes) sealed = seal();
      return sealed && !stopping();
    };
    auto done = reader.copy_out(statements[i], [&](std::string_view line) {
      lines += line;
      ++rows_[names[i]];
      return lines.size() < kLinesAtOnce || flush();
    });
    TRY(std::move(sealed));
    TRY(std::move(done));
    if (!lines.empty()) flush();
    TRY(std::move(sealed));
  }
  writer_.add(RecordKind::copy_end, TRY(sequences_json(*sql_)));
  log_info("reference", fmt::format("{} tables were copied for {}{}{}", names.size(), start_.region,
                                    start_.reason.empty() ? "" : ": ", start_.reason));
  return seal();
}

}  // namespace domicile::reference
