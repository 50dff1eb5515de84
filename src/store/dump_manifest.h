// What a dump holds, as its manifest.json says: every table with its rows, its rows per organization
// and the SHA-256 of its file, all seen in one snapshot. A restore believes nothing else.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "catalog/catalog.h"

namespace domicile::store {

struct DumpedTable {
  catalog::QualifiedName name;
  std::vector<std::string> columns;  // of the file, in its order; generated ones are left out
  std::string key;                   // the organization's key column, or ""
  std::string file;                  // in the dump's folder
  std::string sha256;
  std::int64_t rows = 0;
  std::map<std::string, std::int64_t> organizations;  // rows by key; "" is NULL
  bool partitioned = false;
  bool of_guard = false;  // one of Domicile's own tables
};

struct DumpedSequence {
  catalog::QualifiedName name;
  std::string last_value;
  bool is_called = false;
};

struct DumpManifest {
  std::string made_at;  // ISO 8601, UTC
  std::string database;
  std::string region;
  std::string key_type;
  std::string database_id;
  std::string system_identifier;
  std::string timeline;
  int server_version = 0;
  std::string pre_data_sha256;        // of pre-data.sql
  std::string post_data_sha256;       // of post-data.sql
  std::vector<std::string> roles;     // that the schema names: owners and grantees
  std::vector<std::string> left_out;  // what is not in it, for people
  std::vector<DumpedTable> tables;
  std::vector<DumpedSequence> sequences;
  std::string sha256;  // of manifest.json itself, where it was read from there
};

std::string to_json(const DumpManifest& manifest);
// Strict: a missing or mistyped field is Code::invalid.
Result<DumpManifest> parse_dump_manifest(std::string_view text);

// Domicile's own tables that a dump may hold: what no catalog and no registry can give back.
bool is_dumped(const catalog::QualifiedName& of_guard);

// A name as a file name: letters, digits, dot, dash and underscore stay, the rest is %XX.
std::string dump_file_name(const catalog::QualifiedName& name);

}  // namespace domicile::store
