// domicile org create | list | show | suspend | resume | close | domains
#include <algorithm>
#include <memory>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "app/registry_verb.h"
#include "store/registry_domain_hash.h"

namespace domicile::app {
namespace {

using domain::PlacementState;
using nlohmann::json;
using registry::RegistryEntryDetails;

struct OrgOptions {
  RegistryOptions registry;
  std::string key;
  std::string slug;
  std::string region;
  std::vector<std::string> domains;
  std::vector<std::string> removed_domains;
  std::uint64_t expected_epoch = 0;  // 0: whatever it is now
  bool yes = false;
  std::string state;
  std::string after;
  unsigned limit = 100;
  bool all = false;
};

json json_of(const RegistryEntryDetails& details) {
  const domain::Organization& o = details.entry.organization;
  return {{"key", o.key.text()},
          {"slug", o.slug.text()},
          {"region", o.placement.region.text()},
          {"state", to_string(o.placement.state)},
          {"epoch", o.placement.epoch},
          {"revision", o.revision},
          {"domains", details.entry.domains.size()},
          {"created_at", details.created_at},
          {"changed_at", details.changed_at}};
}

std::string text_of(const RegistryEntryDetails& details) {
  const domain::Organization& o = details.entry.organization;
  return fmt::format("{:<24} {:<24} {:<16} {:<10} epoch {}", o.key.view(), o.slug.view(),
                     o.placement.region.view(), to_string(o.placement.state), o.placement.epoch);
}

Result<std::vector<domain::DomainHash>> hashes_of(registry::RegistryStore& store,
                                                  const OrgOptions& options,
                                                  const std::vector<std::string>& domains) {
  std::vector<domain::DomainHash> out;
  if (domains.empty()) return out;
  const Secret pepper = TRY(registry_pepper(store, options.registry));
  for (const std::string& domain : domains) {
    auto hash = store::registry_domain_hash(pepper, domain);
    if (!hash)
      return std::unexpected(std::move(hash).error().within(fmt::format("--domain {}", domain)));
    if (std::ranges::find(out, *hash) == out.end()) out.push_back(*hash);
  }
  return out;
}

Result<domain::Region> find_region(registry::RegistryStore& store, const domain::RegionId& id) {
  std::string known;
  for (const auto& region : TRY(store.regions())) {
    if (region.id == id) return region;
    known += fmt::format("{}{}", known.empty() ? "" : ", ", region.id.view());
  }
  return fail(Code::invalid, fmt::format("there is no region {}; known: {}", id.view(), known),
              "unknown_region");
}

// Prints what was done and, when asked to, waits until the home follows.
Result<int> conclude(const Cli& cli, const OrgOptions& options, registry::RegistryStore& store,
                     const registry::RegistryChange& change, const std::string& operation,
                     std::string_view what, Awaited awaited) {
  const RegistryEntryDetails now = TRY(store.show(domain::OrgKey(options.key)));
  const domain::Region home = TRY(find_region(store, now.entry.organization.placement.region));
  const WaitOutcome wait =
      wait_for_home(cli, options.registry, home, now.entry.organization.key, awaited);
  if (cli.json) {
    json out = json_of(now);
    out["operation_id"] = operation;
    out["replayed"] = change.replayed;
    out["home"] = home.url;
    out["waited"] = wait.waited;
    out["followed"] = wait.reached;
    if (!wait.reached) out["note"] = wait.note;
    print(out.dump(2));
  } else {
    print(fmt::format("{}{}: {}", what, change.replayed ? " (this operation was done before)" : "",
                      text_of(now)));
    if (wait.reached) print(fmt::format("{} follows: {}", home.id.view(), home.url));
    if (!wait.reached && !wait.waited) print(fmt::format("{} {}", home.id.view(), wait.note));
  }
  if (!wait.waited || wait.reached) return 0;
  return fail(Code::timeout,
              fmt::format("the change is in the registry, but {} did not follow within {} s (last: "
                          "{}); it will when its "
                          "node and database are up: see {}/readyz",
                          home.id.view(), options.registry.wait_s, wait.note, home.url),
              "home_not_ready");
}

Result<int> create(const Cli& cli, const OrgOptions& options) {
  const auto key = TRY(domain::parse_org_key(options.key));
  const auto slug = TRY(domain::parse_slug(options.slug));
  const auto region_id = TRY(domain::parse_region_id(options.region));
  const auto store = TRY(open_registry(options.registry));
  TRY(find_region(*store, region_id));
  const auto domains = TRY(hashes_of(*store, options, options.domains));
  if (options.registry.dry_run) {
    if (const auto taken = store->show(key)) {
      return fail(Code::conflict, fmt::format("organization {} exists already", key.view()),
                  "organization_exists");
    } else if (taken.error().code != Code::not_found) {
      return std::unexpected(taken.error());
    }
    if (const auto holder = TRY(store->key_of(slug))) {
      return fail(Code::conflict,
                  fmt::format("slug {} belongs to organization {}", slug.view(), holder->view()),
                  "slug_taken");
    }
    const json out = {{"dry_run", true},
                      {"key", key.text()},
                      {"slug", slug.text()},
                      {"region", region_id.text()}};
    print(cli.json ? out.dump(2)
                   : fmt::format("would create {} ({}) in {}", key.view(), slug.view(),
                                 region_id.view()));
    return 0;
  }
  const std::string operation = operation_id(options.registry);
  const auto change = TRY(store->create(operation, key, slug, region_id, domains));
  return conclude(cli, options, *store, change, operation, "created", Awaited::served);
}

Result<int> place(const Cli& cli, const OrgOptions& options, PlacementState state,
                  std::string_view what) {
  const auto key = TRY(domain::parse_org_key(options.key));
  const auto store = TRY(open_registry(options.registry));
  std::uint64_t expected = options.expected_epoch;
  if (expected == 0 || options.registry.dry_run) {
    if (expected == 0 && !options.registry.operation_id.empty()) {
      // The epoch is part of what the id stands for: a retry would otherwise ask for another change.
      return fail(
          Code::invalid,
          "with --operation-id give --expected-epoch too: the epoch that you saw before the first "
          "attempt (domicile org show)");
    }
    const RegistryEntryDetails now = TRY(store->show(key));
    const auto& placement = now.entry.organization.placement;
    if (expected != 0 && expected != placement.epoch) {
      return fail(Code::conflict,
                  fmt::format("organization {} is at epoch {}, not {}", key.view(), placement.epoch,
                              expected),
                  "stale_epoch");
    }
    expected = placement.epoch;
    if (options.registry.dry_run) {
      const json out = {{"dry_run", true},
                        {"key", key.text()},
                        {"state", to_string(state)},
                        {"epoch", expected + 1}};
      print(cli.json ? out.dump(2)
                     : fmt::format("would change {} from {} to {}", key.view(),
                                   to_string(placement.state), to_string(state)));
      return 0;
    }
  }
  if (state == PlacementState::closed && !options.yes) {
    return fail(
        Code::invalid,
        fmt::format("closing {} is final: its key and slug are never given out again; add --yes",
                    key.view()));
  }
  const std::string operation = operation_id(options.registry);
  const auto change = TRY(store->place(operation, key, expected, state));
  return conclude(cli, options, *store, change, operation, what,
                  state == PlacementState::active ? Awaited::served : Awaited::withdrawn);
}

Result<int> change_domains(const Cli& cli, const OrgOptions& options) {
  const auto key = TRY(domain::parse_org_key(options.key));
  if (options.domains.empty() && options.removed_domains.empty()) {
    return fail(Code::invalid, "nothing to do: give --add or --remove");
  }
  const auto store = TRY(open_registry(options.registry));
  const auto adds = TRY(hashes_of(*store, options, options.domains));
  const auto removes = TRY(hashes_of(*store, options, options.removed_domains));
  if (options.registry.dry_run) {
    print(fmt::format("would add {} and remove {} domains", adds.size(), removes.size()));
    return 0;
  }
  const std::string operation = operation_id(options.registry);
  const auto change = TRY(store->change_domains(operation, key, adds, removes));
  const RegistryEntryDetails now = TRY(store->show(key));
  json out = json_of(now);
  out["operation_id"] = operation;
  out["replayed"] = change.replayed;
  print(cli.json ? out.dump(2)
                 : fmt::format("{}  {} verified domains", text_of(now), now.entry.domains.size()));
  return 0;
}

Result<int> show(const Cli& cli, const OrgOptions& options) {
  const auto store = TRY(open_registry(options.registry));
  domain::OrgKey key;
  if (options.key.empty() == options.slug.empty()) {
    return fail(Code::invalid, "say which organization: its key, or --slug");
  }
  if (options.slug.empty()) {
    key = TRY(domain::parse_org_key(options.key));
  } else if (const auto found = TRY(store->key_of(TRY(domain::parse_slug(options.slug))))) {
    key = *found;
  } else {
    return fail(Code::not_found, fmt::format("no organization has the slug {}", options.slug),
                "unknown_organization");
  }
  const RegistryEntryDetails now = TRY(store->show(key));
  print(cli.json ? json_of(now).dump(2)
                 : fmt::format("{}\nrevision {}, {} verified domains, created {}, changed {}",
                               text_of(now), now.entry.organization.revision,
                               now.entry.domains.size(), now.created_at, now.changed_at));
  return 0;
}

Result<int> list(const Cli& cli, const OrgOptions& options) {
  registry::RegistryFilter filter{.after_key = options.after,
                                  .limit = options.all ? 1000 : options.limit};
  if (!options.region.empty()) filter.region = TRY(domain::parse_region_id(options.region));
  if (!options.state.empty()) filter.state = TRY(domain::parse_placement_state(options.state));
  const auto store = TRY(open_registry(options.registry));
  json all = json::array();
  bool more = true;
  std::size_t count = 0;
  while (more) {
    const auto page = TRY(store->list(filter));
    for (const auto& details : page) {
      if (cli.json) {
        all.push_back(json_of(details));
      } else {
        print(text_of(details));
      }
    }
    count += page.size();
    more = page.size() == filter.limit;
    if (more) filter.after_key = page.back().entry.organization.key.text();
    if (!options.all) break;
  }
  if (cli.json) {
    json out = {{"organizations", std::move(all)}};
    if (more) out["next"] = filter.after_key;
    print(out.dump(2));
  } else if (more) {
    print(fmt::format("{} shown; go on with --after {}, or use --all", count, filter.after_key));
  }
  return 0;
}

}  // namespace

void add_org(CLI::App& root, Cli& cli) {
  const auto options = std::make_shared<OrgOptions>();
  CLI::App* org = root.add_subcommand("org", "Organizations and where they live");
  org->require_subcommand(1);
  const auto verb = [&](const std::string& name, const std::string& what) {
    CLI::App* app = org->add_subcommand(name, what);
    add_registry_options(*app, options->registry);
    return app;
  };
  const auto with_key = [&](CLI::App* app) {
    app->add_option("key", options->key, "Key of the organization")->required();
    return app;
  };

  CLI::App* creates = with_key(verb("create", "Give an organization a home"));
  creates->add_option("--slug", options->slug, "What people type at sign-in")->required();
  creates->add_option("--region", options->region, "Its home")->required();
  creates->add_option("--domain", options->domains,
                      "A verified e-mail domain; may be given several times");
  add_pepper_option(*creates, options->registry);
  add_change_options(*creates, options->registry);
  creates->callback(cli.run([&cli, options] { return create(cli, *options); }));

  const auto places = [&](const std::string& name, const std::string& what, PlacementState state,
                          std::string_view done) {
    CLI::App* app = with_key(verb(name, what));
    app->add_option("--expected-epoch", options->expected_epoch,
                    "Change nothing unless this is its epoch now");
    if (state == PlacementState::closed) app->add_flag("--yes", options->yes, "Yes, for ever");
    add_change_options(*app, options->registry);
    app->callback(
        cli.run([&cli, options, state, done] { return place(cli, *options, state, done); }));
  };
  places("suspend", "Serve it nowhere until it is resumed", PlacementState::suspended, "suspended");
  places("resume", "Serve a suspended organization again", PlacementState::active, "resumed");
  places("close", "End it; key and slug are never given out again", PlacementState::closed,
         "closed");

  CLI::App* domains = with_key(verb("domains", "Add or remove verified e-mail domains"));
  domains->add_option("--add", options->domains, "May be given several times");
  domains->add_option("--remove", options->removed_domains, "May be given several times");
  add_pepper_option(*domains, options->registry);
  domains->add_option("--operation-id", options->registry.operation_id,
                      "The same id does it once, however often it is sent");
  domains->add_flag("--dry-run", options->registry.dry_run, "Change nothing");
  domains->callback(cli.run([&cli, options] { return change_domains(cli, *options); }));

  CLI::App* shows = verb("show", "One organization");
  shows->add_option("key", options->key, "Key of the organization");
  shows->add_option("--slug", options->slug, "Or its slug");
  shows->callback(cli.run([&cli, options] { return show(cli, *options); }));

  CLI::App* lists = verb("list", "Organizations in order of their keys");
  lists->add_option("--region", options->region, "Only those homed there");
  lists->add_option("--state", options->state, "active, suspended, moving or closed");
  lists->add_option("--limit", options->limit, "How many")
      ->check(CLI::Range(1, 10'000))
      ->capture_default_str();
  lists->add_option("--after", options->after, "Start after this key");
  lists->add_flag("--all", options->all, "All of them");
  lists->callback(cli.run([&cli, options] { return list(cli, *options); }));
}

}  // namespace domicile::app
