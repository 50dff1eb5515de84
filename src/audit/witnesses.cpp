#include "audit/witnesses.h"

#include <algorithm>

#include <fmt/format.h>

#include "audit/log_prover.h"
#include "audit/witness_event.h"
#include "base/log.h"

namespace domicile::audit {
namespace {

using domain::Outcome;

// How often a thread that has nothing to do looks at the time.
constexpr std::chrono::milliseconds kLook{250};

}  // namespace

std::string_view to_string(WitnessState state) {
  switch (state) {
    case WitnessState::unknown: return "unknown";
    case WitnessState::present: return "present";
    case WitnessState::absent: return "absent";
    case WitnessState::conflict: return "conflict";
  }
  return "unknown";
}

Witnesses::Witnesses(WitnessesOptions options, domain::EventSink& events, const Clock& clock,
                     Publish publish)
    : options_(std::move(options)),
      events_(events),
      clock_(clock),
      publish_(std::move(publish)),
      quorum_at_(clock.steady()) {
  for (std::size_t i = 0; i < options_.policy.witnesses().size(); ++i) {
    const auto& witness = options_.policy.witnesses()[i];
    if (witness.url.empty()) continue;
    auto asked = std::make_unique<Asked>();
    asked->index = i;
    asked->status.name = witness.name;
    asked->good_at = clock.steady();
    asked_.push_back(std::move(asked));
  }
  for (auto& asked : asked_) asked->thread = std::thread([this, &asked = *asked] { run(asked); });
}

Witnesses::~Witnesses() { stop(); }

void Witnesses::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (auto& asked : asked_) {
    if (asked->thread.joinable()) asked->thread.join();
  }
}

void Witnesses::offer(const std::string& note) {
  auto parsed = tlog::parse_note(note);
  auto checkpoint = parsed ? tlog::parse_checkpoint(parsed->text)
                           : Result<tlog::Checkpoint>(std::unexpected(parsed.error()));
  if (!checkpoint) {
    log_error("witness", checkpoint.error().message);
    return;
  }
  {
    const std::lock_guard lock(mutex_);
    newest_ = {std::move(*checkpoint), std::move(*parsed)};
  }
  wake_.notify_all();
}

std::vector<WitnessStatus> Witnesses::status() const {
  const std::lock_guard lock(mutex_);
  std::vector<WitnessStatus> out;
  for (const auto& asked : asked_) out.push_back(asked->status);
  return out;
}

bool Witnesses::quorum_missing() const {
  const std::lock_guard lock(mutex_);
  return quorum_missing_;
}

std::uint64_t Witnesses::witnessed() const {
  const std::lock_guard lock(mutex_);
  return witnessed_;
}

void Witnesses::run(Asked& asked) {
  http::Client client(options_.client);
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    begin_round();
    if (round_.number > asked.answered && clock_.steady() >= asked.retry_at) {
      ask(asked, client, lock);
      continue;
    }
    Events events;
    look_at_quorum(events);
    if (!events.empty()) {
      lock.unlock();
      submit(std::move(events));
      lock.lock();
      continue;
    }
    wake_.wait_for(lock, kLook);
  }
}

void Witnesses::begin_round() {
  const bool is_over =
      round_.number == 0 || round_.waiting == 0 || options_.policy.has_quorum(round_.cosigned);
  if (!newest_ || !is_over) return;
  round_.number += 1;
  round_.checkpoint = std::move(newest_->checkpoint);
  round_.note = std::move(newest_->note);
  round_.cosignatures.clear();
  round_.cosigned.clear();
  round_.waiting = 0;
  newest_.reset();
  for (auto& asked : asked_) {
    if (clock_.steady() < asked->retry_at) continue;  // away: nobody waits for it
    asked->awaited = round_.number;
    ++round_.waiting;
  }
  wake_.notify_all();
}

void Witnesses::ask(Asked& asked, http::Client& client, std::unique_lock<std::mutex>& lock) {
  const std::uint64_t number = round_.number;
  const std::uint64_t known_size = asked.known_size;
  const tlog::Checkpoint checkpoint = round_.checkpoint;
  const std::string note = round_.note.content();
  lock.unlock();
  WitnessOutcome outcome{.reason = "own_log_unreadable"};
  if (auto source = open_log_source(options_.log.string())) {
    outcome =
        call_witness(client, options_.policy.witnesses()[asked.index], note, checkpoint, known_size,
                     [&source](const tlog::Checkpoint& now, std::uint64_t old_size) {
                       return prove_growth(**source, now, old_size);
                     });
  } else {
    outcome.message = source.error().message;
  }
  Events events;
  lock.lock();
  take(asked, number, std::move(outcome), events);
  look_at_quorum(events);
  lock.unlock();
  wake_.notify_all();
  publish_ready();
  submit(std::move(events));
  lock.lock();
}

