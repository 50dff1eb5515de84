// domicile key list|rotate: the signing keys of a region's issuer. No private key is needed here: an
// operator says when the present ones end, and the nodes make the next.
#include <memory>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "app/cli.h"
#include "app/directory_verb.h"
#include "base/clock.h"
#include "issuer/key_ring.h"

namespace domicile::app {
namespace {

constexpr std::int64_t kShortestS = 5;       // nodes make the successor within one
constexpr std::int64_t kPeersFollowS = 300;  // the other regions and clients fetch keys that often

struct KeyOptions {
  DirectoryOptions directory;
  std::string in;
  bool revoke = false;
};

Result<int> list(const Cli& cli, const KeyOptions& options) {
  auto directory = TRY(open_directory(options.directory));
  auto json = nlohmann::json::array();
  for (const auto& key : TRY(directory->signing_keys())) {
    if (cli.json) {
      json.push_back({{"kid", key.kid},
                      {"algorithm", key.algorithm},
                      {"created_at", utc(key.created_at)},
                      {"signs_from", utc(key.activates_at)},
                      {"signs_until", utc(key.retires_at)},
                      {"published_until", utc(key.expires_at)}});
    } else {
      print(fmt::format("{}  {}  signs {} to {}, published until {}", key.kid, key.algorithm,
                        utc(key.activates_at), utc(key.retires_at), utc(key.expires_at)));
    }
  }
  if (cli.json) print(json.dump(2));
  return 0;
}

Result<int> rotate(const Cli& cli, const KeyOptions& options) {
  const std::int64_t in_s = options.in.empty() ? (options.revoke ? kShortestS : 2 * kPeersFollowS)
                                               : TRY(parse_duration(options.in));
  const std::int64_t least = options.revoke ? kShortestS : kPeersFollowS;
  if (in_s < least || in_s > 24 * 3600) {
    return fail(Code::invalid,
                fmt::format("--in is {} seconds to 24 hours: everybody has to know the next key "
                            "before it signs",
                            least));
  }
  const auto by = TRY(administrator(options.directory));
  auto directory = TRY(open_directory(options.directory));
  const std::int64_t now_s = SystemClock().unix_seconds(), at = now_s + in_s;
  const std::int64_t until = at + (options.revoke ? 1 : issuer::KeyRingOptions{}.linger_s);
  TRY(directory->rotate_signing_keys(
      {.now_s = now_s, .takes_over_at = at, .published_until = until}, by));
  const bool dry = options.directory.dry_run;
  if (cli.json) {
    print(nlohmann::json{
        {"signs_from", utc(at)}, {"former_published_until", utc(until)}, {"dry_run", dry}}
              .dump(2));
  } else {
    print(fmt::format("new keys {}sign from {}; tokens of the former ones count until {}",
                      dry ? "would " : "", utc(at), utc(until)));
  }
  return 0;
}

}  // namespace

void add_key(CLI::App& root, Cli& cli) {
  auto* key = root.add_subcommand("key", "The keys that this region's issuer signs with");
  key->require_subcommand(1);
  const auto options = std::make_shared<KeyOptions>();
  auto* lists = key->add_subcommand("list", "The keys, and from when to when they sign");
  add_directory_options(*lists, options->directory, Verb::reads);
  lists->callback(cli.run([&cli, options] { return list(cli, *options); }));
  auto* rotates = key->add_subcommand(
      "rotate", "Replace the keys before their time; a running node makes the next ones");
  add_directory_options(*rotates, options->directory, Verb::changes);
  rotates->add_option("--in", options->in,
                      "When the next keys take over: 5m to 24h; 10m unless said. With --revoke "
                      "from 5s on, which is also its default");
  rotates->add_flag("--revoke", options->revoke,
                    "The former keys no longer count from then on, nor do their tokens: for a key "
                    "that got into wrong hands");
  rotates->callback(cli.run([&cli, options] { return rotate(cli, *options); }));
}

}  // namespace domicile::app
