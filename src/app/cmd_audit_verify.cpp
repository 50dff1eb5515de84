#include "app/cmd_audit_verify.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <memory>

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "app/log_policy_option.h"
#include "audit/log_prover.h"
#include "audit/log_verifier.h"
#include "base/file.h"
#include "tlog/text.h"

namespace domicile::app {
namespace {

using Json = nlohmann::ordered_json;
using Steady = std::chrono::steady_clock;

struct VerifyArguments {
  std::string place;
  LogPolicyOption policy;
  std::string ca_file;
  std::string since;
  std::uint64_t trimmed = 0;
  std::string key_directory;
  std::string master_file;
  unsigned threads = 0;
  std::uint64_t index = 0;
  std::string file;
  std::string entry_file;
};

// One line on the terminal, written over as the work goes on.
class Bar {
 public:
  explicit Bar(const Cli& cli) : shown_(!cli.quiet && ::isatty(STDERR_FILENO) != 0) {}
  ~Bar() {
    if (shown_) fmt::print(stderr, "\r\033[K");
  }
  void show(std::uint64_t done, std::uint64_t of) const {
    if (!shown_) return;
    const double seconds = std::chrono::duration<double>(Steady::now() - begun_).count();
    const double part = of == 0 ? 1 : static_cast<double>(done) / static_cast<double>(of);
    constexpr int kWidth = 24;
    const int full = static_cast<int>(part * kWidth);
    fmt::print(stderr, "\r\033[K  verifying [{:#<{}}{: <{}}] {} of {} entries, {:.0f} a second", "",
               full, "", kWidth - full, done, of, static_cast<double>(done) / seconds);
    std::fflush(stderr);
  }

 private:
  bool shown_;
  Steady::time_point begun_ = Steady::now();
};

std::string when(std::uint64_t time_s) {
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}",
                     std::chrono::sys_seconds(std::chrono::seconds(time_s)));
}

bool is_whole(const audit::LogReport& log) { return log.problems.empty(); }

std::uint64_t last_sequence_of(const audit::LogReport& log) {
  return std::max(log.entries, log.wal ? log.wal->last_sequence : 0);
}

// What lies in the tree, and beyond it in the write-ahead log.
std::uint64_t records_of(const audit::LogReport& log) {
  return last_sequence_of(log) - log.trimmed;
}

Json checkpoint_json(const audit::LogReport& log) {
  Json witnesses = Json::array();
  for (const auto& witness : log.witnesses) {
    witnesses.push_back({{"name", witness.name}, {"time", when(witness.time_s)}});
  }
  return {{"origin", log.checkpoint.origin},
          {"size", log.checkpoint.size},
          {"root", tlog::hash_text(log.checkpoint.root)},
          {"signature", !log.signature_checked ? "unchecked"
                        : log.own_keys         ? "own_keys"
                                               : "given_keys"},
          {"keys", log.log_keys},
          {"witnessed_size", log.witnessed},
          {"witnesses", witnesses}};
}

Json json_of(const audit::LogReport& log, double seconds) {
  Json out = {{"whole", is_whole(log)},
              {"records", records_of(log)},
              {"first_sequence", records_of(log) == 0 ? 0 : log.trimmed + 1},
              {"last_sequence", last_sequence_of(log)},
              {"trimmed", log.trimmed}};
  if (log.published) {
    out["checkpoint"] = checkpoint_json(log);
    out["event_records"] = log.records;
    out["entry_bytes"] = log.entry_bytes;
    out["bundles"] = log.bundles;
    out["tiles"] = log.tiles;
    out["files_ahead"] = log.ahead;
  }
  if (log.since) {
    out["since"] = {{"size", log.since->size}, {"root", tlog::hash_text(log.since->root)}};
  }
  if (log.personal.sealed > 0) {
    out["personal"] = {{"sealed", log.personal.sealed},
                       {"opened", log.personal.opened},
                       {"withheld", log.personal.withheld}};
  }
  if (log.wal) {
    out["segments"] = log.wal->segments;
    out["segment_bytes"] = log.wal->bytes;
    out["unfinished_bytes"] = log.wal->unfinished_bytes;
  }
  out["problems"] = log.problems;
  out["problems_more"] = log.problems_more;
  out["seconds"] = seconds;
  return out;
}

