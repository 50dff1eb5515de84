// Keeps a node's registry snapshot up to date. A thread asks the source for changes, builds the
// next snapshot, hands it to the subscribers and writes it to disk. While the source is away the
// last good snapshot stays: known organizations are served, unknown ones refused.
//
// A registry that went back (restored from a backup), or whose history differs from the one
// followed so far, is refused: the snapshot stays as it is, status() says so, and the operator
// decides (docs/registry.md, "After a restore"). A delta that contradicts the snapshot is refused
// in the same way. So that this also holds when the snapshot file is lost or damaged, the position
// that was reached is kept in a second small file beside it.
#pragma once

#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "domain/registry_snapshot.h"
#include "registry/registry_source.h"

namespace domicile::registry {

enum class FollowerState {
  starting,     // the source has not answered yet
  following,    // the snapshot is as new as the source
  unreachable,  // the source is away; the last good snapshot is in use
  refused,      // the source answers with another history: an operator must look
};
std::string_view to_string(FollowerState state);

struct FollowerStatus {
  FollowerState state = FollowerState::starting;
  std::string problem;         // for operators; empty while following
  std::uint64_t revision = 0;  // of the snapshot in use
  std::size_t organizations = 0;
  WallTime contact{};  // when the source last answered well; 0: never since start
};

class Follower {
 public:
  using Snapshot = std::shared_ptr<const domain::RegistrySnapshot>;
  // Called with every new snapshot: at subscription with the present one (on the caller's thread),
  // then on the follower's thread. Must not block.
  using Subscriber = std::function<void(const Snapshot&)>;

  struct Options {
    std::filesystem::path directory;      // registry.snapshot and registry.mark; must exist
    std::chrono::milliseconds poll{250};  // between questions, when the source did not wait
    std::chrono::milliseconds wait{
        2'000};  // how long the source may wait for news; stop() may take as long
    std::chrono::milliseconds retry_max{5'000};
    unsigned page = 5'000;  // organizations per question
    std::size_t save_at_once_bytes =
        8u << 20;  // larger snapshots are written at most every save_every
    std::chrono::milliseconds save_every{2'000};
  };

  // Reads the files, starts no thread. A damaged snapshot file is reported in the log and left out.
  // Source and clock outlive the follower.
  Follower(RegistrySource& source, const Clock& clock, Options options);
  ~Follower();

  void subscribe(Subscriber subscriber);
  void start();
  void stop();  // joins; writes what is not on disk yet

  Snapshot current() const;
  FollowerStatus status() const;
  // Blocks until the snapshot is newer than `revision`. False: not within `at_most`, or stopped.
  bool wait_past(std::uint64_t revision, std::chrono::milliseconds at_most) const;
  // From now on nobody waits there: whoever does is told at once what there is.
  void release_waiting();

  // One round in the caller's thread: ask until there is nothing more. For tests and commands; not
  // while the thread runs.
  Result<void> follow_once(std::chrono::milliseconds wait);

 private:
  void load();
  void run();
  Result<void> check_mark();
  void publish(Snapshot next);
  void save(bool now);
  void report(FollowerState state, const std::string& problem);
  RegistryHead position() const;

  RegistrySource& source_;
  const Clock& clock_;
  const Options options_;
  std::vector<Subscriber> subscribers_;

  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  Snapshot current_;
  FollowerStatus status_;
  bool stopping_ = false;
  bool released_ = false;  // by release_waiting()

  // Of the thread that follows.
  RegistryHead mark_;  // the furthest position known from disk, until the source has confirmed it
  bool mark_checked_ = false;
  bool last_was_news_ = false;
  std::uint64_t saved_revision_ = 0;
  SteadyTime saved_at_{};
  std::thread thread_;
};

}  // namespace domicile::registry
