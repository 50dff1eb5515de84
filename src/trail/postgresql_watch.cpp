#include "trail/postgresql_watch.h"

#include <charconv>
#include <condition_variable>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/file.h"
#include "base/log.h"
#include "trail/store_events.h"

namespace domicile::trail {
namespace {

using domain::Event;
using domain::EventKind;
using domain::Outcome;

constexpr std::size_t kBatch = 1'000;
constexpr std::size_t kPidsMax = 100'000;
constexpr std::chrono::hours kFindingAgain{24};

void wait(const std::stop_token& stop, std::chrono::milliseconds at_most) {
  std::mutex mutex;
  std::condition_variable_any nobody;
  std::unique_lock lock(mutex);
  nobody.wait_for(lock, stop, at_most, [] { return false; });
}

}  // namespace

PostgresqlWatch::PostgresqlWatch(PostgresqlWatchOptions options, domain::EventSink& events,
                                 const Clock& clock)
    : options_(std::move(options)), events_(events), clock_(clock) {
  expected_.logins = options_.expected_logins;
}

PostgresqlWatch::~PostgresqlWatch() {
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
}

void PostgresqlWatch::start() {
  thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
}

void PostgresqlWatch::run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    Result<void> done;
    std::size_t records = 0;
    if (!folder_ && !options_.log_folder.empty()) done = restore();
    const bool due = !scanned_at_ || clock_.steady() - *scanned_at_ >= options_.scan_every;
    if (done && due) {  // first: whose sessions the log tells of must be known
      scanned_at_ = clock_.steady();
      done = scan();
    }
    if (folder_ && scanned_) {  // also while the catalogs cannot be asked
      if (auto read = follow()) {
        records = *read;
        caught_up_ = records < kBatch;
      } else {
        done = std::unexpected(std::move(read).error());
      }
    }
    const std::string error = done ? "" : done.error().message;
    if (!error.empty() && error != said_) {
      log_warning("trail", fmt::format("PostgreSQL's trail waits: {}", error));
    }
    said_ = error;
    if (records < kBatch) wait(stop, error.empty() ? options_.poll_ms : std::chrono::seconds(2));
  }
}

// The state file: the position, behind a line that says "-", or, while a batch is under way, the
// sequence of the audit log at which it began.
Result<void> PostgresqlWatch::restore() {
  std::error_code error;
  if (!std::filesystem::exists(options_.state_file, error)) {
    LogFolder fresh(options_.log_folder, {});
    TRY(fresh.skip_to_end());
    folder_.emplace(std::move(fresh));
    return save({});
  }
  const std::string text = TRY(read_file(options_.state_file, 4u << 20));
  const std::string_view first = std::string_view(text).substr(0, text.find('\n'));
  std::uint64_t before = 0;
  const auto [end, wrong] = std::from_chars(first.begin(), first.end(), before);
  const bool under_way = wrong == std::errc{} && end == first.end();
  const auto position = (under_way || first == "-") && first.size() < text.size()
                            ? parse_position(std::string_view(text).substr(first.size() + 1))
                            : std::nullopt;
  if (!position) {
    return fail(Code::invalid, fmt::format("{} is not a position in a server's log; move it away: "
                                           "the trail then begins at the log's end",
                                           options_.state_file.string()));
  }
  if (under_way) recorded_ = TRY(options_.recorded_after(before));
  folder_.emplace(options_.log_folder, *position);
  return {};
}

Result<void> PostgresqlWatch::save(std::optional<std::uint64_t> batch_from) {
  const std::string first = batch_from ? std::to_string(*batch_from) : "-";
  return write_file_atomic(options_.state_file,
                           fmt::format("{}\n{}", first, to_text(folder_->position())), 0600);
}

Result<std::size_t> PostgresqlWatch::follow() {
  const std::uint64_t before = options_.last_sequence();
  LogFolder next = *folder_;  // becomes the position once its events are durable
  std::vector<Event> events;
  std::vector<FolderProblem> problems;
  const std::size_t records = TRY(next.read(
      kBatch,
      [&](const ServerRecord& record) {
        if (heard_pids_.size() >= kPidsMax) heard_pids_.clear();
        heard_pids_.insert(record.pid);
        auto event = event_of(record, expected_, clock_.now());
        if (event && !recorded_.contains(event->request_id)) events.push_back(std::move(*event));
      },
      problems));
  if (records == 0 && problems.empty()) {
    folder_.emplace(std::move(next));
    return 0;
  }
  if (!events.empty()) TRY(store(std::move(events), before));
  std::map<std::string, std::size_t> times;
  for (const auto& found : problems) ++times[found.what];
  for (const auto& found : problems) {
    if (times[found.what] == 0) continue;
    TRY(problem(found, std::exchange(times[found.what], 0)));
  }
  folder_.emplace(std::move(next));
  recorded_.clear();
  TRY(save({}));
  return records;
}

Result<void> PostgresqlWatch::store(std::vector<Event> events, std::uint64_t before) {
  // A batch that is tried again keeps the beginning of its first try.
  if (recorded_.empty()) TRY(save(before));
  std::set<std::string> stored;
  auto done = store_events(events_, std::move(events), stored);
  recorded_.merge(stored);  // until the position is kept: not a second time, whatever fails now
  return done;
}

