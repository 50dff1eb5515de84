// The identifiers that every module speaks, and the one place where text becomes one of them.
//
// OrgKey is the application's own organization key in canonical text: a bigint in decimal, a uuid
// in lower case, or text of up to 63 characters of [A-Za-z0-9_.:@-]. It names an organization in
// the registry, in tokens, in the database and in events. A Slug is what a person types at sign-in.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/id.h"
#include "base/result.h"

namespace domicile::domain {

using OrgKey = Id<struct OrgTag>;
using Slug = Id<struct SlugTag>;
using RegionId = Id<struct RegionTag>;      // "ca-central-1": also the name of the primary location
using LocationId = Id<struct LocationTag>;  // "ca-west-1"
using JurisdictionId = Id<struct JurisdictionTag>;  // "CA"
using UserId = Id<struct UserTag>;                  // opaque, unique within a region
using Permission = Id<struct PermissionTag>;        // "courses:read"
using RoleName = Id<struct RoleTag>;                // "instructor"
using Epoch = std::uint64_t;  // grows with every change of an organization's placement

enum class KeyType { bigint, uuid, text };
std::string_view to_string(KeyType type);
Result<KeyType> parse_key_type(std::string_view text);

Result<OrgKey> parse_org_key(std::string_view text);                // any type
Result<OrgKey> parse_org_key(std::string_view text, KeyType type);  // that type, in canonical form
Result<Slug> parse_slug(std::string_view text);           // [a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?
Result<RegionId> parse_region_id(std::string_view text);  // same alphabet as a slug
Result<LocationId> parse_location_id(std::string_view text);
Result<JurisdictionId> parse_jurisdiction_id(std::string_view text);  // [A-Z][A-Z0-9-]{1,15}
Result<Permission> parse_permission(std::string_view text);  // noun:verb, [a-z0-9_.-]+ each
Result<RoleName> parse_role_name(std::string_view text);     // [a-z][a-z0-9_-]{0,62}

}  // namespace domicile::domain
