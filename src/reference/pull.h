// Pulls the frames of one session ahead of their use: a thread asks for the next one while the last is applied. A few
// frames at most wait here.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "base/clock.h"
#include "reference/peer.h"
#include "wire/pgoutput.h"

namespace domicile::reference {

struct PulledFrame {
  std::shared_ptr<const std::string> bytes;
  std::int64_t clock_offset_us = 0;  // the master's database's clock minus ours, as this call tells
  std::int64_t uncertainty_us = 0;   // half of what the call took on its way
};

class Puller {
 public:
  Puller(PeerOptions peer, std::string session, wire::Lsn durable, const Clock& clock);
  ~Puller();  // waits for the call under way

  // The next frame; nullopt: none within `wait`. An error is the session's end.
  Result<std::optional<PulledFrame>> next(std::chrono::milliseconds wait);
  void confirm(wire::Lsn durable);  // goes along with the next pull

 private:
  void run();
  Result<std::optional<PulledFrame>> pull(std::uint64_t sequence, wire::Lsn durable);

  Peer peer_;
  const std::string session_;
  const Clock& clock_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<PulledFrame> ready_;
  std::optional<Error> ended_;
  wire::Lsn durable_ = 0;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace domicile::reference
