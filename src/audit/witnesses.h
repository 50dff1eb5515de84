// Puts this log's checkpoints to its witnesses and collects their cosignatures, so that nobody, this
// node's administrators included, can show two histories of it. A witness that is away never holds
// up the log: checkpoints are published without it, and its absence is an event.
//
// Witnesses are asked in rounds, all for the same checkpoint, so that their cosignatures meet on
// one: the newest at the round's begin. The next round begins when there is a newer checkpoint and
// the quorum is there, or every witness has answered or failed. One thread a witness; whoever is
// away is asked again after a pause that doubles.
//
// Events (log_changed), once for each change of state: witness.absent after `absent_ms` without a
// cosignature, witness.returned; witness.conflict (critical) when a witness holds another history,
// or answers with a signature that is not its own; witness.quorum_missing after `absent_ms` without
// a quorum, witness.quorum_restored.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "audit/witness_call.h"
#include "base/clock.h"
#include "domain/event.h"
#include "http/client.h"
#include "tlog/policy.h"

namespace domicile::audit {

struct WitnessesOptions {
  tlog::Policy policy;        // witnesses without a URL are not asked
  std::filesystem::path log;  // the folder of the log: proofs are made from its tiles
  domain::RegionId region;
  http::ClientOptions client{};  // authorities, and the certificate shown to peers
  std::chrono::milliseconds absent_ms{60'000};
  std::chrono::milliseconds retry_ms{1'000};
  std::chrono::milliseconds retry_ms_max{60'000};
};

enum class WitnessState { unknown, present, absent, conflict };
std::string_view to_string(WitnessState state);

struct WitnessStatus {
  std::string name;
  WitnessState state = WitnessState::unknown;
  std::string reason;        // of the last failure; empty when it cosigned
  std::uint64_t size = 0;    // it cosigned last
  std::int64_t time_ms = 0;  // when, by this node's clock
};

class Witnesses {
 public:
  // A checkpoint with enough cosignatures, newer ones only or the same with more; on a witness's
  // thread.
  using Publish = std::function<void(std::uint64_t size, const std::string& note)>;

  // `events` and `clock` outlive it.
  Witnesses(WitnessesOptions options, domain::EventSink& events, const Clock& clock,
            Publish publish);
  ~Witnesses();  // stops
  Witnesses(const Witnesses&) = delete;
  Witnesses& operator=(const Witnesses&) = delete;

  // The log's newest signed checkpoint, from the log itself. Never blocks.
  void offer(const std::string& note);
  void stop();

  std::vector<WitnessStatus> status() const;
  bool quorum_missing() const;      // for longer than absent_ms
  std::uint64_t witnessed() const;  // size of the last published one

 private:
  struct Round {
    std::uint64_t number = 0;  // 0: none yet
    tlog::Checkpoint checkpoint{};
    tlog::Note note{};                    // as it was offered
    std::string cosignatures{};           // lines
    std::vector<std::size_t> cosigned{};  // by these witnesses of the policy
    std::size_t waiting = 0;              // for so many, who are not away
  };
  struct Asked {            // one witness, and its thread
    std::size_t index = 0;  // in the policy
    WitnessStatus status{};
    std::uint64_t known_size = 0;
    std::uint64_t answered = 0;  // in this round
    std::uint64_t awaited = 0;   // in this round
    std::chrono::milliseconds pause{0};
    SteadyTime retry_at{};
    SteadyTime good_at{};  // it cosigned last; or the start
    std::thread thread{};
  };
  using Events = std::vector<domain::Event>;

  void run(Asked& asked);
  void ask(Asked& asked, http::Client& client, std::unique_lock<std::mutex>& lock);
  void begin_round();  // if it is time
  void take(Asked& asked, std::uint64_t number, WitnessOutcome outcome, Events& events);
  void cosigned(Asked& asked, std::uint64_t number, const WitnessOutcome& outcome, Events& events);
  void failed(Asked& asked, const WitnessOutcome& outcome, Events& events);
  void look_at_quorum(Events& events);
  void publish_ready();
  void submit(Events events);
  domain::Event event(std::string operation, domain::Outcome outcome, std::string reason,
                      std::string severity, const Asked* asked) const;

  const WitnessesOptions options_;
  domain::EventSink& events_;
  const Clock& clock_;
  const Publish publish_;

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<std::unique_ptr<Asked>> asked_;
  struct Offered {
    tlog::Checkpoint checkpoint;
    tlog::Note note;
  };
  std::optional<Offered> newest_;  // in no round yet
  Round round_;
  std::optional<std::pair<std::uint64_t, std::string>> ready_;  // to be published
  std::uint64_t witnessed_ = 0;
  SteadyTime quorum_at_{};
  bool quorum_missing_ = false;
  bool stopping_ = false;
  std::mutex publish_mutex_;  // publications in order; taken before mutex_
};

}  // namespace domicile::audit