void tell_published(const audit::LogReport& log) {
  print(fmt::format("{}: {} entries, root {}", log.checkpoint.origin, log.checkpoint.size,
                    tlog::hash_text(log.checkpoint.root)));
  for (const auto& key : log.log_keys) print(fmt::format("signed by {}", key));
  if (log.witnessed > 0) {
    print(fmt::format("its witnesses vouch for {} entries:", log.witnessed));
  }
  for (const auto& witness : log.witnesses) {
    print(fmt::format("  {} at {}", witness.name, when(witness.time_s)));
  }
  if (log.trimmed > 0) {
    print(fmt::format("entries 0 to {} are no longer kept; their hashes are", log.trimmed - 1));
  }
  if (log.since && log.problems.empty()) {
    print(fmt::format("continues the checkpoint of {} entries that was kept", log.since->size));
  }
}

void tell_wal(const audit::WalReport& wal) {
  print(fmt::format("write-ahead log: {} records in {} segments, {} to {}", wal.records,
                    wal.segments, wal.first_sequence, wal.last_sequence));
  if (wal.unfinished_bytes == 0) return;
  print(
      fmt::format("{} bytes after the last record: a write under way, or one that a crash cut "
                  "short (the next start cuts it away and says so in the log)",
                  wal.unfinished_bytes));
}

void tell(const audit::LogReport& log, double seconds) {
  if (log.published) tell_published(log);
  if (log.wal) tell_wal(*log.wal);
  if (log.personal.opened > 0) {
    print(fmt::format(
        "the sealed fields of {} entries are what they commit to; {} persons are erased",
        log.personal.opened, log.personal.withheld));
  }
  print(fmt::format("{} bundles ({} bytes of entries) and {} tiles hashed in {:.2f} s", log.bundles,
                    log.entry_bytes, log.tiles, seconds));
  for (const auto& problem : log.problems) fmt::print(stderr, "domicile: {}\n", problem);
  if (log.problems_more > 0) {
    fmt::print(stderr, "domicile: and {} more like these\n", log.problems_more);
  }
  if (!is_whole(log)) {
    print("NOT whole: see above");
  } else if (!log.published) {
    print("whole: every record is there, in order and unchanged since it was written");
  } else if (log.signature_checked && !log.own_keys) {
    print("whole: every entry is there, in order, and as it was signed");
  } else {
    print(
        fmt::format("whole, by {}: every entry is what the checkpoint says. To find forgery as "
                    "well, give the key that you were told (--key, --policy)",
                    log.own_keys ? "the keys that the log names itself" : "no key at all"));
  }
}

Result<int> verify(const VerifyArguments& arguments, const Cli& cli) {
  const auto begun = Steady::now();
  auto source = TRY(audit::open_log_source(arguments.place, arguments.ca_file));
  audit::VerifyOptions options{.policy = TRY(arguments.policy.load()),
                               .trimmed_max = arguments.trimmed,
                               .threads = arguments.threads};
  if (!arguments.since.empty()) {
    options.since = TRY(read_file(arguments.since, tlog::kNoteBytesMax));
  }
  if (arguments.key_directory.empty() != arguments.master_file.empty()) {
    return fail(Code::invalid, "--key-directory and --master-key-file go together");
  }
  std::unique_ptr<audit::PersonalVault> vault;
  const SystemClock clock;
  if (!arguments.master_file.empty()) {
    vault = TRY(audit::PersonalVault::open_read_only({.key_directory = arguments.key_directory,
                                                      .master_file = arguments.master_file,
                                                      .clock = &clock}));
    options.personal = vault.get();
  }
  Result<audit::LogReport> log;
  {
    const Bar bar(cli);
    options.progress = [&bar](std::uint64_t done, std::uint64_t of) { bar.show(done, of); };
    log = audit::verify_log(*source, options);
  }
  if (!log) return std::unexpected(std::move(log).error());
  const double seconds = std::chrono::duration<double>(Steady::now() - begun).count();
  if (cli.json)
    print(json_of(*log, seconds).dump());
  else
    tell(*log, seconds);
  return is_whole(*log) ? 0 : 1;
}

