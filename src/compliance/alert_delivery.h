// Who is still to be told of which alert. Holds what waits, decides what is due and takes back what
// came of it; who calls it does the sending, so that nothing waits behind a slow receiver's answer.
//
//   while (auto job = delivery.next(i, open, now)) delivery.done(*job, send(job->request), now);
//
// Alertmanager gets all open alerts at once when something changed and every `resend_ms`; it forgets
// them when it restarts. A closed alert is sent until it was accepted once. A webhook gets each
// message until it answers 2xx, later and later, at most `attempts_max` times; then the message is a
// dead letter. What waits is bounded: beyond it the oldest message is a dead letter.
//
// One thread at a time. save() and load() carry what waits over a restart; a message that was on its
// way then is sent again with the same id.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "compliance/alert_message.h"
#include "http/client.h"

namespace domicile::compliance {

struct Receiver {
  enum class Kind { alertmanager, webhook };
  Kind kind = Kind::webhook;
  std::string name;  // unique among the receivers
  std::string url;
  std::filesystem::path ca_file;  // empty: the system's authorities
  Secret key;                     // of a webhook
  detect::Level least = detect::Level::informational;
};

struct DeliveryOptions {
  std::vector<Receiver> receivers;
  AlertOrigin origin;
  std::chrono::milliseconds resend_ms{60'000};
  unsigned attempts_max = 30;
  std::size_t waiting_max = 5'000;  // for each webhook
  std::size_t dead_max = 200;       // kept for people to look at
};

struct DeadLetter {
  std::string receiver;
  std::string id;
  std::string why;
};

struct ReceiverStats {
  std::string name;
  std::uint64_t delivered = 0;  // since the start
  std::uint64_t failed = 0;     // attempts, since the start
  std::uint64_t dead = 0;       // since the state began
  std::size_t waiting = 0;
  std::string last_error;  // empty once something was delivered
};

class AlertDelivery {
 public:
  explicit AlertDelivery(DeliveryOptions options);

  void opened(const Alert& alert);
  void closed(const Alert& alert);

  struct Job {
    std::size_t receiver = 0;
    http::ClientRequest request;
    std::string id;                        // of a webhook's message
    std::vector<std::string> closed_told;  // to Alertmanager
  };
  // What is due for one receiver, one thing at a time.
  std::optional<Job> next(std::size_t receiver, const std::vector<Alert>& open, WallTime now);
  // `status`: what the receiver answered. The message's end, if this was it.
  std::optional<DeadLetter> done(const Job& job, const Result<int>& status, WallTime now);

  const Receiver& receiver(std::size_t i) const { return options_.receivers[i]; }
  std::size_t receivers() const { return options_.receivers.size(); }
  std::vector<ReceiverStats> stats() const;
  std::vector<DeadLetter> take_dead();  // those that done() did not give out

  std::string save() const;  // JSON
  Result<void> load(std::string_view json);

 private:
  struct Waiting {
    WebhookMessage message;
    unsigned attempts = 0;
    WallTime not_before{};
  };
  struct Line {
    std::deque<Waiting> waiting;      // of a webhook
    std::vector<Alert> closed;        // to be told to Alertmanager
    WallTime due{};                   // of Alertmanager's next round
    bool changed = false;             // send now, not at the next round
    unsigned failures = 0;            // in a row
    std::optional<std::string> busy;  // a message that is on its way
    ReceiverStats stats;
  };
  bool wants(const Receiver& receiver, const Alert& alert) const;
  void enqueue(Line& line, const Alert& alert);
  std::optional<Job> next_round(std::size_t i, const std::vector<Alert>& open, WallTime now);
  std::optional<Job> next_message(std::size_t i, WallTime now);
  DeadLetter bury(Line& line, std::deque<Waiting>::iterator at, std::string why);

  DeliveryOptions options_;
  std::vector<Line> lines_;
  std::deque<DeadLetter> dead_;    // kept
  std::vector<DeadLetter> fresh_;  // not given out yet
};

}  // namespace domicile::compliance