Event PostgresqlWatch::event(EventKind kind, const std::string& operation) const {
  Event event;
  event.kind = kind;
  event.outcome = Outcome::allowed;
  event.time = clock_.now();
  event.operation = operation;
  event.resource = "postgresql";
  event.details = {{"source", "postgresql-catalog"}};
  return event;
}

Result<void> PostgresqlWatch::problem(const FolderProblem& problem, std::size_t times) {
  Event told = event(EventKind::log_changed, "trail." + problem.what);
  told.severity = problem.what == "removed" || problem.what == "truncated" ? "critical" : "high";
  told.details = {{"source", "postgresql-log"},
                  {"file", problem.file},
                  {"observed", problem.detail},
                  {"count", std::to_string(times)}};
  TRY(events_.record(std::move(told)));
  return {};
}

Result<void> PostgresqlWatch::scan() {
  const auto found = TRY(scan_catalog(std::string(options_.dsn.reveal())));
  expected_.superusers = found.superusers;
  TRY(note_silence(found));
  TRY(note_settings(found));
  TRY(note_sessions(found));
  TRY(judge(found));
  scanned_ = true;
  return {};
}

Result<void> PostgresqlWatch::note_sessions(const CatalogScan& found) {
  std::set<std::string> now;
  for (const OpenSession& session : found.sessions) {
    const bool expected = expected_.logins.contains(session.user);
    const bool superuser = found.superusers.contains(session.user);
    if (expected && !superuser) continue;
    const std::string key = fmt::format("{} {}", session.pid, session.started);
    now.insert(key);
    if (sessions_.contains(key)) continue;
    Event seen = event(EventKind::sql_session, "open");
    seen.actor_role = session.user;
    seen.resource = session.database;
    seen.source_ip = session.address;
    seen.details.insert(seen.details.end(), {{"user", session.user},
                                             {"database", session.database},
                                             {"application_name", session.application},
                                             {"bypass", expected ? "false" : "true"},
                                             {"superuser", superuser ? "true" : "false"}});
    TRY(events_.record(std::move(seen)));
  }
  sessions_ = std::move(now);
  return {};
}

Result<void> PostgresqlWatch::note_settings(const CatalogScan& found) {
  for (const auto& [name, value] : found.settings) {
    const auto before = settings_.find(name);
    if (!scanned_ || (before != settings_.end() && before->second == value)) continue;
    Event changed = event(EventKind::config_changed, "postgresql.setting");
    changed.activity = domain::Activity::update;
    changed.resource = name;
    changed.severity = "high";
    changed.details.insert(changed.details.end(),
                           {{"setting", name},
                            {"value", value},
                            {"before", before == settings_.end() ? "" : before->second}});
    TRY(events_.record(std::move(changed)));
  }
  settings_ = found.settings;
  return {};
}

// The last scan was a session: a log that sees has told of it by now.
Result<void> PostgresqlWatch::note_silence(const CatalogScan& found) {
  if (!folder_ || !caught_up_) return {};
  const auto awaited = std::exchange(awaited_pid_, found.own_pid);
  if (!awaited) {
    heard_pids_.clear();
    return {};
  }
  const bool silent = !heard_pids_.contains(*awaited);
  heard_pids_.clear();
  if (silent == silent_) return {};
  Event told = event(EventKind::log_changed, silent ? "trail.silent" : "trail.heard");
  told.severity = silent ? "critical" : "medium";
  told.details.emplace_back("sessions", std::to_string(found.sessions.size()));
  told.details.emplace_back("observed",
                            silent ? "a session was opened, and the server's log says nothing of it"
                                   : "the server's log tells of sessions again");
  TRY(events_.record(std::move(told)));
  silent_ = silent;
  return {};
}

// A finding when something changed, and once a day.
Result<void> PostgresqlWatch::finding(const std::string& control, const std::string& title,
                                      bool bad, const std::string& observed,
                                      const std::string& remedy) {
  const auto before = findings_.find(control);
  const bool news = before == findings_.end() || before->second != observed;
  if (!news && clock_.now() - found_at_[control] < kFindingAgain) return {};
  Event told = event(EventKind::finding, control);
  told.outcome = bad ? Outcome::denied : Outcome::allowed;
  told.activity = domain::Activity::create;
  if (bad) told.reason = "trail_blind";
  told.details.insert(told.details.end(),
                      {{"title", title}, {"observed", observed}, {"standards", "SOC 2 CC7.2"}});
  if (bad) told.details.emplace_back("remedy", remedy);
  TRY(events_.record(std::move(told)));
  findings_[control] = observed;
  found_at_[control] = clock_.now();
  return {};
}

Result<void> PostgresqlWatch::judge(const CatalogScan& found) {
  const auto blind = blind_settings(found.settings);
  TRY(finding(
      "DOM-TRL-001", "The server's log tells of every session", !blind.empty(),
      blind.empty() ? "every session is logged" : fmt::format("{}", fmt::join(blind, "; ")),
      "log_connections = on, logging_collector = on, log_destination = 'jsonlog' (14: csvlog)"));
  const bool logged = statements_logged(found.settings);
  return finding("DOM-TRL-002", "The server's log tells of changed schemas", !logged,
                 logged ? "DDL is logged" : "neither log_statement nor pgaudit logs DDL",
                 "log_statement = 'ddl', or pgaudit with pgaudit.log = 'ddl, role'");
}

}  // namespace domicile::trail
