// The master region's side: answers the calls of other regions' nodes under /v1/reference/, keeps a session for each
// of them, and changes the heartbeat row about once a second.
//
//   POST /v1/reference/open   JSON {region, position, system_identifier, timeline, database_id, copied: [...],
//                             accept_master, resync}: where the region stands. The answer says whether that can be
//                             gone on from, or is copied anew, and the columns of every table.
//   POST /v1/reference/pull   ?session=&sequence=&durable=&wait=: the next frame (reference/frame.h), or 204
//
// Refusals are problem+json; 409 with a reason says that the session is over or that the master is not the one that
// the region follows. Only peers with a certificate: without mutual TLS every call is refused.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "http/peer_gate.h"
#include "reference/session.h"

namespace domicile::reference {

struct PublisherOptions {
  Secret dsn;  // of a login with REPLICATION that is a member of domicile_publisher
  domain::RegionId region;
  http::PeerGate gate;
  std::chrono::milliseconds beat{1'000};
  std::chrono::milliseconds wait_max{5'000};
  std::int64_t slot_limit_bytes = 1ll << 30;  // a slot that keeps more of the log is a finding
  SessionOptions session = {};                // dsn and region are filled in
};

class Publisher {
 public:
  // Events and clock outlive it. Connects to nothing yet.
  Publisher(PublisherOptions options, domain::EventSink& events, const Clock& clock);
  ~Publisher();
  void start();
  // Ends all sessions: pulls that wait are answered.
  void stop();

  // For everything below /v1/reference/. Thread-safe.
  http::Response handle(const http::Request& request);

 private:
  struct Open {
    std::string id;
    std::unique_ptr<Session> session;
    std::mutex turn;  // one pull at a time
  };
  http::Response open(const http::Request& request);
  http::Response pull(const http::Request& request);
  Result<std::string> start_session(SessionStart start);
  std::int64_t master_us() const;
  void run();
  Result<void> beat();
  Result<void> watch_slots();

  const PublisherOptions options_;
  domain::EventSink& events_;
  const Clock& clock_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::map<std::string, std::shared_ptr<Open>> open_;  // by region
  bool stopping_ = false;
  std::atomic<std::int64_t> offset_us_{0};  // the database's clock minus ours
  std::unique_ptr<pg::Connection> beats_;
  std::thread thread_;
};

}  // namespace domicile::reference
