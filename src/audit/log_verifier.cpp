#include "audit/log_verifier.h"

#include <algorithm>
#include <atomic>
#include <thread>

#include <fmt/format.h>

#include "audit/event_line.h"
#include "audit/log_bundle.h"
#include "audit/log_damage.h"
#include "audit/log_files.h"
#include "audit/verified_tree.h"
#include "tlog/cosignature.h"

namespace domicile::audit {
namespace {

using tlog::kTileWidth;

constexpr std::size_t kProblemsMax = 100;
constexpr std::uint64_t kBlockBundles = 256;  // hashed side by side, then put into the tree
constexpr unsigned kThreadsMax = 64;

class Verification {
 public:
  Verification(LogSource& source, const VerifyOptions& options)
      : source_(source), options_(options), tree_(source) {}

  Result<LogReport> run() {
    if (!TRY(read_checkpoint())) return std::move(report_);
    if (report_.published) {
      TRY(read_since());
      TRY(look_at_last_entry());
      TRY(hash_all());
      TRY(tree_.finish());
      judge();
      report_.tiles += tree_.tiles();
    }
    const auto* folder = source_.folder();
    if (folder == nullptr) return std::move(report_);
    const auto tell = [this](std::string text) { problem(std::move(text)); };
    TRY(check_files(*folder, source_, size(), report_.ahead, tell));
    report_.personal = TRY(check_personal(*folder, source_, size(), options_.personal, tell));
    const auto wal = TRY(open_disk_folder_read_only(*folder));
    report_.wal = TRY(check_wal(*wal, source_, size(), tell));
    if (!report_.published && !report_.wal) problem("there is neither a checkpoint nor a record");
    return std::move(report_);
  }

 private:
  void problem(std::string text) {
    if (report_.problems.size() < kProblemsMax)
      report_.problems.push_back(std::move(text));
    else
      ++report_.problems_more;
  }

  // The keys that the log names itself, when no others are given.
  tlog::Policy policy() {
    if (options_.policy) return *options_.policy;
    const auto named = source_.read("verifier-keys", tlog::kNoteBytesMax);
    const auto keys = named ? tlog::parse_key_list(*named) : std::unexpected(named.error());
    report_.own_keys = keys && !keys->empty();
    return tlog::Policy::of_logs(keys ? *keys : std::vector<tlog::NoteKey>());
  }

  // False: there is nothing that the rest could be held against.
  Result<bool> read_checkpoint() {
    const auto content = source_.read("checkpoint", tlog::kNoteBytesMax);
    const bool absent = !content && content.error().code == Code::not_found;
    if (!content && !absent) return std::unexpected(content.error());
    if (absent && source_.folder() != nullptr && !options_.policy && options_.since.empty()) {
      return true;
    }
    if (absent) {
      problem(fmt::format("checkpoint: {}", content.error().message));
      return false;
    }
    const auto note = tlog::parse_note(*content);
    const auto plain = note ? tlog::parse_checkpoint(note->text)
                            : Result<tlog::Checkpoint>(std::unexpected(note.error()));
    if (!plain) {
      problem(fmt::format("checkpoint: {}", plain.error().message));
      return false;
    }
    report_.published = true;
    report_.checkpoint = *plain;
    const auto believed = policy();
    if (!options_.policy && !report_.own_keys) return true;
    const auto opened = believed.open(*content);
    if (!opened) {
      problem(fmt::format("checkpoint: {}", opened.error().message));
      return true;
    }
    report_.signature_checked = true;
    for (const auto& key : opened->log_keys) report_.log_keys.push_back(key.text());
    TRY(read_witnesses(believed, *opened));
    return true;
  }

  Result<void> read_witnesses(const tlog::Policy& believed, const tlog::WitnessedCheckpoint& now) {
    auto witnessed = now;
    if (!believed.has_quorum(now.witnesses)) {
      const auto content = source_.read("checkpoint.witnessed", tlog::kNoteBytesMax);
      if (!content && content.error().code != Code::not_found) {
        return std::unexpected(content.error());
      }
      auto earlier = content ? believed.require(*content) : std::unexpected(content.error());
      if (!earlier || earlier->checkpoint.origin != report_.checkpoint.origin) {
        problem(fmt::format("checkpoint: cosigned by {} of {} witnesses, which is no quorum{}",
                            now.witnesses.size(), believed.witnesses().size(),
                            content ? "; nor is checkpoint.witnessed" : ""));
        return {};
      }
      witnessed = std::move(*earlier);
      if (witnessed.checkpoint.size > size()) {  // published since the other was read
        kept_.push_back({report_.checkpoint, "its checkpoint of a moment ago"});
        report_.checkpoint = witnessed.checkpoint;
      } else {
        kept_.push_back({witnessed.checkpoint, "the checkpoint that its witnesses cosigned"});
      }
    }
    if (believed.needs_witnesses()) report_.witnessed = witnessed.checkpoint.size;
    for (const std::size_t i : witnessed.witnesses) {
      const auto& witness = believed.witnesses()[i];
      for (const auto& signature : witnessed.note.signatures) {
        const auto at = tlog::cosigned_at(signature, witness.key);
        if (at) report_.witnesses.push_back({witness.name, *at});
      }
    }
    return {};
  }

