#include "reference/pull.h"

#include <fmt/format.h>

#include "reference/frame.h"

namespace domicile::reference {
namespace {

constexpr std::size_t kReadyMax = 2;
constexpr std::chrono::milliseconds kWait{1'000};    // at the publisher, when it has nothing
constexpr std::chrono::milliseconds kSlack{15'000};  // for the answer on its way
constexpr int kTries = 3;                            // a lost answer is given again

}  // namespace

Puller::Puller(PeerOptions peer, std::string session, wire::Lsn durable, const Clock& clock)
    : peer_(std::move(peer)),
      session_(std::move(session)),
      clock_(clock),
      durable_(durable),
      thread_([this] { run(); }) {}

Puller::~Puller() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void Puller::confirm(wire::Lsn durable) {
  const std::lock_guard lock(mutex_);
  durable_ = durable;
}

Result<std::optional<PulledFrame>> Puller::next(std::chrono::milliseconds wait) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, wait, [&] { return ended_ || !ready_.empty(); });
  if (ready_.empty()) {
    if (ended_) return std::unexpected(*ended_);
    return std::nullopt;
  }
  PulledFrame frame = std::move(ready_.front());
  ready_.pop_front();
  lock.unlock();
  changed_.notify_all();
  return frame;
}

Result<std::optional<PulledFrame>> Puller::pull(std::uint64_t sequence, wire::Lsn durable) {
  const auto micros = [this] {
    return std::chrono::duration_cast<std::chrono::microseconds>(clock_.now().time_since_epoch())
        .count();
  };
  const std::int64_t sent = micros();
  auto body =
      TRY(peer_.call(fmt::format("/v1/reference/pull?session={}&sequence={}&durable={}&wait={}",
                                 http::form_encoded(session_), sequence,
                                 http::form_encoded(wire::format_lsn(durable)), kWait.count()),
                     "", kWait + kSlack, kFrameMax));
  if (!body) return std::nullopt;
  const std::int64_t received = micros();
  const auto reader = TRY(FrameReader::open(*body));
  if (reader.sequence() != sequence)
    return fail(Code::invalid, "the master's node gave another frame than the one asked for",
                "frame_malformed");
  // The usual estimate of two clocks that exchange one message (RFC 5905, section 8).
  const std::int64_t on_its_way = (received - sent) - (reader.answered_us() - reader.arrived_us());
  return PulledFrame{
      .bytes = std::make_shared<const std::string>(*std::move(body)),
      .clock_offset_us = ((reader.arrived_us() - sent) + (reader.answered_us() - received)) / 2,
      .uncertainty_us = on_its_way / 2};
}

void Puller::run() {
  std::uint64_t sequence = 1;
  int failures = 0;
  for (;;) {
    wire::Lsn durable = 0;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return stopping_ || ready_.size() < kReadyMax; });
      if (stopping_) return;
      durable = durable_;
    }
    auto got = pull(sequence, durable);
    const std::lock_guard lock(mutex_);
    if (got) {
      failures = 0;
      if (!*got) continue;
      ready_.push_back(**std::move(got));
      ++sequence;
    } else {
      const bool lost = got.error().reason.empty() &&
                        ++failures < kTries;  // on its way, not by the publisher's word
      if (lost) continue;
      ended_ = std::move(got).error();
    }
    changed_.notify_all();
    if (ended_) return;
  }
}

}  // namespace domicile::reference
