// What roles come to: the region's role book, and over it what an organization defines for itself.
// Pure.
#pragma once

#include <map>
#include <span>
#include <string_view>
#include <vector>

#include "domain/names.h"
#include "store/directory.h"

namespace domicile::issuer {

class RoleBook {
 public:
  using Roles = std::map<domain::RoleName, std::vector<domain::Permission>>;

  RoleBook() = default;
  explicit RoleBook(Roles roles) : roles_(std::move(roles)) {}
  // For a node without a roles file: member (data:read), editor (and data:write), admin (and
  // org:admin).
  static RoleBook built_in();

  bool knows(const domain::RoleName& role) const { return roles_.contains(role); }
  const Roles& roles() const { return roles_; }

  // Sorted, without duplicates. A role that nobody defines gives nothing.
  std::vector<domain::Permission> permissions(std::span<const domain::RoleName> roles,
                                              const store::OrganizationRoles& own) const;

 private:
  Roles roles_;
};

}  // namespace domicile::issuer
