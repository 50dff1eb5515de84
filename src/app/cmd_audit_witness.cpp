#include "app/cmd_audit_witness.h"

#include <chrono>
#include <filesystem>
#include <memory>

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "app/log_policy_option.h"
#include "app/node_witness.h"
#include "audit/log_source.h"
#include "tlog/cosignature.h"
#include "tlog/text.h"

namespace domicile::app {
namespace {

using Json = nlohmann::ordered_json;

struct WitnessArguments {
  std::string place;
  LogPolicyOption policy;
  std::string ca_file;
  std::string key_file;
  std::string name;
};

// What one witness last vouched for, as the log's own files show it.
struct Seen {
  std::uint64_t size = 0;
  std::uint64_t time_s = 0;
};

std::string when(std::uint64_t time_s) {
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}",
                     std::chrono::sys_seconds(std::chrono::seconds(time_s)));
}

void see(const tlog::Policy& policy, const tlog::WitnessedCheckpoint& checkpoint,
         std::vector<Seen>& seen) {
  for (const std::size_t i : checkpoint.witnesses) {
    for (const auto& signature : checkpoint.note.signatures) {
      const auto at = tlog::cosigned_at(signature, policy.witnesses()[i].key);
      if (at && checkpoint.checkpoint.size >= seen[i].size) {
        seen[i] = {checkpoint.checkpoint.size, *at};
      }
    }
  }
}

Result<int> status(const WitnessArguments& arguments, const Cli& cli) {
  auto source = TRY(audit::open_log_source(arguments.place, arguments.ca_file));
  const auto policy = TRY(arguments.policy.required());
  std::vector<Seen> seen(policy.witnesses().size());
  const auto newest = TRY(policy.open(TRY(source->read("checkpoint", tlog::kNoteBytesMax))));
  std::uint64_t witnessed = policy.has_quorum(newest.witnesses) ? newest.checkpoint.size : 0;
  const auto content = source->read("checkpoint.witnessed", tlog::kNoteBytesMax);
  if (content) {
    const auto earlier = TRY(policy.open(*content));
    see(policy, earlier, seen);
    if (policy.has_quorum(earlier.witnesses)) {
      witnessed = std::max(witnessed, earlier.checkpoint.size);
    }
  } else if (content.error().code != Code::not_found) {
    return std::unexpected(content.error());
  }
  see(policy, newest, seen);
  const bool has_quorum = witnessed > 0 || newest.checkpoint.size == 0 || !policy.needs_witnesses();
  if (cli.json) {
    Json witnesses = Json::array();
    for (std::size_t i = 0; i < seen.size(); ++i) {
      const auto& known = policy.witnesses()[i];
      Json one = {{"name", known.name}, {"key", known.key.text()}, {"url", known.url}};
      one["size"] = seen[i].time_s == 0 ? Json() : Json(seen[i].size);
      one["time"] = seen[i].time_s == 0 ? Json() : Json(when(seen[i].time_s));
      witnesses.push_back(std::move(one));
    }
    print(Json({{"origin", newest.checkpoint.origin},
                {"size", newest.checkpoint.size},
                {"witnessed_size", witnessed},
                {"quorum", has_quorum},
                {"witnesses", witnesses}})
              .dump());
    return has_quorum ? 0 : 1;
  }
  print(fmt::format("{}: {} entries, of which its witnesses vouch for {}", newest.checkpoint.origin,
                    newest.checkpoint.size, witnessed));
  for (std::size_t i = 0; i < seen.size(); ++i) {
    const auto& known = policy.witnesses()[i];
    print(seen[i].time_s == 0 ? fmt::format("  {:<20} has cosigned neither checkpoint", known.name)
                              : fmt::format("  {:<20} {} entries at {}", known.name, seen[i].size,
                                            when(seen[i].time_s)));
  }
  if (!has_quorum) print("NO quorum: too few witnesses cosigned it");
  return has_quorum ? 0 : 1;
}

void tell_key(const tlog::Cosigner& cosigner, const std::string& file, const Cli& cli) {
  if (cli.json) {
    print(Json({{"name", cosigner.key().name()},
                {"verifier_key", cosigner.verifier_key()},
                {"key_file", file}})
              .dump());
  } else {
    print(cosigner.verifier_key());
  }
}

Result<int> keygen(const WitnessArguments& arguments, const Cli& cli) {
  if (std::filesystem::exists(arguments.key_file)) {
    return fail(Code::invalid, fmt::format("{} exists: a witness's key is not replaced by accident",
                                           arguments.key_file));
  }
  tell_key(TRY(load_or_make_cosigner(arguments.key_file, arguments.name)), arguments.key_file, cli);
  return 0;
}

Result<int> pubkey(const WitnessArguments& arguments, const Cli& cli) {
  tell_key(TRY(load_cosigner(arguments.key_file, arguments.name)), arguments.key_file, cli);
  return 0;
}

}  // namespace

void add_audit_witness(CLI::App& noun, Cli& cli) {
  auto arguments = std::make_shared<WitnessArguments>();
  auto* witness = noun.add_subcommand("witness", "Those who vouch for a log, and their keys");
  witness->require_subcommand(1);

  auto* showing = witness->add_subcommand(
      "status", "Who has cosigned the log, up to where and when; exit 1 without a quorum");
  showing->add_option("log", arguments->place, "The log: its folder, or its address")->required();
  arguments->policy.add_to(*showing);
  showing->add_option("--ca-file", arguments->ca_file, "Authorities for https");
  showing->callback(cli.run([=, &cli] { return status(*arguments, cli); }));

  const auto key_verb = [&](const char* name, const char* description) {
    auto* verb = witness->add_subcommand(name, description);
    verb->add_option("key-file", arguments->key_file, "The private key (PEM, mode 0600)")
        ->required();
    verb->add_option("--name", arguments->name,
                     "The witness's name, such as ca.example.com/witness")
        ->required();
    return verb;
  };
  key_verb("keygen", "Make a witness's key, and print what others need to know of it")
      ->callback(cli.run([=, &cli] { return keygen(*arguments, cli); }));
  key_verb("pubkey", "Print the verifier key of a witness's key")->callback(cli.run([=, &cli] {
    return pubkey(*arguments, cli);
  }));
}

}  // namespace domicile::app
