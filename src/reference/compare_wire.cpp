#include "reference/compare_wire.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/encoding.h"
#include "digest/copy_rows.h"

namespace domicile::reference {
namespace {

using nlohmann::json;

constexpr std::size_t kTablesMax = 10'000;
constexpr std::size_t kColumnsMax = 1'600;

std::unexpected<Error> malformed(std::string_view what) {
  return fail(Code::invalid, fmt::format("malformed comparison: {}", what), "compare_format");
}

Result<std::string> text(const json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_string()) return malformed(key);
  return found->get<std::string>();
}

template <typename Number>
Result<Number> number(const json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_number()) return malformed(key);
  if (std::is_integral_v<Number> && !found->is_number_unsigned()) return malformed(key);
  return found->get<Number>();
}

Result<const json*> list(const json& object, const char* key, std::size_t most) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_array() || found->size() > most) return malformed(key);
  return &*found;
}

Result<ComparedTable> table_from(const json& object) {
  if (!object.is_object()) return malformed("tables");
  ComparedTable table;
  table.schema = TRY(text(object, "schema"));
  table.name = TRY(text(object, "name"));
  table.key_columns = TRY(number<std::size_t>(object, "key_columns"));
  for (const json& column : *TRY(list(object, "columns", kColumnsMax))) {
    if (!column.is_array() || column.size() != 2 || !column[0].is_string() ||
        !column[1].is_string())
      return malformed("columns");
    table.columns.push_back({.name = column[0].get<std::string>(),
                             .type = column[1].get<std::string>(),
                             .expression = {}});
  }
  if (table.key_columns > table.columns.size()) return malformed("key_columns");
  return table;
}

void put_word(std::string& out, std::uint32_t word) {
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<char>(word >> shift));
}

std::uint32_t word_at(std::string_view bytes) {
  std::uint32_t out = 0;
  for (const char c : bytes.substr(0, 4)) out = out << 8 | static_cast<std::uint8_t>(c);
  return out;
}

}  // namespace

std::string encode_open(const CompareOpen& request) {
  return json{{"tables", request.tables}, {"rows_per_second", request.rows_per_second}}.dump(
      -1, ' ', false, json::error_handler_t::replace);
}

Result<CompareOpen> decode_open(std::string_view body) {
  const json object = json::parse(body, nullptr, false);
  if (!object.is_object()) return malformed("not a JSON object");
  CompareOpen request;
  request.rows_per_second = TRY(number<double>(object, "rows_per_second"));
  for (const json& table : *TRY(list(object, "tables", kTablesMax))) {
    if (!table.is_string()) return malformed("tables");
    request.tables.push_back(table.get<std::string>());
  }
  return request;
}

std::string encode_opened(const CompareOpened& opened) {
  json tables = json::array();
  for (const ComparedTable& table : opened.tables) {
    json columns = json::array();
    for (const ComparedColumn& column : table.columns)
      columns.push_back(json::array({column.name, column.type}));
    tables.push_back({{"schema", table.schema},
                      {"name", table.name},
                      {"key_columns", table.key_columns},
                      {"columns", std::move(columns)}});
  }
  return json{{"run", opened.run},
              {"key", to_hex(opened.key.reveal())},
              {"lsn", opened.lsn},
              {"tables", std::move(tables)}}
      .dump();
}

Result<CompareOpened> decode_opened(std::string_view body) {
  const json object = json::parse(body, nullptr, false);
  if (!object.is_object()) return malformed("not a JSON object");
  CompareOpened opened;
  opened.run = TRY(text(object, "run"));
  if (opened.run.empty() || opened.run.size() > 64) return malformed("run");
  const auto key = from_hex(TRY(text(object, "key")));
  if (!key) return malformed("key");
  opened.key = Secret(*key);
  opened.lsn = TRY(number<std::uint64_t>(object, "lsn"));
  for (const json& table : *TRY(list(object, "tables", kTablesMax)))
    opened.tables.push_back(TRY(table_from(table)));
  return opened;
}

std::string encode_progress(const ScanProgress& progress) {
  return json{{"rows", progress.rows},
              {"tables", progress.tables},
              {"done", progress.done},
              {"seconds", progress.seconds}}
      .dump();
}

Result<ScanProgress> decode_progress(std::string_view body) {
  const json object = json::parse(body, nullptr, false);
  if (!object.is_object()) return malformed("not a JSON object");
  ScanProgress progress;
  progress.rows = TRY(number<std::uint64_t>(object, "rows"));
  progress.tables = TRY(number<std::size_t>(object, "tables"));
  progress.seconds = TRY(number<double>(object, "seconds"));
  const auto done = object.find("done");
  if (done == object.end() || !done->is_boolean()) return malformed("done");
  progress.done = done->get<bool>();
  return progress;
}

std::string encode_digests(const Digests& digests) {
  std::string out;
  out.reserve(digests.size() * digest::Hash128::kBytes);
  for (const digest::Hash128& digest : digests) digest.append_to(out);
  return out;
}

Result<Digests> decode_digests(std::string_view bytes, std::size_t most) {
  if (bytes.size() % digest::Hash128::kBytes != 0 || bytes.size() / digest::Hash128::kBytes > most)
    return malformed("digests");
  Digests out;
  for (; !bytes.empty(); bytes.remove_prefix(digest::Hash128::kBytes))
    out.push_back(digest::Hash128::from(bytes));
  return out;
}

std::string encode_rows(const std::vector<MasterRow>& rows) {
  std::string out;
  for (const MasterRow& row : rows) {
    std::string fields;
    fields.push_back(static_cast<char>(row.values.size() >> 8));
    fields.push_back(static_cast<char>(row.values.size()));
    for (const pg::Param& value : row.values) {
      put_word(fields, value ? static_cast<std::uint32_t>(value->size()) : UINT32_MAX);
      if (value) fields += *value;
    }
    row.hash.append_to(out);
    put_word(out, static_cast<std::uint32_t>(fields.size()));
    out += fields;
  }
  return out;
}

Result<std::vector<MasterRow>> decode_rows(std::string_view bytes, std::size_t most) {
  constexpr std::size_t kHead = digest::Hash128::kBytes + 4;
  std::vector<MasterRow> out;
  digest::CopyRows reader = digest::CopyRows::after_header();
  while (!bytes.empty()) {
    if (bytes.size() < kHead || out.size() == most) return malformed("rows");
    MasterRow& row =
        out.emplace_back(MasterRow{.hash = digest::Hash128::from(bytes), .values = {}});
    const std::uint32_t length = word_at(bytes.substr(digest::Hash128::kBytes));
    bytes.remove_prefix(kHead);
    if (length > bytes.size()) return malformed("rows");
    const digest::CopyRow* fields = TRY(reader.next(bytes.substr(0, length)));
    if (fields == nullptr) return malformed("rows");
    for (std::size_t i = 0; i < fields->size(); ++i)
      row.values.push_back(fields->null(i) ? pg::Param()
                                           : pg::Param(std::string(fields->value(i))));
    bytes.remove_prefix(length);
  }
  return out;
}

}  // namespace domicile::reference
