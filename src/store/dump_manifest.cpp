#include "store/dump_manifest.h"

#include <algorithm>
#include <array>
#include <cctype>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace domicile::store {
namespace {

using nlohmann::json;

json table_json(const DumpedTable& table) {
  return {{"schema", table.name.schema},
          {"name", table.name.name},
          {"columns", table.columns},
          {"key", table.key},
          {"file", table.file},
          {"sha256", table.sha256},
          {"rows", table.rows},
          {"organizations", table.organizations},
          {"partitioned", table.partitioned},
          {"of_guard", table.of_guard}};
}

DumpedTable table_of(const json& from) {
  return {.name = {from.at("schema"), from.at("name")},
          .columns = from.at("columns"),
          .key = from.at("key"),
          .file = from.at("file"),
          .sha256 = from.at("sha256"),
          .rows = from.at("rows"),
          .organizations = from.at("organizations"),
          .partitioned = from.at("partitioned"),
          .of_guard = from.at("of_guard")};
}

// No name of PostgreSQL's has one; quote_identifier() would not have it.
bool has_zero(const std::string& name) { return name.contains('\0'); }

bool of_guard(const catalog::QualifiedName& name) {
  return name.schema == "domicile" || name.schema.starts_with("domicile_");
}

}  // namespace

bool is_dumped(const catalog::QualifiedName& of_guard) {
  static constexpr std::array kTables = {"organization",  "known_violation", "observation",
                                         "maintenance",   "maintenance_act", "former",
                                         "restored",      "release",         "release_part",
                                         "release_table", "release_change",  "published_release"};
  return of_guard.schema == "domicile_directory" ||
         (of_guard.schema == "domicile_private" && of_guard.name == "context_key") ||
         (of_guard.schema == "domicile" &&
          std::ranges::find(kTables, of_guard.name) != kTables.end());
}

std::string to_json(const DumpManifest& manifest) {
  json out = {{"version", 1},
              {"made_at", manifest.made_at},
              {"database", manifest.database},
              {"region", manifest.region},
              {"key_type", manifest.key_type},
              {"database_id", manifest.database_id},
              {"system_identifier", manifest.system_identifier},
              {"timeline", manifest.timeline},
              {"server_version", manifest.server_version},
              {"pre_data_sha256", manifest.pre_data_sha256},
              {"post_data_sha256", manifest.post_data_sha256},
              {"roles", manifest.roles},
              {"left_out", manifest.left_out},
              {"tables", json::array()},
              {"sequences", json::array()}};
  for (const auto& table : manifest.tables) out["tables"].push_back(table_json(table));
  for (const auto& sequence : manifest.sequences) {
    out["sequences"].push_back({{"schema", sequence.name.schema},
                                {"name", sequence.name.name},
                                {"last_value", sequence.last_value},
                                {"is_called", sequence.is_called}});
  }
  return out.dump(1, ' ', false, json::error_handler_t::replace) + "\n";
}

Result<DumpManifest> parse_dump_manifest(std::string_view text) {
  try {
    const json from = json::parse(text);
    if (from.at("version") != 1)
      return fail(Code::invalid, "it is of another version; use the domicile that made it",
                  "dump_manifest");
    DumpManifest manifest{.made_at = from.at("made_at"),
                          .database = from.at("database"),
                          .region = from.at("region"),
                          .key_type = from.at("key_type"),
                          .database_id = from.at("database_id"),
                          .system_identifier = from.at("system_identifier"),
                          .timeline = from.at("timeline"),
                          .server_version = from.at("server_version"),
                          .pre_data_sha256 = from.at("pre_data_sha256"),
                          .post_data_sha256 = from.at("post_data_sha256"),
                          .roles = from.at("roles"),
                          .left_out = from.at("left_out"),
                          .tables = {},
                          .sequences = {},
                          .sha256 = {}};
    for (const auto& table : from.at("tables")) {
      manifest.tables.push_back(table_of(table));
      const auto& made = manifest.tables.back();
      if (std::ranges::any_of(made.columns, has_zero) || has_zero(made.name.schema) ||
          has_zero(made.name.name) || has_zero(made.key))
        return fail(Code::invalid, "it holds a name with a zero byte", "dump_manifest");
      // A file of the dump's own folder, and nothing else on this machine.
      if (made.file != "data/" + dump_file_name(made.name))
        return fail(Code::invalid, fmt::format("it names the file {}", made.file), "dump_manifest");
      if (made.of_guard != of_guard(made.name) || (made.of_guard && !is_dumped(made.name)))
        return fail(Code::invalid,
                    fmt::format("it names {}, which no dump holds", to_string(made.name)),
                    "dump_manifest");
    }
    for (const auto& sequence : from.at("sequences")) {
      manifest.sequences.push_back({.name = {sequence.at("schema"), sequence.at("name")},
                                    .last_value = sequence.at("last_value"),
                                    .is_called = sequence.at("is_called")});
      const auto& name = manifest.sequences.back().name;
      if (has_zero(name.schema) || has_zero(name.name))
        return fail(Code::invalid, "it holds a name with a zero byte", "dump_manifest");
    }
    return manifest;
  } catch (const json::exception& error) {
    return fail(Code::invalid, fmt::format("it cannot be read: {}", error.what()), "dump_manifest");
  }
}

std::string dump_file_name(const catalog::QualifiedName& name) {
  std::string out;
  for (const char c : name.schema + "." + name.name) {
    const bool plain =
        std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '_' || c == '-';
    out += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out + ".copy";
}

}  // namespace domicile::store
