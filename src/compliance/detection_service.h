// Watches the region's log while it grows: each event goes through the rules, what they find becomes
// an event of the log and an alert, and alerts go to their receivers.
//
// Exactly once, as far as anybody can tell: the place in the log, the correlations' memory, the open
// alerts and what waits for a receiver are one file, replaced as a whole. After a crash the same
// records are read again and give the same ids; a detection that the log holds already is not
// written again, and a receiver knows a message by its id.
//
// What the log itself cannot say (it is full, or stale) is raised directly: raise().
//
// Threads: one that follows, and one for each receiver, so that a slow one holds up nobody. All
// public functions may be called from any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "compliance/alert_book.h"
#include "compliance/alert_delivery.h"
#include "detect/detector.h"
#include "domain/event.h"

namespace domicile::compliance {

struct WatchedEvent {
  std::uint64_t sequence = 0;
  std::string json;
};

struct DetectionPorts {
  // Events from `from` on, at most `count`; empty: none yet. Code::not_found: that one is gone.
  std::function<Result<std::vector<WatchedEvent>>(std::uint64_t from, std::size_t count)> read;
  std::function<Result<std::uint64_t>()> first;  // the first that is kept
  std::function<Result<int>(const Receiver&, const http::ClientRequest&)> send;  // the status
  domain::EventSink* events = nullptr;                                           // outlives it
  const Clock* clock = nullptr;                                                  // the same
};

struct DetectionOptions {
  domain::RegionId region;
  std::filesystem::path state_file;
  std::uint64_t start_after = 0;  // the first time: events up to this one are not looked at
  AlertBookOptions book;
  DeliveryOptions delivery;
  std::chrono::milliseconds poll_ms{200};
  bool test = false;  // everything it finds is a test
};

struct DetectionStats {
  std::uint64_t position = 0;    // the last event that was looked at
  std::uint64_t events = 0;      // looked at since the start
  std::uint64_t detections = 0;  // since the start
  std::uint64_t unreadable = 0;  // events that are no JSON
  std::uint64_t missed = 0;      // records that were gone before they were looked at
  std::uint64_t groups_given_up = 0;
  std::size_t alerts_open = 0;
  std::uint64_t alerts_folded = 0;
  std::string last_error;  // of reading or of the state file; empty: all is well
  std::vector<ReceiverStats> receivers;
};

class DetectionService {
 public:
  // `rules` is kept as long as the service.
  static Result<std::unique_ptr<DetectionService>> create(
      std::shared_ptr<const detect::RuleSet> rules, DetectionPorts ports, DetectionOptions options);
  ~DetectionService();  // stops

  void start();
  void stop();

  // One round of following, and of one receiver's deliveries: what the threads do, for those who have
  // none. How many events were looked at; how many messages were sent.
  Result<std::size_t> follow();
  std::size_t deliver(std::size_t receiver);

  // An alert of the rule with this name, without an event. For what the log cannot hold.
  void raise(std::string_view rule, std::string_view subject);

  std::vector<Alert> alerts() const;
  DetectionStats stats() const;

 private:
  struct State;
  explicit DetectionService(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace domicile::compliance