Result<int> prove(const VerifyArguments& arguments, const Cli& cli) {
  auto source = TRY(audit::open_log_source(arguments.place, arguments.ca_file));
  const auto policy = TRY(arguments.policy.required());
  const auto proof = TRY(audit::prove_entry(*source, policy, arguments.index));
  const std::string text = tlog::proof_text(proof.file);
  if (arguments.file.empty()) {
    if (!cli.json) {
      std::fwrite(text.data(), 1, text.size(), stdout);
      return 0;
    }
    print(Json({{"index", arguments.index}, {"entry", proof.entry}, {"proof", text}})
              .dump(-1, ' ', false, Json::error_handler_t::replace));
    return 0;
  }
  const std::string entry_file = arguments.file + ".entry";
  for (const auto& file : {arguments.file, entry_file}) {
    if (std::filesystem::exists(file)) {
      return fail(Code::invalid, fmt::format("{} exists: name a new file", file));
    }
  }
  TRY(write_file_atomic(entry_file, proof.entry, 0600));
  TRY(write_file_atomic(arguments.file, text, 0600));
  if (cli.json) {
    print(Json({{"index", arguments.index},
                {"proof_file", arguments.file},
                {"entry_file", entry_file}})
              .dump());
  } else {
    print(fmt::format("entry {} in {}, its proof in {}", arguments.index, entry_file,
                      arguments.file));
  }
  return 0;
}

Result<int> verify_proof(const VerifyArguments& arguments, const Cli& cli) {
  const auto policy = TRY(arguments.policy.required());
  auto file = tlog::parse_proof_file(TRY(read_file(arguments.file, tlog::kNoteBytesMax * 2)));
  if (!file)
    return fail(Code::denied, file.error().within(arguments.file).message, "proof_invalid");
  const std::string entry = TRY(read_file(arguments.entry_file, tlog::kEntryBytesMax));
  const auto believed = TRY(tlog::verify_proof_file(*file, entry, policy));
  if (cli.json) {
    Json witnesses = Json::array();
    for (const auto i : believed.witnesses) witnesses.push_back(policy.witnesses()[i].name);
    print(Json({{"verified", true},
                {"origin", believed.checkpoint.origin},
                {"index", file->index},
                {"size", believed.checkpoint.size},
                {"root", tlog::hash_text(believed.checkpoint.root)},
                {"witnesses", witnesses}})
              .dump());
  } else {
    print(
        fmt::format("verified: this is entry {} of {}, as of its checkpoint of {} entries, with {} "
                    "cosignatures",
                    file->index, believed.checkpoint.origin, believed.checkpoint.size,
                    believed.witnesses.size()));
  }
  return 0;
}

}  // namespace

void add_audit_verify(CLI::App& noun, Cli& cli) {
  auto arguments = std::make_shared<VerifyArguments>();
  const auto of_log = [&](CLI::App& verb) {
    verb.add_option(
            "log", arguments->place,
            "The log: a folder (audit.directory of the node), or the address it is served at")
        ->required();
    arguments->policy.add_to(verb);
    verb.add_option("--ca-file", arguments->ca_file, "Authorities for https; absent: the system's");
  };

  auto* verifying = noun.add_subcommand(
      "verify",
      "Check every byte of a log against its signed checkpoint; exit 1 on any difference");
  of_log(*verifying);
  verifying->add_option("--since", arguments->since,
                        "A checkpoint that you kept: the log must continue it");
  verifying->add_option("--trimmed", arguments->trimmed,
                        "So many entries may be missing from the front: retention removed them");
  verifying->add_option(
      "--key-directory", arguments->key_directory,
      "The node's keys (audit.key_directory): also hold the sealed personal fields "
      "against their commitments");
  verifying->add_option("--master-key-file", arguments->master_file, "... and the master key");
  verifying->add_option("--threads", arguments->threads, "Hash with so many; absent: one per core")
      ->check(CLI::Range(1, 64));
  verifying->callback(cli.run([=, &cli] { return verify(*arguments, cli); }));

  auto* proving = noun.add_subcommand(
      "prove", "Write a proof that one entry is in the log, for anybody to check");
  of_log(*proving);
  proving->add_option("index", arguments->index, "The entry, from 0: its sequence less 1")
      ->required();
  proving->add_option("--to-file", arguments->file,
                      "A new file for the proof; the entry goes beside it, as <file>.entry");
  proving->callback(cli.run([=, &cli] { return prove(*arguments, cli); }));

  auto* checking = noun.add_subcommand("verify-proof", "Check a proof file and its entry, offline");
  checking->add_option("proof", arguments->file, "The proof (c2sp.org/tlog-proof)")->required();
  checking->add_option("entry", arguments->entry_file, "The entry's bytes")->required();
  arguments->policy.add_to(*checking);
  checking->callback(cli.run([=, &cli] { return verify_proof(*arguments, cli); }));
}

}  // namespace domicile::app
