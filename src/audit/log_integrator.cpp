#include "audit/log_integrator.h"

#include <algorithm>

#include <fmt/format.h>

#include "audit/segment.h"
#include "base/log.h"
#include "tlog/checkpoint.h"

namespace domicile::audit {
namespace {

constexpr std::size_t kEntriesAtOnce = 16'384;        // for one checkpoint
constexpr std::size_t kFilesBytesAtOnce = 16u << 20;  // held before they are written

std::unexpected<Error> damaged(std::string message) {
  return fail(Code::internal,
              std::move(message) + ". Keep the folder as evidence, and run `domicile audit verify`",
              "audit_damaged");
}

}  // namespace

Result<LogIntegrator> LogIntegrator::open(Folder& folder, LogKeys keys) {
  LogIntegrator integrator(folder, std::move(keys));
  TRY(integrator.restore());
  const NamedBytes verifiers{kVerifierKeysFile, integrator.keys_.verifier_text()};
  if (auto known = folder.read(kVerifierKeysFile); !known || *known != verifiers.bytes) {
    TRY(folder.put(std::span(&verifiers, 1)));
  }
  return integrator;
}

Result<void> LogIntegrator::restore() {
  restored_ = false;
  tree_ = LogTree();
  wal_ = WalReader(*folder_);
  auto content = folder_->read(kCheckpointFile);
  if (!content && content.error().code != Code::not_found) return std::unexpected(content.error());
  if (!content) {
    restored_ = true;  // nothing was published: the write-ahead log holds everything
    return {};
  }
  auto known = tlog::open_checkpoint(*content, keys_.verifiers());
  if (!known) return damaged("the checkpoint: " + known.error().message);
  const tlog::Checkpoint& checkpoint = known->checkpoint;
  auto tree = LogTree::restore(checkpoint.size, [this](const tlog::TileId& tile) {
    return folder_->read(tlog::tile_path(tile));
  });
  if (!tree) return damaged("the tree: " + tree.error().message);
  if (tree->root() != checkpoint.root) {
    return damaged(
        fmt::format("the tiles are not those of the checkpoint of {} entries", checkpoint.size));
  }
  tree_ = std::move(*tree);
  for (std::uint64_t next = tree_.bundled() + 1; next <= checkpoint.size;) {
    const std::size_t missing = checkpoint.size - next + 1;
    auto entries = wal_.read(next, missing);
    if (!entries) return damaged("the write-ahead log: " + entries.error().message);
    if (entries->empty()) {
      return damaged(
          fmt::format("the checkpoint commits to {} entries, the write-ahead log ends "
                      "with record {}",
                      checkpoint.size, next - 1));
    }
    for (const LogEntry& entry : *entries) TRY(tree_.refill(entry.line, entry.sealed));
    next += entries->size();
  }
  published_ = checkpoint.size;
  published_bundled_ = tree_.bundled();
  restored_ = true;
  return {};
}

Result<std::string> LogIntegrator::advance(std::uint64_t durable) {
  if (!restored_) TRY(restore());
  if (durable <= tree_.size()) return std::string();
  restored_ = false;  // until all of it is written
  TreeFiles changes;
  std::vector<std::string> obsolete;
  std::size_t bytes = 0;
  const std::uint64_t goal = std::min<std::uint64_t>(durable, tree_.size() + kEntriesAtOnce);
  while (tree_.size() < goal) {
    const auto entries = TRY(wal_.read(tree_.size() + 1, goal - tree_.size()));
    if (entries.empty()) {
      return damaged(fmt::format("record {} was acknowledged and is not in the write-ahead log",
                                 tree_.size() + 1));
    }
    for (const LogEntry& entry : entries) {
      tree_.append(entry.line, entry.sealed, changes);
      bytes += entry.line.size() + entry.sealed.size();
      if (bytes < kFilesBytesAtOnce) continue;
      TRY(folder_->put(std::exchange(changes.files, {})));
      bytes = 0;
    }
  }
  tree_.partials(changes);
  TRY(folder_->put(changes.files));
  std::string note = TRY(publish());
  restored_ = true;
  for (const auto& folder : changes.obsolete) (void)folder_->remove_folder(folder);
  prune();
  return note;
}

Result<std::string> LogIntegrator::publish() {
  const std::string text =
      tlog::checkpoint_text({.origin = keys_.origin(), .size = tree_.size(), .root = tree_.root()});
  NamedBytes checkpoint{kCheckpointFile, text + "\n"};
  for (const auto& signer : keys_.signers()) checkpoint.bytes += TRY(signer.sign_line(text));
  TRY(folder_->put(std::span(&checkpoint, 1)));
  published_ = tree_.size();
  published_bundled_ = tree_.bundled();
  return std::move(checkpoint.bytes);
}

Result<std::string> LogIntegrator::publish_again(LogKeys keys) {
  if (!restored_) TRY(restore());
  keys_ = std::move(keys);
  const NamedBytes verifiers{kVerifierKeysFile, keys_.verifier_text()};
  TRY(folder_->put(std::span(&verifiers, 1)));
  if (published_ == 0) return std::string();
  return publish();
}

Result<void> LogIntegrator::publish_witnessed(std::uint64_t size, const std::string& note) {
  std::vector<NamedBytes> files{{kWitnessedFile, note}};
  if (size == published_) files.push_back({kCheckpointFile, note});
  return folder_->put(files);
}

// What could not be removed is tried again with the next checkpoint.
void LogIntegrator::prune() {
  const auto names = folder_->list();
  if (!names) return;
  const auto segments = segments_in(*names);
  for (std::size_t i = 0; i + 1 < segments.size() && segments[i + 1] <= needed_from(); ++i) {
    if (auto removed = folder_->remove(segment_name(segments[i])); !removed) {
      log_warning("audit", removed.error().message);
      return;
    }
  }
}

}  // namespace domicile::audit
