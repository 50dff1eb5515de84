// domicile region home | fence: the placement of one organization, by hand. A running
// node does the same from the registry; these verbs are for recovery, for tests, and for those who
// keep their placements elsewhere.
#include "app/cmd_region_fence.h"

#include <cstdlib>
#include <memory>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "app/dsn_option.h"
#include "base/file.h"
#include "store/region_store.h"

namespace domicile::app {
namespace {

struct FenceVerb {
  std::string dsn;
  std::string dsn_file;
  std::string organization;
  domain::Epoch epoch = 0;
  int deadline_ms = 10'000;
  bool terminate = false;
};

Result<pg::Connection> connect(const FenceVerb& verb) {
  return pg::Connection::open(TRY(database_dsn(verb.dsn, verb.dsn_file)));
}

Result<int> home(const Cli& cli, const FenceVerb& verb) {
  auto connection = TRY(connect(verb));
  SystemClock clock;
  store::RegionStore region(connection, clock);
  const auto key = TRY(domain::parse_org_key(verb.organization, TRY(region.status()).key_type));
  TRY(region.home(key, verb.epoch));
  const nlohmann::json object = {
      {"organization", key.text()}, {"epoch", verb.epoch}, {"state", "active"}};
  print(cli.json ? object.dump()
                 : fmt::format("organization {} is homed here, epoch {}", key.text(), verb.epoch));
  return 0;
}

Result<int> fence(const Cli& cli, const FenceVerb& verb) {
  auto connection = TRY(connect(verb));
  SystemClock clock;
  store::RegionStore region(connection, clock);
  const auto key = TRY(domain::parse_org_key(verb.organization, TRY(region.status()).key_type));
  store::FenceOptions options;
  options.deadline = std::chrono::milliseconds(verb.deadline_ms);
  if (verb.terminate) options.past_deadline = store::FencePastDeadline::terminate;
  const auto report = TRY(region.fence(key, verb.epoch, options));
  const nlohmann::json object = {{"organization", key.text()},
                                 {"epoch", verb.epoch},
                                 {"state", "fenced"},
                                 {"took_us", report.took.count()},
                                 {"waited_for", report.waited_for},
                                 {"terminated", report.terminated}};
  print(cli.json ? object.dump()
                 : fmt::format("organization {} is fenced at epoch {}: nobody can write its rows "
                               "(waited {} ms for {} transactions, ended {})",
                               key.text(), verb.epoch, report.took.count() / 1000,
                               report.waited_for, report.terminated));
  return 0;
}

}  // namespace

void add_region_fence(CLI::App& region_noun, Cli& cli) {
  auto verb = std::make_shared<FenceVerb>();
  const auto common = [&verb](CLI::App* app) {
    app->add_option("--dsn", verb->dsn,
                    "The region's database (a password belongs in --dsn-file or the environment)");
    app->add_option("--dsn-file", verb->dsn_file,
                    "File with the connection string, readable by you alone");
    app->add_option("--org", verb->organization, "The organization's key")->required();
    app->add_option("--epoch", verb->epoch, "The placement's epoch in the registry")->required();
  };
  CLI::App* verb_home =
      region_noun.add_subcommand("home", "Home one organization here, or raise its epoch");
  common(verb_home);
  verb_home->callback(cli.run([&cli, verb] { return home(cli, *verb); }));

  CLI::App* verb_fence = region_noun.add_subcommand(
      "fence", "Take one organization's writers away, and wait until nobody can write its rows");
  common(verb_fence);
  verb_fence
      ->add_option("--deadline-ms", verb->deadline_ms,
                   "How long to wait for open transactions before the fence is undone")
      ->check(CLI::Range(0, 3'600'000))
      ->capture_default_str();
  verb_fence->add_flag("--terminate", verb->terminate,
                       "At the deadline end the sessions that keep it waiting");
  verb_fence->callback(cli.run([&cli, verb] { return fence(cli, *verb); }));
}

}  // namespace domicile::app