  Result<void> read_since() {
    if (!options_.since.empty()) {
      auto note = tlog::parse_note(options_.since);
      if (!note) return std::unexpected(std::move(note).error().within("the older checkpoint"));
      auto kept = tlog::parse_checkpoint(note->text);
      if (!kept) return std::unexpected(std::move(kept).error().within("the older checkpoint"));
      if (kept->origin != report_.checkpoint.origin) {
        return fail(Code::invalid, fmt::format("the older checkpoint is of {}, the log is {}",
                                               kept->origin, report_.checkpoint.origin));
      }
      report_.since = *kept;
      kept_.push_back({std::move(*kept), "the older checkpoint"});
    }
    std::erase_if(kept_, [this](const Kept& kept) {
      if (kept.checkpoint.size <= size()) return false;
      problem(fmt::format("the log was cut: {} has {} entries, the log has {}", kept.name,
                          kept.checkpoint.size, size()));
      return true;
    });
    return {};
  }

  std::uint64_t size() const { return report_.checkpoint.size; }
  unsigned width_of(std::uint64_t bundle) const { return tlog::tile_width(0, bundle, size()); }

  // A log of event records has them all through; another one's entries are opaque.
  Result<void> look_at_last_entry() {
    if (size() == 0) return {};
    const std::uint64_t last = (size() - 1) / kTileWidth;
    const auto bundle = read_bundle(source_, last, width_of(last));
    if (!bundle) return {};  // found again, and told, when it is its turn
    const auto entries = tlog::parse_bundle(*bundle, width_of(last));
    report_.records = entries && parse_line(entries->front()).has_value();
    return {};
  }

  Result<void> hash_all() {
    const unsigned cores = std::max(1u, std::thread::hardware_concurrency());
    const unsigned threads =
        std::min(kThreadsMax, options_.threads != 0 ? options_.threads : cores);
    std::vector<std::unique_ptr<LogSource>> sources;
    for (unsigned i = 0; i < threads; ++i) sources.push_back(source_.clone());
    const std::uint64_t bundles = size() / kTileWidth + (size() % kTileWidth != 0 ? 1 : 0);
    for (std::uint64_t first = 0; first < bundles; first += kBlockBundles) {
      auto block = hash_block(first, std::min(kBlockBundles, bundles - first), sources);
      for (auto& bundle : block) TRY(take(TRY(std::move(bundle))));
      if (options_.progress) options_.progress(report_.entries, size());
    }
    compare_kept(bundles, {});
    return {};
  }

  std::vector<Result<BundleCheck>> hash_block(
      std::uint64_t first, std::uint64_t count,
      const std::vector<std::unique_ptr<LogSource>>& sources) const {
    std::vector<Result<BundleCheck>> block(count);
    std::atomic<std::uint64_t> next{0};
    const auto work = [&](LogSource& source) {
      for (std::uint64_t i = next++; i < count; i = next++) {
        block[i] = check_bundle(source, first + i, width_of(first + i), report_.records);
      }
    };
    std::vector<std::jthread> threads;
    for (std::size_t i = 1; i < std::min<std::size_t>(sources.size(), count); ++i) {
      threads.emplace_back([&, i] { work(*sources[i]); });
    }
    work(*sources[0]);
    threads.clear();  // joins
    return block;
  }

  Result<void> take(BundleCheck bundle) {
    const unsigned width = width_of(bundle.index);
    compare_kept(bundle.index, bundle.leaves);
    report_.entries += width;
    report_.entry_bytes += bundle.bytes;
    trimmed_recorded_ = std::max(trimmed_recorded_, bundle.trimmed);
    ++report_.bundles;
    ++report_.tiles;
    if (width < kTileWidth) {
      if (!bundle.readable) rest_missing_ = true;
      tree_.add_rest(bundle.leaves);
    } else {
      TRY(tree_.add_bundle(bundle.readable ? std::optional(tlog::tile_root(bundle.leaves))
                                           : std::nullopt));
    }
    bundle.leaves = {};
    const bool odd = !bundle.bundle_missing.empty() || !bundle.tile_missing.empty() ||
                     bundle.difference || bundle.misplaced;
    const bool is_front = report_.trimmed == bundle.index * kTileWidth;
    if (is_front && width == kTileWidth && bundle.bundle_absent && bundle.readable) {
      report_.trimmed += kTileWidth;
    } else if (odd && odd_.size() < kProblemsMax) {
      odd_.push_back(std::move(bundle));  // enough of them to tell; the rest is counted
    } else if (odd) {
      ++report_.problems_more;
    }
    return {};
  }

