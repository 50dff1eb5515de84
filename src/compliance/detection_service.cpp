#include "compliance/detection_service.h"

#include <condition_variable>
#include <mutex>
#include <set>
#include <thread>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/encoding.h"
#include "base/file.h"
#include "base/log.h"
#include "crypto/sha256.h"

namespace domicile::compliance {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kRoundEvents = 1'000;
constexpr std::chrono::milliseconds kSaveAtLeastMs{1'000};
constexpr std::string_view kGapRule = "log_gap";
constexpr std::string_view kGap = "log.gap";
constexpr std::string_view kUndeliverable = "alert.undeliverable";

// The uid of a detection that this service wrote; empty for every other event.
std::string uid_of(const std::string& line) {
  if (line.find("\"event_code\":\"detection\"") == std::string::npos) return {};
  const Json json = Json::parse(line, nullptr, false);
  if (json.is_discarded()) return {};
  return json.value("/finding_info/uid"_json_pointer, std::string());
}

}  // namespace

struct DetectionService::State {
  State(std::shared_ptr<const detect::RuleSet> r, DetectionPorts p, DetectionOptions o)
      : rules(std::move(r)),
        ports(std::move(p)),
        options(std::move(o)),
        detector(*rules),
        book(options.book),
        delivery(options.delivery) {
    numbers.position = options.start_after;
  }

  const std::shared_ptr<const detect::RuleSet> rules;
  const DetectionPorts ports;
  const DetectionOptions options;

  // The follower alone.
  detect::Detector detector;
  std::set<std::string> written;  // uids of detections that the log held before this start

  mutable std::mutex mutex;
  std::condition_variable wake;
  AlertBook book;
  AlertDelivery delivery;
  DetectionStats numbers;
  std::string detector_state;  // of numbers.position
  WallTime saved{};
  bool changed = false;
  bool stopping = false;
  std::vector<std::thread> threads;

