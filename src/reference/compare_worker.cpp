#include "reference/compare_worker.h"

#include <condition_variable>
#include <mutex>

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/log.h"

namespace domicile::reference {
namespace {

using nlohmann::json;

// A fixed number of ours: whoever has the turn works.
constexpr const char* kLock = "SELECT domicile.take_reference_turn(7236271390284111)";

void wait(const std::stop_token& stop, std::chrono::milliseconds at_most) {
  std::mutex mutex;
  std::condition_variable_any nobody;
  std::unique_lock lock(mutex);
  nobody.wait_for(lock, stop, at_most, [] { return false; });
}

std::string error_json(const Error& error) {
  return json{{"error", error.message}, {"reason", error.reason}, {"code", to_string(error.code)}}
      .dump(-1, ' ', false, json::error_handler_t::replace);
}

Result<void> end(pg::Connection& connection, std::int64_t job, const char* state,
                 const std::string& result) {
  TRY(connection.query(
      "UPDATE domicile.reference_job SET state = $2, result = $3::pg_catalog.jsonb, ended_at = "
      "pg_catalog.clock_timestamp() WHERE id = $1",
      {std::to_string(job), state, result}));
  return {};
}

// Tells progress at most twice a second, and hears whether the job is cancelled.
class Teller {
 public:
  Teller(pg::Connection& connection, std::int64_t job, std::stop_source& stop)
      : connection_(connection), job_(std::to_string(job)), stop_(stop) {}

  void operator()(std::string_view phase, std::uint64_t done, std::uint64_t all) {
    const auto now = std::chrono::steady_clock::now();
    if (phase == phase_ && now - told_ < std::chrono::milliseconds(500)) return;
    phase_ = phase;
    told_ = now;
    const auto rows = connection_.query(
        "UPDATE domicile.reference_job SET progress = $2::pg_catalog.jsonb WHERE id = $1 RETURNING "
        "state",
        {job_, json{{"phase", phase}, {"done", done}, {"all", all}}.dump()});
    // Without its connection the worker has lost its lock: another one may be at the same job.
    if (!rows || rows->size() == 0 || rows->text(0, 0) == "cancelling") stop_.request_stop();
  }

 private:
  pg::Connection& connection_;
  std::string job_;
  std::stop_source& stop_;
  std::string phase_;
  std::chrono::steady_clock::time_point told_{};
};

}  // namespace

CompareWorker::CompareWorker(Options options, domain::EventSink& sink, const Clock& clock)
    : options_(std::move(options)), sink_(sink), clock_(clock) {}

CompareWorker::~CompareWorker() {
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
}

void CompareWorker::start() {
  thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
}

void CompareWorker::run(const std::stop_token& stop) {
  std::string said;
  while (!stop.stop_requested()) {
    auto connection = pg::Connection::open(options_.dsn);
    const auto worked = connection ? work(*connection, stop)
                                   : Result<void>(std::unexpected(std::move(connection).error()));
    if (!worked && worked.error().message != said) {  // once, not twice a second
      said = worked.error().message;
      log_warning("reference", fmt::format("comparisons wait: {}", said));
    }
    wait(stop, std::chrono::seconds(2));
  }
}

// Until the connection breaks.
Result<void> CompareWorker::work(pg::Connection& connection, const std::stop_token& stop) {
  for (bool mine = false; !stop.stop_requested();) {
    if (!mine) mine = TRY(connection.query(kLock)).boolean(0, 0);
    bool worked = false;
    if (mine) {
      TRY(schedule(connection));
      worked = TRY(take_one(connection, stop));
    }
    if (!worked) wait(stop, options_.poll_ms);
  }
  return {};
}

Result<void> CompareWorker::schedule(pg::Connection& connection) {
  if (!options_.compare_at) return {};
  const auto today = std::chrono::floor<std::chrono::days>(clock_.now());
  if (clock_.now() - today < *options_.compare_at) return {};
  TRY(connection.query(
      "INSERT INTO domicile.reference_job (kind, options, scheduled, requested_by) SELECT "
      "'compare', "
      "$2::pg_catalog.jsonb, $1::pg_catalog.date, 'schedule' WHERE NOT EXISTS (SELECT FROM "
      "domicile.reference_job WHERE scheduled = $1::pg_catalog.date) ON CONFLICT DO NOTHING",
      {fmt::format("{:%Y-%m-%d}", today), encode_job({.repair = true})}));
  return {};
}

Result<bool> CompareWorker::take_one(pg::Connection& connection, const std::stop_token& stop) {
  const auto rows =
      TRY(connection.query("UPDATE domicile.reference_job j SET state = CASE j.state WHEN "
                           "'cancelling' THEN 'cancelled' ELSE "
                           "'running' END, started_at = pg_catalog.clock_timestamp(), ended_at = "
                           "CASE j.state WHEN 'cancelling' "
                           "THEN pg_catalog.clock_timestamp() END WHERE j.id = (SELECT min(id) "
                           "FROM domicile.reference_job WHERE "
                           "ended_at IS NULL) RETURNING j.id, j.options, j.state"));
  if (rows.size() == 0) return false;
  if (rows.text(0, 2) == "cancelled") return true;
  auto job = decode_job(rows.text(0, 1));
  const std::int64_t id = rows.integer(0, 0);
  if (!job) {
    TRY(end(connection, id, "failed", error_json(job.error())));
    return true;
  }
  job->id = id;
  TRY(carry_out(connection, *job, stop));
  return true;
}

Result<void> CompareWorker::carry_out(pg::Connection& connection, const CompareJob& job,
                                      const std::stop_token& stop) {
  std::stop_source cancelled;
  const std::stop_callback forward(stop, [&] { cancelled.request_stop(); });
  const auto master = options_.master();
  std::vector<TableOutcome> outcomes;
  Teller teller(connection, job.id, cancelled);
  const auto done = run_compare_job(*master, job,
                                    {.dsn = options_.dsn,
                                     .region = options_.region,
                                     .folder = options_.folder,
                                     .stop = cancelled.get_token(),
                                     .progress = std::ref(teller)},
                                    sink_, clock_, outcomes);
  if (stop.stop_requested()) return {};  // it stays running, and is taken up again
  // Without the connection the job stays running, and is taken up again; any other error would come again.
  if (auto kept = keep_outcomes(connection, job.id, outcomes); !kept) {
    if (kept.error().code == Code::unavailable) return kept;
    return end(connection, job.id, "failed", error_json(kept.error()));
  }
  if (done) return end(connection, job.id, "done", result_json(outcomes));
  if (done.error().reason == "cancelled")
    return end(connection, job.id, "cancelled", result_json(outcomes));
  log_warning("reference", fmt::format("comparison {} failed: {}", job.id, done.error().message));
  return end(connection, job.id, "failed", error_json(done.error()));
}

}  // namespace domicile::reference
