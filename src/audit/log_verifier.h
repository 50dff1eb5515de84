// Verifies somebody's log from what anybody can read of it: the checkpoint, the tiles, the entries.
//
// The root is computed from the entries alone, bottom up, so no tile is believed that was not
// checked (a tile from an untrusted place that a proof merely passes through is how CVE-2026-56865
// came about). Every byte of every bundle and tile at the checkpoint's size is compared with what
// the entries give; so is every partial tile that is kept beside, in a folder. Whatever differs is
// a problem that names its place: the tiles that lead to the signed root tell which of two files
// that contradict each other was changed.
//
// A node publishes each checkpoint at once and again when witnesses have cosigned it, so the newest
// may lack their signatures; then the last one that has them (checkpoint.witnessed) is what they
// vouch for, and the log must continue it.
//
// Reads streaming, in blocks of 65,536 entries over several threads; memory does not grow with the
// log. A log that grows meanwhile is verified up to the checkpoint that was read first.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "audit/log_source.h"
#include "audit/personal_check.h"
#include "audit/wal_check.h"
#include "tlog/policy.h"

namespace domicile::audit {

struct VerifyOptions {
  // Whose checkpoints are believed. nullopt: those of the keys that the log itself names
  // (verifier-keys), which finds damage; who forges a log names his own.
  std::optional<tlog::Policy> policy{};
  // A checkpoint (signed note) of this log that somebody kept: the log must continue it.
  std::string since{};
  // So many entries may be missing from the front, as far as their hashes are there, beside those
  // of which a record of the log says that retention removed them (log.trimmed).
  std::uint64_t trimmed_max = 0;
  // Opens the personal fields of a folder, to hold them against their commitments; null: only their
  // form is checked.
  const PersonalVault* personal = nullptr;
  unsigned threads = 0;  // 0: one per core
  std::function<void(std::uint64_t entries, std::uint64_t of)>
      progress{};  // on the caller's thread
};

struct CheckedWitness {
  std::string name;
  std::uint64_t time_s = 0;  // when it cosigned, as it says
};

struct LogReport {
  bool published = false;  // there is a checkpoint; the folder of a young node may have none
  tlog::Checkpoint checkpoint;
  bool signature_checked = false;
  bool own_keys = false;              // by keys that the log itself names
  std::vector<std::string> log_keys;  // verifier keys that signed
  std::vector<CheckedWitness> witnesses;
  bool records = false;  // entries are event records, each at the place of its sequence
  std::uint64_t entries = 0;
  std::uint64_t entry_bytes = 0;
  std::uint64_t bundles = 0;
  std::uint64_t tiles = 0;
  std::uint64_t trimmed = 0;     // entries of the front that are not kept; their hashes are
  std::uint64_t witnessed = 0;   // size of the last checkpoint with a quorum of witnesses
  std::uint64_t ahead = 0;       // files that no checkpoint covers yet (folders only)
  std::optional<WalReport> wal;  // folders only
  PersonalReport personal;       // folders only
  std::optional<tlog::Checkpoint> since{};
  std::vector<std::string> problems;  // empty: all is as it was signed
  std::uint64_t problems_more = 0;    // beyond the first 100
};

// An error: the log cannot be reached, or the options are wrong. What is wrong with the log itself,
// its checkpoint's signatures included, is a problem in the report.
Result<LogReport> verify_log(LogSource& source, const VerifyOptions& options);

}  // namespace domicile::audit
