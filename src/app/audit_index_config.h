// The [audit_index] part of a node's file: whether this node keeps an index of its log.
//
//   [audit_index]
//     dsn_file = "index.dsn"     # the index's owner, as domicile audit index create wrote it
//     retention_days = 400       # older days leave the index (not the log); absent: none does
#pragma once

#include <filesystem>

#include "app/toml_reader.h"

namespace domicile::app {

struct AuditIndexConfig {
  std::filesystem::path dsn_file;  // empty: no index
  unsigned retention_days = 0;     // 0: everything stays
};

AuditIndexConfig read_audit_index(TomlReader& reader, const std::filesystem::path& folder);

}  // namespace domicile::app
