// The SQL files of sql/, compiled into the binary. `path` is relative to sql/:
// "region/0001_guard.sql".
#pragma once

#include <span>
#include <string_view>

namespace domicile::store {

struct EmbeddedSql {
  std::string_view path;
  std::string_view text;
};

std::span<const EmbeddedSql> embedded_sql();  // sorted by path

}  // namespace domicile::store
