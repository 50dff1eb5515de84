#include "app/local_up.h"

#include <fmt/format.h>
#include <unistd.h>

#include "app/local_databases.h"
#include "app/local_install.h"
#include "app/local_layout.h"
#include "app/local_node.h"
#include "app/local_postgres.h"
#include "app/local_reference.h"
#include "app/local_supervisor.h"
#include "app/local_witnesses.h"

namespace domicile::app {
namespace {

using Path = std::filesystem::path;

Result<void> check_state(const LocalState& state, const LocalConfig& config, const Path& data) {
  if (state.application.empty() || state.application == config.application.name) return {};
  return fail(
      Code::invalid,
      fmt::format("{} holds the regions of '{}', and {} asks for '{}'; name another folder "
                  "with --data",
                  data.string(), state.application, config.file.string(), config.application.name));
}

Result<void> pick_accounts(LocalContext& context) {
  context.self = TRY(own_account());
  if (!running_as_root()) {
    context.postgresql = context.node = context.application = context.self;
    return {};
  }
  const auto find = [&](const std::string& name, const char* key) -> Result<Account> {
    auto found = find_account(name);
    if (found) return found;
    return std::unexpected(std::move(found).error().within(
        fmt::format("{}: users.{}", context.config.file.string(), key)));
  };
  context.postgresql = TRY(find(context.config.postgresql_user, "postgresql"));
  context.node = TRY(find(context.config.node_user, "node"));
  context.application = TRY(find(context.config.application_user, "application"));
  return {};
}

// The region's database, running, with everything in it that Domicile and the application need.
Result<LocalPostgres> raise_database(LocalContext& context, const LocalRegion& local,
                                     const Path& programs, Supervisor& supervisor) {
  const std::string id = local.region.id.text();
  LocalPostgres server(context.paths, id, programs, context.postgresql,
                       context.port(local, "postgresql"));
  if (!server.created()) {
    context.progress.step(id, "creating a PostgreSQL cluster");
    context.of(local).done.clear();
    TRY(server.create(context.signals));
  }
  TRY(server.configure(context.config.application.name, context.role("publisher")));
  TRY(write_operator_files(context, local, server));
  context.progress.step(id, fmt::format("starting PostgreSQL on port {}", server.port()));
  TRY(supervisor.start(server.service()));
  TRY(context.once(local, "databases", "2", "creating roles and databases",
                   [&] { return make_databases(context, local, server); }));
  TRY(context.once(local, "schema", "1", "loading the application's schema",
                   [&] { return load_schema(context, server); }));
  TRY(context.once(local, "prepare", "1", "preparing the application's data",
                   [&] { return run_prepare(context, local, server); }));
  return server;
}

Result<void> raise(LocalContext& context, const Path& programs, Supervisor& supervisor) {
  TRY(prepare_folders(context));
  TRY(copy_files(context));
  // What a killed predecessor left holds ports: it goes first.
  for (const LocalRegion& local : context.config.regions) {
    for (const auto& [kind, signal] :
         {std::pair{"application", SIGTERM}, {"node", SIGTERM}, {"postgresql", SIGINT}}) {
      end_left_over(context.paths.run(local.region.id.text() + "-" + kind), signal,
                    context.signals);
    }
  }
  TRY(choose_ports(context));
  TRY(make_certificates(context));
  TRY(make_witnesses(context));
  std::vector<LocalPostgres> servers;
  for (const LocalRegion& local : context.config.regions) {
    servers.push_back(TRY(raise_database(context, local, programs, supervisor)));
    TRY(install_domicile(context, local, servers.back()));
  }
  TRY(install_registry(context, servers.front()));
  for (std::size_t i = 0; i < servers.size(); ++i) {
    const LocalRegion& local = context.config.regions[i];
    TRY(open_region(context, local, servers[i], servers.front()));
    TRY(write_node_files(context, local, servers[i]));
    context.progress.step(local.region.id.view(), fmt::format("starting the application on port {}",
                                                              context.port(local, "application")));
    TRY(supervisor.start(application_service(context, local, servers[i])));
    context.progress.step(local.region.id.view(),
                          fmt::format("starting the node at {}", context.url(local)));
    TRY(supervisor.start(node_service(context, local)));
  }
  for (std::size_t i = 0; i < servers.size(); ++i)
    TRY(await_reference(context, context.config.regions[i], servers[i]));
  return write_checks_file(context, servers);
}

}  // namespace

Result<void> run_regions(const UpOptions& options, Signals& signals, Progress& progress,
                         const std::function<void(LocalContext&)>& started) {
  LocalConfig config = TRY(load_local_config(options.config));
  const LocalPaths paths{options.data};
  LocalState state = TRY(load_state(paths.data));
  TRY(check_state(state, config, paths.data));
  state.application = config.application.name;
  state.config_file = config.file.string();
  LocalContext context{std::move(config), paths,   std::move(state), {}, {}, {}, {},
                       signals,           progress};
  TRY(pick_accounts(context));
  const Path programs = TRY(find_postgresql());
  TRY(check_free_space(paths.data));
  std::error_code failed;
  std::filesystem::create_directories(paths.data, failed);
  if (failed)
    return fail(Code::denied,
                fmt::format("cannot make {}: {}", paths.data.string(), failed.message()));
  TRY(make_folder(paths.data, context.self, 0755));
  const DataLock lock = TRY(DataLock::take(paths));
  TRY(make_folder(paths.data / "log", context.self, 0755));
  TRY(progress.log_to(paths.log("up")));

  Supervisor supervisor(signals, paths, progress);
  TRY(raise(context, programs, supervisor));
  started(context);
  supervisor.watch();
  supervisor.stop_all();
  progress.note("all regions are stopped");
  return {};
}

std::vector<RegionReport> report(const LocalPaths& paths, const LocalState& state) {
  std::vector<RegionReport> all;
  for (const auto& [id, region] : state.regions) {
    RegionReport each;
    each.id = id;
    each.ports = region.ports;
    each.master = region.done.contains("registry");
    const auto door = region.ports.find("door");
    if (door != region.ports.end()) each.url = fmt::format("https://127.0.0.1:{}", door->second);
    for (const char* kind : {"postgresql", "node", "application"}) {
      each.running[kind] = running_process(paths.run(id + "-" + kind)).has_value();
    }
    all.push_back(std::move(each));
  }
  return all;
}

}  // namespace domicile::app
