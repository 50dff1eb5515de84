// Makes the index: a database of its own, its owner (the node's loader), a reader that may do nothing
// but SELECT, and the migrations. Also gives an organization's administrators a login of their own.
// Every step can be run again.
#pragma once

#include <string>

#include "base/result.h"
#include "base/secret.h"
#include "pg/connection.h"

namespace domicile::logindex {

// Group roles of the cluster, without login.
inline constexpr const char* kReaderRole = "domicile_index_readers";
inline constexpr const char* kOrganizationRole = "domicile_index_organizations";

struct InstallOptions {
  std::string database = "domicile_index";
  // Logins of the loader and the reader are named after the database: _loader, _reader. A password
  // that is empty leaves an existing login's as it is.
  Secret loader_password;
  Secret reader_password;
};
std::string loader_login(const std::string& database);
std::string reader_login(const std::string& database);

// As an administrator with CREATEROLE and CREATEDB, connected to any other database of the cluster.
Result<void> create_database(pg::Connection& admin, const InstallOptions& options);
// As the loader, in the index's database. How many steps were applied.
Result<int> migrate_index(pg::Connection& loader);

// `admin` is connected to the index's database. Code::conflict: the login is there already.
Result<void> grant_organization(pg::Connection& admin, const std::string& login,
                                const std::string& organization, const Secret& password);
// Code::not_found: the login is not one of an organization.
Result<void> revoke_organization(pg::Connection& admin, const std::string& login);

}  // namespace domicile::logindex