void Witnesses::take(Asked& asked, std::uint64_t number, WitnessOutcome outcome, Events& events) {
  asked.known_size = outcome.known_size;
  if (asked.awaited == round_.number && number == round_.number && round_.waiting > 0) {
    asked.awaited = 0;
    --round_.waiting;
  }
  if (outcome.answer == WitnessAnswer::cosigned) {
    cosigned(asked, number, outcome, events);
  } else {
    failed(asked, outcome, events);
  }
}

void Witnesses::cosigned(Asked& asked, std::uint64_t number, const WitnessOutcome& outcome,
                         Events& events) {
  const auto now = clock_.steady();
  asked.answered = number;
  asked.good_at = now;
  asked.pause = {};
  asked.status.size = outcome.known_size;
  asked.status.time_ms = clock_.now().time_since_epoch().count();
  asked.status.reason.clear();
  const auto before = std::exchange(asked.status.state, WitnessState::present);
  if (before == WitnessState::absent || before == WitnessState::conflict) {
    events.push_back(event("witness.returned", Outcome::allowed, "", "informational", &asked));
  }
  if (number != round_.number) return;  // the others have gone on
  round_.cosigned.push_back(asked.index);
  for (const auto& signature : outcome.cosignatures) round_.cosignatures += signature.line();
  if (!options_.policy.has_quorum(round_.cosigned)) return;
  quorum_at_ = now;
  ready_ = {round_.checkpoint.size, round_.note.content() + round_.cosignatures};
}

void Witnesses::failed(Asked& asked, const WitnessOutcome& outcome, Events& events) {
  const auto now = clock_.steady();
  const bool is_conflict = outcome.answer == WitnessAnswer::conflict;
  asked.pause = is_conflict ? options_.retry_ms_max
                            : std::clamp(asked.pause * 2, options_.retry_ms, options_.retry_ms_max);
  asked.retry_at = now + asked.pause;
  if (asked.status.reason != outcome.reason) {
    log_warning("witness", fmt::format("{}: {}", asked.status.name, outcome.message));
  }
  asked.status.reason = outcome.reason;
  const auto before = asked.status.state;
  if (is_conflict) {
    asked.status.state = WitnessState::conflict;
    if (before == WitnessState::conflict) return;
    events.push_back(
        event("witness.conflict", Outcome::failed, outcome.reason, "critical", &asked));
    return;
  }
  if (before == WitnessState::conflict || before == WitnessState::absent) return;
  if (now - asked.good_at < options_.absent_ms) return;
  asked.status.state = WitnessState::absent;
  events.push_back(event("witness.absent", Outcome::failed, outcome.reason, "high", &asked));
}

// Missing: there is a checkpoint without its quorum, and has been one for too long.
void Witnesses::look_at_quorum(Events& events) {
  const auto now = clock_.steady();
  const bool has = round_.number != 0 && options_.policy.has_quorum(round_.cosigned);
  if (has || round_.number == 0) {
    if (has && !newest_) quorum_at_ = now;  // nothing newer waits for it
    if (has && std::exchange(quorum_missing_, false)) {
      events.push_back(
          event("witness.quorum_restored", Outcome::allowed, "", "informational", nullptr));
    }
    return;
  }
  if (quorum_missing_ || now - quorum_at_ < options_.absent_ms) return;
  quorum_missing_ = true;
  log_error("witness", "too few witnesses cosign this log's checkpoints: the quorum is missing");
  events.push_back(
      event("witness.quorum_missing", Outcome::failed, "quorum_missing", "critical", nullptr));
}

void Witnesses::publish_ready() {
  const std::lock_guard in_order(publish_mutex_);
  std::optional<std::pair<std::uint64_t, std::string>> ready;
  {
    const std::lock_guard lock(mutex_);
    ready = std::exchange(ready_, std::nullopt);
    if (ready) witnessed_ = ready->first;
  }
  if (ready) publish_(ready->first, ready->second);
}

void Witnesses::submit(Events events) {
  for (auto& one : events) events_.submit(std::move(one), [](Result<std::uint64_t>) {});
}

domain::Event Witnesses::event(std::string operation, Outcome outcome, std::string reason,
                               std::string severity, const Asked* asked) const {
  std::vector<std::pair<std::string, std::string>> details = {
      {"log", round_.checkpoint.origin},
      {"side", "log"},
      {"size", std::to_string(round_.checkpoint.size)},
      {"witnessed_size", std::to_string(witnessed_)}};
  if (asked != nullptr) {
    details.emplace_back("witness", asked->status.name);
    details.emplace_back("witness_key", options_.policy.witnesses()[asked->index].key.text());
    details.emplace_back("witness_size", std::to_string(asked->known_size));
  }
  return witness_event(clock_, options_.region, std::move(operation), outcome, std::move(reason),
                       std::move(severity), std::move(details));
}

}  // namespace domicile::audit