  // The older checkpoints whose trees end in this bundle, or where it begins.
  void compare_kept(std::uint64_t bundle, std::span<const tlog::Hash> leaves) {
    for (const Kept& kept : kept_) {
      if (kept.checkpoint.size / kTileWidth != bundle) continue;
      const std::size_t rest = kept.checkpoint.size % kTileWidth;
      if (rest > leaves.size()) continue;  // not there, which is told
      if (tree_.root(leaves.first(rest)) == kept.checkpoint.root) continue;
      problem(
          fmt::format("the log does not continue {} of {} entries: it was rewritten. Keep both "
                      "checkpoints, they are the evidence",
                      kept.name, kept.checkpoint.size));
    }
  }

  void judge() {
    const auto root = rest_missing_ ? std::nullopt : tree_.root();
    const bool entries_are_signed = root == report_.checkpoint.root;
    LogDamage damage(source_, report_.checkpoint);
    bool explained = !tree_.faults().empty();
    for (const auto& bundle : odd_) {
      tell(bundle, entries_are_signed, damage);
      explained |= bundle.difference || !bundle.bundle_missing.empty();
    }
    for (const auto& fault : tree_.faults()) tell(fault, entries_are_signed, damage);
    if (report_.trimmed > std::max(options_.trimmed_max, trimmed_recorded_)) {
      problem(
          fmt::format("{} and on: entries 0 to {} are not there, only their hashes, and no record "
                      "of the log says that retention removed them. If you know that it did: "
                      "--trimmed {}",
                      tlog::bundle_path(0), report_.trimmed - 1, report_.trimmed));
    }
    if (!entries_are_signed && !explained) {
      problem(
          fmt::format("checkpoint: its root hash is not that of the {} entries: they are not "
                      "the ones it was signed for",
                      size()));
    }
  }

  void tell(const BundleCheck& bundle, bool entries_are_signed, LogDamage& damage) {
    const unsigned width = width_of(bundle.index);
    const std::string path = tlog::bundle_path(bundle.index, width);
    const std::string tile = tlog::tile_path({0, bundle.index, width});
    const std::uint64_t first = bundle.index * kTileWidth;
    if (!bundle.bundle_missing.empty()) {
      problem(fmt::format("{}: entries {} to {} are not there: {}", path, first, first + width - 1,
                          bundle.bundle_missing));
    }
    if (!bundle.tile_missing.empty()) problem(fmt::format("{}: {}", tile, bundle.tile_missing));
    if (bundle.misplaced) {
      problem(fmt::format("{}: entry {} is not the record with sequence {}", path,
                          first + *bundle.misplaced, first + *bundle.misplaced + 1));
    }
    if (!bundle.difference) return;
    if (!entries_are_signed && damage.is_committed(0, bundle.index)) {
      problem(fmt::format("{}: entry {} was changed: it is not the one that was signed", path,
                          first + *bundle.difference));
    } else {
      problem(fmt::format("{}: hash {} was changed: it is not that of the entry{}", tile,
                          *bundle.difference,
                          entries_are_signed ? "" : ", or both were; neither leads to the root"));
    }
  }

  void tell(const TileFault& fault, bool entries_are_signed, LogDamage& damage) {
    const auto& id = fault.tile;
    const std::string path = tlog::tile_path(id);
    if (!fault.missing.empty()) {
      problem(fmt::format("{}: {}", path, fault.missing));
    } else if (!entries_are_signed && damage.is_committed(id.level, id.index)) {
      // The tile is what was signed, so what lies below it is not.
      const std::uint64_t below = id.index * kTileWidth + fault.first_hash;
      if (damage.is_committed(id.level - 1, below)) return;  // told with the entries
      problem(fmt::format("{}: does not hold what was signed, with all that lies below it",
                          tlog::tile_path({id.level - 1, below})));
    } else {
      problem(fmt::format("{}: hash {} was changed: it is not that of the tile below it", path,
                          fault.first_hash));
    }
  }

  LogSource& source_;
  const VerifyOptions& options_;
  VerifiedTree tree_;
  LogReport report_;
  struct Kept {
    tlog::Checkpoint checkpoint;
    std::string name;
  };
  std::vector<Kept> kept_;  // older checkpoints that the log must continue
  std::vector<BundleCheck> odd_;
  std::uint64_t trimmed_recorded_ = 0;
  bool rest_missing_ = false;
};

}  // namespace

Result<LogReport> verify_log(LogSource& source, const VerifyOptions& options) {
  return Verification(source, options).run();
}

}  // namespace domicile::audit
