#include "issuer/roles.h"

#include <algorithm>

namespace domicile::issuer {

using domain::Permission;
using domain::RoleName;

RoleBook RoleBook::built_in() {
  return RoleBook({{RoleName("member"), {Permission("data:read")}},
                   {RoleName("editor"), {Permission("data:read"), Permission("data:write")}},
                   {RoleName("admin"),
                    {Permission("data:read"), Permission("data:write"), Permission("org:admin")}}});
}

std::vector<Permission> RoleBook::permissions(std::span<const RoleName> roles,
                                              const store::OrganizationRoles& own) const {
  std::vector<Permission> out;
  for (const auto& role : roles) {
    const auto mine = own.find(role);
    const auto regional = roles_.find(role);
    if (mine != own.end()) {
      out.insert(out.end(), mine->second.begin(), mine->second.end());
    } else if (regional != roles_.end()) {
      out.insert(out.end(), regional->second.begin(), regional->second.end());
    }
  }
  std::ranges::sort(out);
  out.erase(std::ranges::unique(out).begin(), out.end());
  return out;
}

}  // namespace domicile::issuer
