// SQLSTATEs of the registry's functions (class DR) as reasons. Internal to registry_sql*.cpp.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "domain/registry_snapshot.h"
#include "pg/connection.h"

namespace domicile::store {

Error registry_error(Error error);

template <typename T>
Result<T> registry_result(Result<T> result) {
  if (!result) return std::unexpected(registry_error(std::move(result).error()));
  return result;
}

// 64 hex digits, from the database: a CHECK there holds the length.
domain::DomainHash registry_hash_of(std::string_view hex);

std::string bytea_literal(const domain::DomainHash& hash);             // \x..., as a parameter
std::string bytea_array_literal(std::span<const domain::DomainHash>);  // {"\\x...",...}

}  // namespace domicile::store
