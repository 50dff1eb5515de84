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
    TRY(read_since());
    TRY(look_at_first_entry());
    TRY(hash_all());
    TRY(tree_.finish());
    judge();
    if (const auto* folder = source_.folder()) {
      TRY(check_files(*folder, source_, report_.checkpoint.size, report_.ahead,
                      [this](std::string text) { problem(std::move(text)); }));
    }
    report_.tiles += tree_.tiles();
    return std::move(report_);
  }

 private:
  void problem(std::string text) {
    if (report_.problems.size() < kProblemsMax)
      report_.problems.push_back(std::move(text));
    else
      ++report_.problems_more;
  }

  // False: there is nothing that the rest could be held against.
  Result<bool> read_checkpoint() {
    const auto content = source_.read("checkpoint", tlog::kNoteBytesMax);
    if (!content && content.error().code != Code::not_found) {
      return std::unexpected(content.error());
    }
    if (!content) {
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
    report_.checkpoint = *plain;
    if (!options_.policy) return true;
    const auto opened = options_.policy->open(*content);
    if (!opened) {
      problem(fmt::format("checkpoint: {}", opened.error().message));
      return true;
    }
    report_.signature_checked = true;
    for (const auto& key : opened->log_keys) report_.log_keys.push_back(key.text());
    for (const std::size_t i : opened->witnesses) {
      const auto& witness = options_.policy->witnesses()[i];
      for (const auto& signature : opened->note.signatures) {
        const auto at = tlog::cosigned_at(signature, witness.key);
        if (at) report_.witnesses.push_back({witness.name, *at});
      }
    }
    if (!options_.policy->has_quorum(opened->witnesses)) {
      problem(fmt::format("checkpoint: cosigned by {} of {} witnesses, which is no quorum",
                          opened->witnesses.size(), options_.policy->witnesses().size()));
    }
    return true;
  }

  Result<void> read_since() {
    if (options_.since.empty()) return {};
    auto note = tlog::parse_note(options_.since);
    if (!note) return std::unexpected(std::move(note).error().within("the older checkpoint"));
    auto kept = tlog::parse_checkpoint(note->text);
    if (!kept) return std::unexpected(std::move(kept).error().within("the older checkpoint"));
    if (kept->origin != report_.checkpoint.origin) {
      return fail(Code::invalid, fmt::format("the older checkpoint is of {}, the log is {}",
                                             kept->origin, report_.checkpoint.origin));
    }
    if (options_.policy) {
      auto opened = options_.policy->open(options_.since);
      if (!opened) return std::unexpected(std::move(opened).error().within("the older checkpoint"));
    }
    report_.since = std::move(*kept);
    if (report_.since->size > report_.checkpoint.size) {
      problem(fmt::format("the log was cut: it had {} entries and has {}", report_.since->size,
                          report_.checkpoint.size));
    }
    return {};
  }

  std::uint64_t size() const { return report_.checkpoint.size; }
  unsigned width_of(std::uint64_t bundle) const { return tlog::tile_width(0, bundle, size()); }

  // A log of event records has them all through; another one's entries are opaque.
  Result<void> look_at_first_entry() {
    if (size() == 0) return {};
    const auto bundle = read_bundle(source_, 0, width_of(0));
    if (!bundle) return {};  // found again, and told, when it is its turn
    const auto entries = tlog::parse_bundle(*bundle, width_of(0));
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
    if (report_.since && report_.since->size == bundles * kTileWidth) compare_since({});
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
    if (report_.since && report_.since->size / kTileWidth == bundle.index) {
      compare_since(std::span(bundle.leaves)
                        .first(std::min<std::size_t>(report_.since->size % kTileWidth,
                                                     bundle.leaves.size())));
    }
    report_.entries += width;
    report_.entry_bytes += bundle.bytes;
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
    // Enough of them to tell; the rest is counted.
    if (odd && odd_.size() < kProblemsMax)
      odd_.push_back(std::move(bundle));
    else if (odd)
      ++report_.problems_more;
    return {};
  }

  void compare_since(std::span<const tlog::Hash> rest) {
    if (tree_.root(rest) == report_.since->root) return;
    problem(
        fmt::format("the log does not continue the older checkpoint of {} entries: it was "
                    "rewritten. Keep both checkpoints, they are the evidence",
                    report_.since->size));
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
  std::vector<BundleCheck> odd_;
  bool rest_missing_ = false;
};

}  // namespace

Result<LogReport> verify_log(LogSource& source, const VerifyOptions& options) {
  return Verification(source, options).run();
}

}  // namespace domicile::audit
