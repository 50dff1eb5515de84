#include "app/local_databases.h"

#include <map>

#include <fmt/format.h>

#include "base/file.h"
#include "pg/connection.h"

namespace domicile::app {
namespace {

using pg::quote_identifier;
using pg::quote_literal;

constexpr std::string_view kSchemaMark = "domicile up: schema loaded";

struct RoleWanted {
  std::string name;
  const char* attributes;
  const Account* reader;  // of its password
};

Result<void> ensure_role(pg::Connection& admin, const LocalContext& context,
                         const std::string& region, const RoleWanted& wanted) {
  TRY(password_file(context.paths, region, wanted.name, *wanted.reader));
  const pg::Rows rows = TRY(admin.query("SELECT FROM pg_roles WHERE rolname = $1", {wanted.name}));
  if (rows.size() > 0) return {};
  const Secret password = TRY(password_of(context.paths, region, wanted.name));
  return admin.script(fmt::format("CREATE ROLE {} LOGIN {} PASSWORD {}",
                                  quote_identifier(wanted.name), wanted.attributes,
                                  quote_literal(password.reveal())));
}

Result<void> ensure_database(pg::Connection& admin, const std::string& name,
                             const std::string& owner) {
  const pg::Rows rows = TRY(admin.query("SELECT FROM pg_database WHERE datname = $1", {name}));
  if (rows.size() > 0) return {};
  return admin.script(
      fmt::format("CREATE DATABASE {} OWNER {}", quote_identifier(name), quote_identifier(owner)));
}

}  // namespace

std::string reference_role(const LocalContext& context, const LocalRegion& local) {
  return context.role(local.region.master ? "publisher" : "applier");
}

Result<void> make_databases(LocalContext& context, const LocalRegion& local,
                            const LocalPostgres& server) {
  const std::string region = local.region.id.text();
  pg::Connection admin = TRY(pg::Connection::open(server.superuser_dsn("postgres")));
  const std::string owner = context.role("owner");
  const std::string installer = context.role("installer");
  const RoleWanted roles[] = {
      {owner, "", &context.self},
      {installer, "CREATEROLE CREATEDB", &context.self},
      {context.role("pool"), "", &context.application},
      {context.role("node"), "", &context.node},
      {context.role("checker"), "", &context.self},
      {reference_role(context, local), local.region.master ? "REPLICATION" : "", &context.node}};
  for (const RoleWanted& role : roles) TRY(ensure_role(admin, context, region, role));
  TRY(admin.script(
      fmt::format("GRANT {} TO {}", quote_identifier(owner), quote_identifier(installer))));
  const std::string& database = context.config.application.name;
  TRY(ensure_database(admin, database, owner));
  TRY(admin.script(fmt::format(
      "REVOKE ALL ON DATABASE {0} FROM PUBLIC; GRANT CONNECT ON DATABASE {0} TO {1}, {2}, {4}, {5};"
      "GRANT ALL ON DATABASE {0} TO {3} WITH GRANT OPTION",
      quote_identifier(database), quote_identifier(context.role("pool")),
      quote_identifier(context.role("node")), quote_identifier(installer),
      quote_identifier(context.role("checker")),
      quote_identifier(reference_role(context, local)))));
  if (!local.region.master) return {};
  TRY(ensure_database(admin, kRegistryDatabase, installer));
  return admin.script(
      fmt::format("REVOKE ALL ON DATABASE {0} FROM PUBLIC; GRANT CONNECT ON DATABASE {0} TO {1}",
                  kRegistryDatabase, quote_identifier(context.role("node"))));
}

Result<void> load_schema(LocalContext& context, const LocalPostgres& server) {
  const LocalApplication& app = context.config.application;
  auto owner = TRY(pg::Connection::open(server.dsn(app.name, context.role("owner"))));
  // The mark is made in the schema's own transaction: a crash in between leaves both or neither.
  const pg::Rows mark =
      TRY(owner.query("SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE "
                      "datname = current_database()"));
  if (mark.text(0, 0) != kSchemaMark) {
    const std::string schema = TRY(read_file(app.schema, 64u << 20));
    const auto loaded = owner.transaction([&]() -> Result<void> {
      TRY(owner.script(schema));
      return owner.script(fmt::format("COMMENT ON DATABASE {} IS {}", quote_identifier(app.name),
                                      quote_literal(kSchemaMark)));
    });
    if (!loaded) return std::unexpected(loaded.error().within(app.schema.string()));
  }
  return {};
}

Result<void> write_operator_files(const LocalContext& context, const LocalRegion& local,
                                  const LocalPostgres& server) {
  const std::string& database = context.config.application.name;
  std::map<std::string, std::string> files = {{"superuser", server.superuser_dsn(database)}};
  for (const char* suffix : {"installer", "owner", "node", "checker"}) {
    files[suffix] = server.dsn(database, context.role(suffix));
  }
  if (local.region.master)
    files["registry"] = server.dsn(kRegistryDatabase, context.role("installer"));
  for (const auto& [name, dsn] : files) {
    const auto path = context.paths.region(local.region.id.text()) / "secrets" / (name + ".dsn");
    TRY(write_owned(path, dsn + "\n", context.self, 0600));
  }
  return {};
}

}  // namespace domicile::app
