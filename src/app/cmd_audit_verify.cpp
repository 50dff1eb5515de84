#include "app/cmd_audit_verify.h"

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <memory>

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "app/log_policy_option.h"
#include "audit/event_reader.h"
#include "audit/log_prover.h"
#include "audit/log_verifier.h"
#include "base/encoding.h"
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

// The log on the disk as it was before, or beyond, any checkpoint: its write-ahead segments.
struct Verified {
  std::optional<audit::LogReport> log;          // nullopt: there is no checkpoint
  std::optional<audit::FolderReport> segments;  // nullopt: not a folder, or without segments
  double seconds = 0;
};

bool is_whole(const Verified& v) {
  return (!v.log || v.log->problems.empty()) && (!v.segments || v.segments->problems.empty());
}

Json json_of(const audit::LogReport& log) {
  Json witnesses = Json::array();
  for (const auto& witness : log.witnesses) {
    witnesses.push_back({{"name", witness.name}, {"time", when(witness.time_s)}});
  }
  Json out = {{"origin", log.checkpoint.origin},
              {"size", log.checkpoint.size},
              {"root", tlog::hash_text(log.checkpoint.root)},
              {"signature_checked", log.signature_checked},
              {"keys", log.log_keys},
              {"witnesses", witnesses},
              {"event_records", log.records},
              {"entries", log.entries},
              {"entry_bytes", log.entry_bytes},
              {"bundles", log.bundles},
              {"tiles", log.tiles},
              {"files_ahead", log.ahead}};
  if (log.since) {
    out["since"] = {{"size", log.since->size}, {"root", tlog::hash_text(log.since->root)}};
  }
  out["problems"] = log.problems;
  out["problems_more"] = log.problems_more;
  return out;
}

Json json_of(const Verified& v) {
  Json out = {{"whole", is_whole(v)}};
  if (v.segments) {
    // At the top level, as they were before there were checkpoints.
    out["segments"] = v.segments->segments;
    out["records"] = v.segments->records;
    out["bytes"] = v.segments->bytes;
    out["first_sequence"] = v.segments->first_sequence;
    out["last_sequence"] = v.segments->last_sequence;
    out["unfinished_bytes"] = v.segments->unfinished_bytes;
    out["problems"] = v.segments->problems;
  }
  if (v.log) {
    out["log"] = json_of(*v.log);
    for (const auto& problem : v.log->problems) out["problems"].push_back(problem);
  }
  if (!out.contains("problems")) out["problems"] = Json::array();
  out["seconds"] = v.seconds;
  return out;
}

void tell_log(const audit::LogReport& log, double seconds) {
  print(fmt::format("{}: {} entries, root {}", log.checkpoint.origin, log.checkpoint.size,
                    tlog::hash_text(log.checkpoint.root)));
  for (const auto& key : log.log_keys) print(fmt::format("signed by {}", key));
  for (const auto& witness : log.witnesses) {
    print(fmt::format("witnessed by {} at {}", witness.name, when(witness.time_s)));
  }
  print(fmt::format("{} bundles ({} bytes of entries) and {} tiles hashed in {:.2f} s", log.bundles,
                    log.entry_bytes, log.tiles, seconds));
  if (log.since && log.problems.empty()) {
    print(fmt::format("continues the checkpoint of {} entries that was kept", log.since->size));
  }
  if (log.ahead > 0) {
    print(fmt::format("{} files are ahead of the checkpoint: the next one will cover them",
                      log.ahead));
  }
  for (const auto& problem : log.problems) fmt::print(stderr, "domicile: {}\n", problem);
  if (log.problems_more > 0) {
    fmt::print(stderr, "domicile: and {} more like these\n", log.problems_more);
  }
}

void tell_segments(const audit::FolderReport& report) {
  print(fmt::format("{} records in {} segments, {} bytes: {} to {}", report.records,
                    report.segments, report.bytes, report.first_sequence, report.last_sequence));
  if (report.unfinished_bytes > 0) {
    print(
        fmt::format("{} bytes after the last record: a write under way, or one that a crash cut "
                    "short (the next start cuts it away and says so in the log)",
                    report.unfinished_bytes));
  }
  for (const auto& problem : report.problems) fmt::print(stderr, "domicile: {}\n", problem);
}

void tell(const Verified& v) {
  if (v.segments) tell_segments(*v.segments);
  if (v.log) tell_log(*v.log, v.seconds);
  if (!is_whole(v)) {
    print("NOT whole: see above");
  } else if (v.log && v.log->signature_checked) {
    print("whole: every entry is there, in order, and as it was signed");
  } else if (v.log) {
    print(
        "whole: every entry is what the checkpoint says. Who signed the checkpoint was not asked: "
        "give --key or --policy");
  } else {
    print("whole: every record is there, in order and unchanged since it was written");
  }
}

Result<int> verify(const VerifyArguments& arguments, const Cli& cli) {
  const auto begun = Steady::now();
  auto source = TRY(audit::open_log_source(arguments.place, arguments.ca_file));
  audit::VerifyOptions options{.policy = TRY(arguments.policy.load()),
                               .threads = arguments.threads};
  if (!arguments.since.empty()) {
    options.since = TRY(read_file(arguments.since, tlog::kNoteBytesMax));
  }
  Verified verified;
  if (const auto* path = source->folder()) {
    auto folder = TRY(audit::open_disk_folder_read_only(*path));
    const auto report = TRY(audit::read_events(*folder, {}));
    if (report.segments > 0) verified.segments = report;
  }
  // A folder without a checkpoint is that of a node which has not made one; when one is to be
  // believed, there must be one.
  const bool wanted = options.policy || !options.since.empty() || !verified.segments;
  if (wanted || std::filesystem::exists(*source->folder() / "checkpoint")) {
    const Bar bar(cli);
    options.progress = [&bar](std::uint64_t done, std::uint64_t of) { bar.show(done, of); };
    verified.log = TRY(audit::verify_log(*source, options));
  }
  verified.seconds = std::chrono::duration<double>(Steady::now() - begun).count();
  if (cli.json)
    print(json_of(verified).dump());
  else
    tell(verified);
  return is_whole(verified) ? 0 : 1;
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
