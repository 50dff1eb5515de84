// domicile region list | show, and domicile registry init | fetch | lookup
#include "app/cmd_region_registry.h"

#include <algorithm>
#include <filesystem>
#include <memory>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "app/registry_verb.h"
#include "base/clock.h"
#include "base/file.h"
#include "registry/follower.h"
#include "registry/install.h"
#include "registry/snapshot_file.h"

namespace domicile::app {
namespace {

using nlohmann::json;

struct Options {
  RegistryOptions registry;
  std::string region;
  std::string file;
  std::vector<std::string> readers;
  std::vector<std::string> writers;
  std::string directory;
  std::string url;
  std::string certificate;
  std::string key_file;
  std::string key;
};

json json_of(const domain::Region& region, const std::vector<store::RegionCount>& counts) {
  json locations = json::array();
  for (const auto& location : region.locations) locations.push_back(location.text());
  json organizations = json::object();
  for (const auto& count : counts) {
    if (count.region == region.id)
      organizations[std::string(to_string(count.state))] = count.organizations;
  }
  return {{"id", region.id.text()},
          {"jurisdiction", region.jurisdiction.text()},
          {"locations", std::move(locations)},
          {"url", region.url},
          {"master", region.master},
          {"organizations", std::move(organizations)}};
}

std::string text_of(const domain::Region& region, const std::vector<store::RegionCount>& counts) {
  std::int64_t active = 0;
  for (const auto& count : counts) {
    if (count.region == region.id && count.state == domain::PlacementState::active)
      active += count.organizations;
  }
  return fmt::format("{:<18} {:<6} {:<40} {} active{}", region.id.view(),
                     region.jurisdiction.view(), region.url, active,
                     region.master ? "  master" : "");
}

Result<int> list(const Cli& cli, const Options& options) {
  const auto store = TRY(open_registry(options.registry));
  const auto regions = TRY(store->regions());
  const auto counts = TRY(store->counts());
  json all = json::array();
  for (const auto& region : regions) {
    if (cli.json) {
      all.push_back(json_of(region, counts));
    } else {
      print(text_of(region, counts));
    }
  }
  if (cli.json) print(json{{"regions", std::move(all)}}.dump(2));
  return 0;
}

Result<int> show(const Cli& cli, const Options& options) {
  const auto id = TRY(domain::parse_region_id(options.region));
  const auto store = TRY(open_registry(options.registry));
  const auto regions = TRY(store->regions());
  const auto region = std::ranges::find(regions, id, &domain::Region::id);
  if (region == regions.end()) {
    return fail(Code::not_found,
                fmt::format("there is no region {}; see: domicile region list", id.view()),
                "unknown_region");
  }
  const auto counts = TRY(store->counts());
  if (cli.json) {
    print(json_of(*region, counts).dump(2));
    return 0;
  }
  print(text_of(*region, counts));
  std::string locations;
  for (const auto& location : region->locations)
    locations += fmt::format("{}{}", locations.empty() ? "" : ", ", location.view());
  print(fmt::format("locations: {}", locations));
  for (const auto& count : counts) {
    if (count.region == id)
      print(fmt::format("{}: {}", to_string(count.state), count.organizations));
  }
  return 0;
}

Result<int> init(const Cli& cli, const Options& options) {
  const std::string text = TRY(read_file(options.file, 1u << 20));
  registry::InstallOptions install{.file = TRY(registry::parse_registry_file(text, options.file)),
                                   .readers = options.readers,
                                   .writers = options.writers,
                                   .dry_run = options.registry.dry_run};
  const Secret dsn = TRY(registry_dsn(options.registry));
  auto connection = TRY(pg::Connection::open(std::string(dsn.reveal())));
  const auto report = TRY(registry::install_registry(connection, install));
  if (cli.json) {
    print(json{{"dry_run", options.registry.dry_run}, {"done", report.done}}.dump(2));
    return 0;
  }
  for (const auto& line : report.done)
    print(fmt::format("{}{}", options.registry.dry_run ? "would: " : "", line));
  if (report.done.empty()) print("nothing to do: the registry is as the file says");
  return 0;
}

// The source named by the options: the master region's door, or the registry's database.
struct Source {
  std::unique_ptr<registry::RegistryStore> store;
  std::unique_ptr<registry::RegistrySource> source;
};

Result<Source> open_source(const Options& options) {
  Source out;
  if (options.url.empty()) {
    out.store = TRY(open_registry(options.registry));
    out.source = std::make_unique<registry::StoreSource>(*out.store);
    return out;
  }
  if (options.registry.peer_token_file.empty()) {
    return fail(Code::invalid, "--url needs --peer-token-file: only nodes may read the feed");
  }
  out.source = std::make_unique<registry::PeerSource>(registry::PeerSource::Options{
      .url = options.url,
      .peer_token = TRY(read_secret_file(options.registry.peer_token_file)),
      .ca_file = options.registry.ca_file,
      .region = options.region,
      .certificate_file = options.certificate,
      .key_file = options.key_file});
  return out;
}

Result<int> fetch(const Cli& cli, const Options& options) {
  if (!std::filesystem::is_directory(options.directory)) {
    return fail(Code::invalid, fmt::format("{} is no folder; create it first", options.directory));
  }
  const Source source = TRY(open_source(options));
  SystemClock clock;
  registry::Follower follower(*source.source, clock, {.directory = options.directory});
  const std::uint64_t before = follower.current()->revision();
  TRY(follower.follow_once(std::chrono::milliseconds(0)));
  follower.stop();
  const auto snapshot = follower.current();
  const json out = {
      {"registry", snapshot->registry_id()},
      {"revision", snapshot->revision()},
      {"former_revision", before},
      {"organizations", snapshot->size()},
      {"file", (std::filesystem::path(options.directory) / "registry.snapshot").string()}};
  print(cli.json ? out.dump(2)
                 : fmt::format("revision {} (was {}), {} organizations", snapshot->revision(),
                               before, snapshot->size()));
  return 0;
}

Result<int> lookup(const Cli& cli, const Options& options) {
  const auto snapshot =
      TRY(registry::load_snapshot(std::filesystem::path(options.directory) / "registry.snapshot"));
  const auto found = snapshot->find(TRY(domain::parse_org_key(options.key)));
  if (!found) {
    return fail(Code::not_found,
                fmt::format("the snapshot (revision {}) does not know {}", snapshot->revision(),
                            options.key),
                "unknown_organization");
  }
  const json out = {{"key", found->key},
                    {"slug", found->slug},
                    {"region", found->home->id.text()},
                    {"state", to_string(found->state)},
                    {"epoch", found->epoch},
                    {"revision", found->revision}};
  print(cli.json ? out.dump(2)
                 : fmt::format("{} {} {} {} epoch {}", found->key, found->slug,
                               found->home->id.view(), to_string(found->state), found->epoch));
  return 0;
}

}  // namespace

void add_region_registry(CLI::App& region_noun, Cli& cli) {
  const auto options = std::make_shared<Options>();
  CLI::App* lists = region_noun.add_subcommand("list", "All regions, as the registry knows them");
  add_registry_options(*lists, options->registry);
  lists->callback(cli.run([&cli, options] { return list(cli, *options); }));

  CLI::App* shows =
      region_noun.add_subcommand("show", "One region: jurisdiction, locations, organizations");
  shows->add_option("region", options->region, "Its id")->required();
  add_registry_options(*shows, options->registry);
  shows->callback(cli.run([&cli, options] { return show(cli, *options); }));
}

void add_registry(CLI::App& root, Cli& cli) {
  const auto options = std::make_shared<Options>();
  CLI::App* noun =
      root.add_subcommand("registry", "The registry of organizations, in the master region");
  noun->require_subcommand(1);
  CLI::App* inits = noun->add_subcommand(
      "init", "Set the registry up, or bring its jurisdictions and regions up to date");
  inits->add_option("--file", options->file, "Jurisdictions and regions (TOML)")->required();
  inits->add_option("--reader", options->readers,
                    "Database role that may read: the master region's node");
  inits->add_option("--writer", options->writers, "Database role that may change it: operators");
  inits->add_flag("--dry-run", options->registry.dry_run, "Say what would be done, change nothing");
  add_registry_options(*inits, options->registry);
  inits->callback(cli.run([&cli, options] { return init(cli, *options); }));

  CLI::App* fetches =
      noun->add_subcommand("fetch", "Bring a snapshot on disk up to date, as a node does");
  fetches->add_option("--directory", options->directory, "Where registry.snapshot lies")
      ->required();
  fetches->add_option("--url", options->url,
                      "From the master region's door, instead of the database");
  fetches
      ->add_option("--peer-token-file", options->registry.peer_token_file,
                   "The nodes' shared token (with --url)")
      ->envname("DOMICILE_PEER_TOKEN_FILE");
  fetches
      ->add_option("--ca-file", options->registry.ca_file,
                   "Certificate authorities of the door (PEM)")
      ->envname("DOMICILE_CA_FILE");
  fetches->add_option("--region", options->region, "The region that asks (with --certificate)");
  auto* certificate = fetches->add_option("--certificate", options->certificate,
                                          "The region's certificate for its peers (PEM)");
  auto* key = fetches->add_option("--key", options->key_file, "Its private key (PEM)");
  certificate->needs(key);
  key->needs(certificate);
  add_registry_options(*fetches, options->registry);
  fetches->callback(cli.run([&cli, options] { return fetch(cli, *options); }));

  CLI::App* lookups = noun->add_subcommand("lookup", "Ask a snapshot on disk for an organization");
  lookups->add_option("key", options->key, "Key of the organization")->required();
  lookups->add_option("--directory", options->directory, "Where registry.snapshot lies")
      ->required();
  lookups->callback(cli.run([&cli, options] { return lookup(cli, *options); }));
}

}  // namespace domicile::app
