// The registry's feed on the wire, a JSON object (docs/registry.md lists the fields: nothing else
// crosses the border here). decode_delta() is strict: a field that is missing, of another type or
// malformed is Code::invalid, and nothing of the delta is used.
#pragma once

#include <string>
#include <string_view>

#include "registry/registry_store.h"

namespace domicile::registry {

std::string encode_delta(const RegistryDelta& delta);
Result<RegistryDelta> decode_delta(std::string_view json);

inline std::string_view domain_bytes(const domain::DomainHash& hash) {
  return {reinterpret_cast<const char*>(hash.data()), hash.size()};
}
// 64 hex digits.
Result<domain::DomainHash> parse_hash(std::string_view hex);

}  // namespace domicile::registry