  Result<void> load();
  Result<void> note_written();
  Result<void> save_locked();
  Result<std::size_t> follow_once();
  Result<void> skip_trimmed();
  void take(const detect::Detection& found);
  void record(const Alert& alert, domain::Activity activity);
  void close_quiet();
  void undeliverable(const DeadLetter& letter);
  void note_gap(std::uint64_t missing, std::uint64_t next);
  bool raise(std::string_view rule, std::string_view subject);
  std::size_t deliver_once(std::size_t receiver);
  void follow_forever();
  void deliver_forever(std::size_t receiver);
};

Result<void> DetectionService::State::load() {
  std::error_code error;
  if (!std::filesystem::exists(options.state_file, error)) return {};
  const auto place = options.state_file.string();
  try {
    const Json state = Json::parse(TRY(read_file(options.state_file)));
    numbers.position = state.at("position").get<std::uint64_t>();
    detector_state = state.at("detector").dump();
    TRY(detector.load(detector_state));
    TRY(book.load(state.at("book").dump()));
    TRY(delivery.load(state.at("delivery").dump()));
  } catch (const Json::exception& problem) {
    return fail(
        Code::internal,
        fmt::format("{} is not what was written there ({}): move it away, and the detections "
                    "begin anew at the end of the log",
                    place, problem.what()));
  }
  return note_written();
}

// What a crash kept from the file, but not from the log.
Result<void> DetectionService::State::note_written() {
  std::uint64_t from = numbers.position + 1;
  while (true) {
    const auto events = ports.read(from, kRoundEvents);
    if (!events && events.error().code == Code::not_found) return {};
    if (!events) return std::unexpected(events.error());
    if (events->empty()) return {};
    for (const auto& event : *events) {
      if (auto uid = uid_of(event.json); !uid.empty()) written.insert(std::move(uid));
    }
    from = events->back().sequence + 1;
  }
}

Result<void> DetectionService::State::save_locked() {
  Json state = {{"position", numbers.position},
                {"detector", detector_state.empty() ? Json::object() : Json::parse(detector_state)},
                {"book", Json::parse(book.save())},
                {"delivery", Json::parse(delivery.save())}};
  TRY(write_file_atomic(options.state_file, state.dump(), 0600));
  saved = ports.clock->now();
  changed = false;
  return {};
}

// Written before the alert is anybody's: whoever gets it finds it in the log.
void DetectionService::State::record(const Alert& alert, domain::Activity activity) {
  domain::Event event;
  event.kind = domain::EventKind::detection;
  event.outcome = domain::Outcome::allowed;
  event.activity = activity;
  event.time = ports.clock->now();
  event.region = options.region;
  event.organization = domain::OrgKey(alert.organization);
  event.operation = alert.name;
  event.resource = alert.subject;
  event.severity = alert.level;
  const std::string uid = activity == domain::Activity::create ? alert.id : alert.id + ".closed";
  if (written.erase(uid) > 0) return;
  event.details = {{"rule", alert.name},
                   {"title", alert.title},
                   {"finding_uid", uid},
                   {"first_sequence", std::to_string(alert.first_sequence)},
                   {"last_sequence", std::to_string(alert.last_sequence)},
                   {"detections", std::to_string(alert.count)},
                   {"standards", alert.tags}};
  if (const auto stored = ports.events->record(std::move(event)); !stored) {
    log_error("detections", fmt::format("the alert {} ({}) is not in the log: {}", alert.name,
                                        alert.id, stored.error().message));
  }
}

void DetectionService::State::take(const detect::Detection& found) {
  std::optional<Alert> opened;
  {
    const std::lock_guard lock(mutex);
    ++numbers.detections;
    changed = true;
    if (const Alert* alert = book.see(found, ports.clock->now(), options.test)) opened = *alert;
  }
  if (!opened) return;
  log_warning("detections", fmt::format("{}: {} (record {})", opened->level, opened->title,
                                        opened->last_sequence));
  record(*opened, domain::Activity::create);
  const std::lock_guard lock(mutex);
  delivery.opened(*opened);
}

void DetectionService::State::close_quiet() {
  std::vector<Alert> closed;
  {
    const std::lock_guard lock(mutex);
    closed = book.close_quiet(ports.clock->now());
  }
  for (const Alert& alert : closed) record(alert, domain::Activity::remove);
  const std::lock_guard lock(mutex);
  for (const Alert& alert : closed) {
    delivery.closed(alert);
    changed = true;
  }
  for (const DeadLetter& letter : delivery.take_dead()) undeliverable(letter);
}

void DetectionService::State::undeliverable(const DeadLetter& letter) {
  log_error("alerts", fmt::format("{} did not get {}: {}", letter.receiver, letter.id, letter.why));
  domain::Event event;
  event.kind = domain::EventKind::log_changed;
  event.outcome = domain::Outcome::failed;
  event.activity = domain::Activity::other;
  event.time = ports.clock->now();
  event.region = options.region;
  event.operation = kUndeliverable;
  event.resource = "receiver:" + letter.receiver;
  event.reason = "undeliverable";
  event.details = {{"message", letter.id}};
  ports.events->submit(std::move(event), [](Result<std::uint64_t>) {});
}

// A rule finds this event; where the log takes none, the alert is raised without it.
void DetectionService::State::note_gap(std::uint64_t missing, std::uint64_t next) {
  domain::Event event;
  event.kind = domain::EventKind::log_changed;
  event.outcome = domain::Outcome::failed;
  event.activity = domain::Activity::other;
  event.time = ports.clock->now();
  event.region = options.region;
  event.operation = kGap;
  event.resource = "events";
  event.reason = "gap";
  event.details = {{"missing", std::to_string(missing)}, {"next", std::to_string(next)}};
  if (!ports.events->record(std::move(event))) raise(kGapRule, kGap);
}

// Records that retention took before we read them. Only an operator's mistake, or a long stop.
Result<void> DetectionService::State::skip_trimmed() {
  const std::uint64_t first = TRY(ports.first());
  const std::lock_guard lock(mutex);
  if (first <= numbers.position + 1) return {};
  numbers.missed += first - numbers.position - 1;
  numbers.position = first - 1;
  changed = true;
  return {};
}

Result<std::size_t> DetectionService::State::follow_once() {
  std::uint64_t position = 0;
  {
    const std::lock_guard lock(mutex);
    position = numbers.position;
  }
  auto events = ports.read(position + 1, kRoundEvents);
  if (!events && events.error().code == Code::not_found) {
    TRY(skip_trimmed());
    return 0;
  }
  if (!events) return std::unexpected(std::move(events).error());
  for (const WatchedEvent& event : *events) {
    if (event.sequence != position + 1) note_gap(position + 1, event.sequence);
    position = event.sequence;
    const auto found = detector.feed(event.sequence, event.json);
    if (!found) {
      const std::lock_guard lock(mutex);
      ++numbers.unreadable;
      continue;
    }
    for (const auto& detection : *found) take(detection);
  }
  close_quiet();
  const std::lock_guard lock(mutex);
  numbers.position = position;
  numbers.events += events->size();
  numbers.groups_given_up = detector.groups_given_up();
  const bool due = ports.clock->now() - saved >= kSaveAtLeastMs;
  if (changed || (!events->empty() && due)) {
    detector_state = detector.save();
    const bool news = changed;
    TRY(save_locked());
    if (news) wake.notify_all();
  }
  return events->size();
}

bool DetectionService::State::raise(std::string_view rule, std::string_view subject) {
  detect::Detection found;
  found.rule = rules->find(rule);
  if (found.rule == nullptr) return false;
  found.subject = subject;
  const auto hour = ports.clock->unix_seconds() / 3600;
  const std::string what = fmt::format("{}\n{}\n{}", found.rule->id, subject, hour);
  found.id = to_hex(crypto::view(crypto::sha256(what)).substr(0, 16));
  const std::lock_guard lock(mutex);
  ++numbers.detections;
  changed = true;
  const Alert* alert = book.see(found, ports.clock->now(), options.test);
  if (alert == nullptr) return false;
  const Alert opened = *alert;
  delivery.opened(opened);
  wake.notify_all();
  return true;
}

std::size_t DetectionService::State::deliver_once(std::size_t receiver) {
  std::size_t sent = 0;
  while (true) {
    std::optional<AlertDelivery::Job> job;
    {
      const std::lock_guard lock(mutex);
      if (stopping) return sent;
      job = delivery.next(receiver, book.open(), ports.clock->now());
    }
    if (!job) return sent;
    const auto status = ports.send(delivery.receiver(receiver), job->request);
    const std::lock_guard lock(mutex);
    if (const auto dead = delivery.done(*job, status, ports.clock->now())) undeliverable(*dead);
    ++sent;
    // What was delivered need not be saved at once: a message sent twice is known by its id.
    changed = true;
    if (!status || *status >= 300) return sent;
  }
}

void DetectionService::State::follow_forever() {
  while (true) {
    const auto seen = follow_once();
    std::unique_lock lock(mutex);
    const std::string error = seen ? std::string() : seen.error().message;
    if (error != numbers.last_error && !error.empty()) log_error("detections", error);
    numbers.last_error = error;
    if (seen && *seen == kRoundEvents && !stopping) continue;  // there is more
    wake.wait_for(lock, options.poll_ms, [this] { return stopping; });
    if (stopping) return;
  }
}

void DetectionService::State::deliver_forever(std::size_t receiver) {
  while (true) {
    deliver_once(receiver);
    std::unique_lock lock(mutex);
    if (stopping) return;
    wake.wait_for(lock, options.poll_ms);
  }
}

DetectionService::DetectionService(std::unique_ptr<State> state) : state_(std::move(state)) {}
DetectionService::~DetectionService() { stop(); }

Result<std::unique_ptr<DetectionService>> DetectionService::create(
    std::shared_ptr<const detect::RuleSet> rules, DetectionPorts ports, DetectionOptions options) {
  auto state = std::make_unique<State>(std::move(rules), std::move(ports), std::move(options));
  TRY(state->load());
  return std::unique_ptr<DetectionService>(new DetectionService(std::move(state)));
}

void DetectionService::start() {
  State& s = *state_;
  s.threads.emplace_back([&s] { s.follow_forever(); });
  for (std::size_t i = 0; i < s.delivery.receivers(); ++i) {
    s.threads.emplace_back([&s, i] { s.deliver_forever(i); });
  }
}

void DetectionService::stop() {
  State& s = *state_;
  {
    const std::lock_guard lock(s.mutex);
    s.stopping = true;
  }
  s.wake.notify_all();
  for (auto& thread : s.threads) thread.join();
  if (!s.threads.empty()) {
    const std::lock_guard lock(s.mutex);
    s.detector_state = s.detector.save();
    if (const auto kept = s.save_locked(); !kept) log_error("detections", kept.error().message);
  }
  s.threads.clear();
}

Result<std::size_t> DetectionService::follow() { return state_->follow_once(); }
std::size_t DetectionService::deliver(std::size_t receiver) {
  return state_->deliver_once(receiver);
}

void DetectionService::raise(std::string_view rule, std::string_view subject) {
  state_->raise(rule, subject);
}

std::vector<Alert> DetectionService::alerts() const {
  const std::lock_guard lock(state_->mutex);
  return state_->book.open();
}

DetectionStats DetectionService::stats() const {
  const std::lock_guard lock(state_->mutex);
  DetectionStats out = state_->numbers;
  out.alerts_open = state_->book.size();
  out.alerts_folded = state_->book.folded();
  out.receivers = state_->delivery.stats();
  return out;
}

}  // namespace domicile::compliance
