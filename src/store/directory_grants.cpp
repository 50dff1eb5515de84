// Cross-organization grants of the directory.
#include "store/directory_pg.h"
#include "store/directory_rows.h"

namespace domicile::store {

Result<std::vector<domain::Grant>> PgDirectory::live_grants(const domain::UserId& user,
                                                            std::int64_t now_s) {
  const auto rows =
      TRY(read("SELECT g.id, g.target, array_to_string(g.permissions, ' '), extract(epoch FROM "
               "g.expires_at)::bigint"
               " FROM domicile_directory.access_grant g JOIN domicile_directory.user_account u"
               " ON u.id = g.user_id AND u.organization = g.organization"
               " WHERE g.user_id = $1 AND g.revoked_at IS NULL AND g.expires_at > to_timestamp($2)"
               " ORDER BY g.expires_at DESC, g.id LIMIT 64",
               {user.text(), number(now_s)}));
  std::vector<domain::Grant> grants;
  for (int row = 0; row < rows.size(); ++row) {
    grants.push_back({.id = std::string(rows.text(row, 0)),
                      .organization = domain::OrgKey(rows.text(row, 1)),
                      .permissions = split<domain::Permission>(rows.text(row, 2)),
                      .expires_at = rows.integer(row, 3)});
  }
  return grants;
}

Result<std::vector<AccessGrant>> PgDirectory::grants(
    const std::optional<domain::OrgKey>& organization) {
  const auto rows = TRY(
      read("SELECT id, user_id, organization, target, array_to_string(permissions, ' '), ticket, "
           "granted_by,"
           " extract(epoch FROM created_at)::bigint, extract(epoch FROM expires_at)::bigint,"
           " extract(epoch FROM revoked_at)::bigint FROM domicile_directory.access_grant"
           " WHERE $1::text IS NULL OR organization::text = $1 OR target::text = $1 ORDER BY "
           "created_at, id",
           {organization ? pg::Param(organization->text()) : std::nullopt}));
  std::vector<AccessGrant> grants;
  for (int row = 0; row < rows.size(); ++row) {
    AccessGrant grant{.id = std::string(rows.text(row, 0)),
                      .user = domain::UserId(rows.text(row, 1)),
                      .organization = domain::OrgKey(rows.text(row, 2)),
                      .target = domain::OrgKey(rows.text(row, 3)),
                      .permissions = split<domain::Permission>(rows.text(row, 4)),
                      .ticket = std::string(rows.text(row, 5)),
                      .granted_by = std::string(rows.text(row, 6)),
                      .created_at = rows.integer(row, 7),
                      .expires_at = rows.integer(row, 8),
                      .revoked_at = {}};
    if (!rows.null(row, 9)) grant.revoked_at = rows.integer(row, 9);
    grants.push_back(std::move(grant));
  }
  return grants;
}

}  // namespace domicile::store
