#include "logindex/follower.h"

#include <condition_variable>

#include <fmt/format.h>

#include "base/log.h"

namespace domicile::logindex {
namespace {

void wait(const std::stop_token& stop, std::chrono::milliseconds at_most) {
  std::mutex mutex;
  std::condition_variable_any nobody;
  std::unique_lock lock(mutex);
  nobody.wait_for(lock, stop, at_most, [] { return false; });
}

std::chrono::sys_days today(const Clock& clock) {
  return std::chrono::floor<std::chrono::days>(clock.now());
}

}  // namespace

Follower::Follower(FollowerOptions options, domain::EventSink& events, const Clock& clock)
    : options_(std::move(options)), events_(events), clock_(clock) {}

Follower::~Follower() {
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
}

void Follower::start() {
  thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
}

FollowerStats Follower::stats() const {
  const std::scoped_lock lock(mutex_);
  return stats_;
}

void Follower::run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    const auto worked = work(stop);
    const std::string error = worked ? "" : worked.error().message;
    {
      const std::scoped_lock lock(mutex_);
      if (!error.empty() && error != stats_.last_error) {
        log_warning("audit_index", fmt::format("the index waits: {}", error));
      }
      stats_.last_error = error;
    }
    wait(stop, std::chrono::seconds(2));
  }
}

// Until something fails.
Result<void> Follower::work(const std::stop_token& stop) {
  auto store = TRY(IndexStore::open(std::string(options_.dsn.reveal()), options_.origin));
  while (!stop.stop_requested()) {
    const std::size_t taken =
        TRY(store.load(options_.feed, options_.opener, options_.batch, today(clock_)));
    TRY(record_questions(store));
    TRY(drop_old(store));
    {
      const std::scoped_lock lock(mutex_);
      stats_.loaded += taken;
      stats_.last_error.clear();
    }
    if (taken < options_.batch) wait(stop, options_.poll_ms);
  }
  return {};
}

// A crash between the two leaves the question to be recorded again, under the same request id.
Result<void> Follower::record_questions(IndexStore& store) {
  const auto rows = TRY(store.connection().query(
      "SELECT id, login, person, question, organization, fingerprint, found, first_sequence, "
      "last_sequence, (extract(epoch FROM at) * 1000)::bigint FROM domicile_index.asked ORDER BY "
      "id "
      "LIMIT 100"));
  for (int i = 0; i < rows.size(); ++i) {
    domain::Event event;
    event.kind = domain::EventKind::log_changed;
    event.outcome = domain::Outcome::allowed;
    event.activity = domain::Activity::read;
    event.operation = "log.query";
    event.resource = "index";
    event.time = WallTime(std::chrono::milliseconds(rows.integer(i, 9)));
    event.organization = domain::OrgKey(std::string(rows.text(i, 4)));
    event.actor = domain::UserId(std::string(rows.text(i, 2)));
    event.actor_role = rows.text(i, 1);
    event.request_id = fmt::format("question-{}", rows.text(i, 0));
    event.details = {{"question", std::string(rows.text(i, 3))},
                     {"fingerprint", std::string(rows.text(i, 5))},
                     {"count", std::string(rows.text(i, 6))},
                     {"first_sequence", std::string(rows.text(i, 7))},
                     {"last_sequence", std::string(rows.text(i, 8))}};
    TRY(events_.record(std::move(event)));
    TRY(store.connection().query("DELETE FROM domicile_index.asked WHERE id = $1",
                                 {std::string(rows.text(i, 0))}));
    const std::scoped_lock lock(mutex_);
    ++stats_.questions;
  }
  return {};
}

// Once a day.
Result<void> Follower::drop_old(IndexStore& store) {
  const auto day = today(clock_);
  if (options_.retention.count() == 0 || dropped_on_ == day) return {};
  const std::size_t dropped = TRY(store.drop_before(day - options_.retention));
  if (dropped > 0) {
    log_info("audit_index", fmt::format("{} days older than {} days left the index", dropped,
                                        options_.retention.count()));
  }
  dropped_on_ = day;
  return {};
}

}  // namespace domicile::logindex
