#include "store/registry_errors.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/check.h"
#include "base/encoding.h"

namespace domicile::store {
namespace {

struct Row {
  std::string_view state;
  Code code;
  std::string_view reason;
};

constexpr Row kRows[] = {
    {"DR001", Code::conflict, "stale_epoch"},
    {"DR002", Code::conflict, "organization_exists"},
    {"DR003", Code::conflict, "slug_taken"},
    {"DR004", Code::conflict, "domain_taken"},
    {"DR005", Code::conflict, "operation_reused"},
    {"DR006", Code::not_found, "unknown_organization"},
    {"DR007", Code::invalid, "unknown_region"},
    {"DR008", Code::conflict, "not_in_this_state"},
    {"DR009", Code::invalid, "wrong_pepper"},
};

}  // namespace

Error registry_error(Error error) {
  for (const Row& row : kRows) {
    if (error.reason != row.state) continue;
    error.code = row.code;
    error.reason = row.reason;
    return error;
  }
  // Schema or table missing: the address leads to some other database.
  if (error.reason == "3F000" || error.reason == "42P01" || error.reason == "42883") {
    error.message = fmt::format(
        "this database holds no registry, or an older one ({}); run `domicile registry init` on "
        "it, or correct the address",
        error.message);
    error.code = Code::invalid;
    error.reason = "not_a_registry";
  }
  return error;
}

domain::DomainHash registry_hash_of(std::string_view hex) {
  const auto bytes = from_hex(hex);
  domain::DomainHash hash{};
  CHECK(bytes && bytes->size() == hash.size());
  std::ranges::copy(*bytes, hash.begin());
  return hash;
}

std::string bytea_literal(const domain::DomainHash& hash) {
  return "\\x" + to_hex({reinterpret_cast<const char*>(hash.data()), hash.size()});
}

std::string bytea_array_literal(std::span<const domain::DomainHash> hashes) {
  std::vector<std::string> items;
  for (const auto& hash : hashes) items.push_back(bytea_literal(hash));
  return pg::array_literal(items);
}

}  // namespace domicile::store
