// A local region's node and the application behind it, as services: the node's configuration, the
// application's command with its placeholders filled in, and how to tell that they answer.
#pragma once

#include "app/local_context.h"
#include "app/local_postgres.h"
#include "app/local_supervisor.h"
#include "base/result.h"

namespace domicile::app {

// Files that name the databases' addresses for the node; no password in them but a password file's
// name.
Result<void> write_node_files(LocalContext& context, const LocalRegion& region,
                              const LocalPostgres& server);
Service node_service(LocalContext& context, const LocalRegion& region);
Service application_service(LocalContext& context, const LocalRegion& region,
                            const LocalPostgres& server);

// The application's `prepare` command, once per region, as the schema's owner.
Result<void> run_prepare(LocalContext& context, const LocalRegion& region,
                         const LocalPostgres& server);

}  // namespace domicile::app
