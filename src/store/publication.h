// What the master region publishes for the others to follow: the publication domicile_reference, with
// the catalog's enforced reference tables, Domicile's own two, and nothing else. Columns that the
// catalog's links keep at home are left out of it; a table without such columns has no list, so that a
// column that is added travels at once. Other regions have no publication.
//
// In two halves around the change of the tables' guards: what must not be published is taken out
// first, what may be comes in last, so that no table is ever in the publication without its guard.
// The login needs the rights of the tables' owners, as for the guard itself.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "store/catalog_apply.h"

namespace domicile::store {

struct PublishedTable {
  catalog::QualifiedName name;
  std::vector<std::string> columns;  // empty: all of them
};

struct PublicationPlan {
  bool master = false;
  std::vector<PublishedTable> tables;                                  // empty: no publication
  std::map<catalog::QualifiedName, std::vector<catalog::Link>> links;  // of reference tables
  std::vector<std::string> notes;                                      // for people
};

// Looks only. Code::invalid with every reason why a table cannot be published as it is (reason
// "cannot_publish"): no usable primary key, a replica identity that leaves the key out, an unlogged
// table, rows in inheriting tables; Code::denied when the publication is another role's.
Result<PublicationPlan> prepare_publication(pg::Connection& connection,
                                            const catalog::Catalog& catalog,
                                            const std::vector<TableGuard>& guards, bool master);

enum class PublicationHalf { take_out, complete };

// The statements that ran, or would run. Code::conflict while others hold the tables' locks for too
// long: run again.
Result<std::vector<std::string>> settle_publication(pg::Connection& connection,
                                                    const PublicationPlan& plan,
                                                    PublicationHalf half,
                                                    const ApplyOptions& options);

// Is this database the master region's? False while it is no region yet.
Result<bool> is_master(pg::Connection& connection);

}  // namespace domicile::store
