#include "reference/publisher.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/log.h"
#include "crypto/random.h"
#include "reference/finding_event.h"

namespace domicile::reference {
namespace {

using nlohmann::json;

// Where a region stands, as it says itself.
struct Standing {
  std::string region;
  wire::Lsn position = 0;
  std::string system_identifier;
  std::int64_t timeline = 0;
  std::string database_id;
  std::set<QualifiedName> copied;
  bool accept_master = false;
  bool resync = false;
};

// The database at this moment.
struct Here {
  std::string system_identifier;
  std::int64_t timeline = 0;
  std::string database_id;
  bool master = false;
  wire::Lsn flushed = 0;
  bool slot = false;  // there, and usable
  std::string wal_status;
  wire::Lsn confirmed = 0;
};

std::optional<Standing> parse_standing(const std::string& body) {
  const json asked = json::parse(body, nullptr, false);
  if (!asked.is_object()) return std::nullopt;
  Standing standing;
  try {
    standing.region = asked.at("region").get<std::string>();
    const auto position = wire::parse_lsn(asked.at("position").get<std::string>());
    if (!position) return std::nullopt;
    standing.position = *position;
    standing.system_identifier = asked.at("system_identifier").get<std::string>();
    standing.timeline = asked.at("timeline").get<std::int64_t>();
    standing.database_id = asked.at("database_id").get<std::string>();
    standing.accept_master = asked.at("accept_master").get<bool>();
    standing.resync = asked.at("resync").get<bool>();
    for (const json& name : asked.at("copied")) {
      auto table = catalog::parse_qualified_name(name.get<std::string>());
      if (!table) return std::nullopt;
      standing.copied.insert(std::move(*table));
    }
  } catch (const json::exception&) {
    return std::nullopt;
  }
  if (!domain::parse_region_id(standing.region)) return std::nullopt;
  return standing;
}

Result<Here> look(const std::string& dsn, const std::string& slot) {
  Here here;
  auto stream = TRY(pg::ReplicationConnection::open(dsn));
  const auto identity = TRY(stream.identify());
  here.system_identifier = identity.system_identifier;
  here.timeline = identity.timeline;
  here.flushed = identity.flushed;
  auto sql = TRY(pg::Connection::open(dsn));
  const auto region =
      TRY(sql.query("SELECT database_id, master, pg_catalog.current_setting('wal_level') FROM "
                    "domicile.region_status()"));
  if (region.size() == 0)
    return fail(Code::unavailable, "the master's database is no region yet", "not_a_region");
  here.database_id = region.text(0, 0);
  here.master = region.boolean(0, 1);
  if (region.text(0, 2) != "logical") {
    return fail(Code::unavailable,
                fmt::format("wal_level of the master's server is {}, and the reference data can "
                            "only be read from the log with logical: "
                            "ALTER SYSTEM SET wal_level = logical, and restart it",
                            region.text(0, 2)),
                "wal_level");
  }
  const auto rows = TRY(sql.query(
      "SELECT coalesce(wal_status, ''), coalesce(confirmed_flush_lsn, '0/0')::text FROM "
      "pg_catalog.pg_replication_slots "
      "WHERE slot_name = $1 AND plugin = 'pgoutput' AND database = pg_catalog.current_database()",
      {slot}));
  if (rows.size() == 0) return here;
  here.wal_status = rows.text(0, 0);
  here.confirmed = TRY(wire::parse_lsn(rows.text(0, 1)));
  here.slot = here.wal_status != "lost";
  return here;
}

// Why everything is copied anew; "" when the region can go on from where it stands.
std::string_view copy_reason(const Standing& standing, const Here& here) {
  if (standing.position == 0) return "first_copy";
  if (standing.resync) return "resync";
  if (standing.system_identifier != here.system_identifier ||
      standing.database_id != here.database_id)
    return "master_changed";
  if (standing.timeline != here.timeline) return "timeline_changed";
  if (standing.position > here.flushed) return "master_went_back";
  if (!here.slot) return here.wal_status.empty() ? "slot_missing" : "slot_lost";
  if (standing.position < here.confirmed) return "replica_went_back";
  return {};
}

Result<void> is_right_master(const Standing& standing, const Here& here, std::string_view reason) {
  if (!here.master) {
    return fail(Code::conflict, "this database is not the master of the reference data",
                "master_unknown");
  }
  if (reason != "master_changed" || standing.accept_master) return {};
  return fail(Code::conflict,
              fmt::format("this is database {} of server {}, and the region follows another one; "
                          "if that is meant, run there: "
                          "domicile reference accept-master",
                          here.database_id, here.system_identifier),
              "master_unknown");
}

Result<json> describe_tables(const std::string& dsn) {
  auto sql = TRY(pg::Connection::open(dsn));
  json tables = json::array();
  for (const auto& [name, shape] : TRY(read_shapes(sql))) {
    tables.push_back({{"schema", name.schema},
                      {"name", name.name},
                      {"columns", json::parse(shape.columns_json())}});
  }
  return tables;
}

int status_of(const Error& error) {
  if (error.reason == "session_unknown" || error.reason == "class_violation" ||
      error.reason == "master_unknown")
    return 409;
  return 503;
}

http::Response refusal(const Error& error, const http::Request& request) {
  return http::problem(status_of(error),
                       error.reason.empty() ? std::string_view("master_unavailable") : error.reason,
                       error.message, request);
}

std::optional<std::uint64_t> whole_number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.begin(), text.end(), value);
  if (error != std::errc{} || end != text.end()) return std::nullopt;
  return value;
}

struct PullQuery {
  std::string session;
  std::uint64_t sequence = 0;
  wire::Lsn durable = 0;
  std::chrono::milliseconds wait{0};
};

std::optional<PullQuery> parse_pull(std::string_view query) {
  const auto pairs = http::parse_form(query);
  if (!pairs) return std::nullopt;
  PullQuery out;
  for (const auto& [name, value] : *pairs) {
    if (name == "session") {
      out.session = value;
    } else if (name == "durable") {
      const auto lsn = wire::parse_lsn(value);
      if (!lsn) return std::nullopt;
      out.durable = *lsn;
    } else if (name == "sequence" || name == "wait") {
      const auto number = whole_number(value);
      if (!number || (name == "wait" && *number > 60'000)) return std::nullopt;
      if (name == "wait")
        out.wait = std::chrono::milliseconds(*number);
      else
        out.sequence = *number;
    } else {
      return std::nullopt;
    }
  }
  if (out.session.empty() || out.sequence == 0) return std::nullopt;
  return out;
}

}  // namespace

Publisher::Publisher(PublisherOptions options, domain::EventSink& events, const Clock& clock)
    : options_(std::move(options)), events_(events), clock_(clock) {}

Publisher::~Publisher() { stop(); }

void Publisher::start() {
  thread_ = std::thread([this] { run(); });
}

void Publisher::stop() {
  std::map<std::string, std::shared_ptr<Open>> all;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    all.swap(open_);
  }
  wake_.notify_all();
  for (auto& [region, open] : all) open->session->stop();
  if (thread_.joinable()) thread_.join();
}

std::int64_t Publisher::master_us() const {
  return std::chrono::duration_cast<std::chrono::microseconds>(clock_.now().time_since_epoch())
             .count() +
         offset_us_;
}

Result<void> Publisher::beat() {
  if (beats_ == nullptr) {
    beats_ = std::make_unique<pg::Connection>(
        TRY(pg::Connection::open(std::string(options_.dsn.reveal()))));
  }
  const auto rows =
      TRY(beats_->query("SELECT domicile.beat_reference(), (extract(epoch FROM "
                        "pg_catalog.clock_timestamp()) * 1000000)::bigint"));
  offset_us_ += rows.integer(0, 1) - master_us();
  return {};
}

// What the slots keep of the log, and whether they still have it.
Result<void> Publisher::watch_slots() {
  const auto rows =
      TRY(beats_->query("SELECT region, coalesce(retained_bytes, 0), wal_status FROM "
                        "domicile.reference_status WHERE role = 'master'"));
  for (int i = 0; i < rows.size(); ++i) {
    const std::string region(rows.text(i, 0));
    const bool lost = rows.text(i, 2) == "lost";
    if (!lost && rows.integer(i, 1) <= options_.slot_limit_bytes) {
      TRY(beats_->query("SELECT domicile.resolve_reference_findings(ARRAY['slot_limit'], $1)",
                        {region}));
      continue;
    }
    const auto fresh = TRY(beats_->query(
        "SELECT domicile.note_reference_finding('slot_limit', $1, $2)",
        {region, lost ? fmt::format("the slot of {} lost what it kept of the log: the region is "
                                    "copied anew when it comes back; if it never will: "
                                    "SELECT pg_drop_replication_slot('{}')",
                                    region, slot_of(region))
                      : fmt::format("{} has not confirmed {} MiB of the log, which the server "
                                    "keeps for it; see to its node, or give the slot up: "
                                    "SELECT pg_drop_replication_slot('{}')",
                                    region, rows.integer(i, 1) >> 20, slot_of(region))}));
    if (!fresh.boolean(0, 0)) continue;
    domain::Event event = finding_event(clock_, options_.region, "reference.publish",
                                        "region:" + region, "slot_limit", lost ? "high" : "medium");
    event.details = {{"wal_status", std::string(rows.text(i, 2))},
                     {"retained_bytes", std::string(rows.text(i, 1))}};
    TRY(events_.record(std::move(event)));
  }
  return {};
}

void Publisher::run() {
  constexpr int kWatchEvery = 5;  // heartbeats
  std::string last;
  for (int round = 0;; ++round) {
    auto done = beat();
    if (done && round % kWatchEvery == 0) done = watch_slots();
    const std::string problem = done ? "" : done.error().message;
    if (!done) beats_.reset();
    if (problem != last && !problem.empty()) log_warning("reference", "no heartbeat: " + problem);
    last = problem;
    std::unique_lock lock(mutex_);
    if (wake_.wait_for(lock, options_.beat, [&] { return stopping_; })) return;
  }
}

http::Response Publisher::handle(const http::Request& request) {
  if (auto refused = options_.gate.refuse(request)) return *std::move(refused);
  if (!options_.gate.certificates) {
    return http::problem(
        403, "peer_certificate_required",
        "reference data travels over mutual TLS only: set peers.client_ca on this node", request);
  }
  if (request.method != "POST")
    return http::problem(405, "method_not_allowed", "use POST", request);
  if (request.path == "/v1/reference/open") return open(request);
  if (request.path == "/v1/reference/pull") return pull(request);
  return http::problem(404, "not_found", "no such call of the reference sync", request);
}

http::Response Publisher::open(const http::Request& request) {
  const auto standing = parse_standing(request.body);
  if (!standing)
    return http::problem(400, "invalid_request", "not a description of where a region stands",
                         request);
  if (request.header("domicile-region") != standing->region ||
      standing->region == options_.region.view()) {
    return http::problem(403, "peer_region_mismatch", "a region asks for itself only", request);
  }
  const std::string dsn(options_.dsn.reveal());
  const auto here = look(dsn, slot_of(standing->region));
  if (!here) return refusal(here.error(), request);
  const std::string_view reason = copy_reason(*standing, *here);
  if (const auto right = is_right_master(*standing, *here, reason); !right) {
    return refusal(right.error(), request);
  }
  auto tables = describe_tables(dsn);
  if (!tables) return refusal(tables.error(), request);
  const auto session =
      start_session({.region = standing->region,
                     .position = reason.empty() ? standing->position : 0,
                     .copying = reason.empty() ? Copying::missing : Copying::everything,
                     .reason = std::string(reason),
                     .copied = standing->copied});
  if (!session) return refusal(session.error(), request);
  const json answer = {{"session", *session},
                       {"region", options_.region.text()},
                       {"system_identifier", here->system_identifier},
                       {"timeline", here->timeline},
                       {"database_id", here->database_id},
                       {"flushed", wire::format_lsn(here->flushed)},
                       {"copy", reason},
                       {"tables", *std::move(tables)}};
  return http::json_response(200, answer.dump());
}

// In the place of the one that the region had: a slot has one reader.
Result<std::string> Publisher::start_session(SessionStart start) {
  std::shared_ptr<Open> before;
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return fail(Code::unavailable, "this node stops", "stopping");
    before = std::exchange(open_[start.region], nullptr);
  }
  if (before != nullptr) before->session->stop();
  SessionOptions options = options_.session;
  options.dsn = options_.dsn;
  options.region = options_.region;
  const std::string region = start.region;
  auto made = std::make_shared<Open>();
  made->id = crypto::random_text(18);
  made->session = std::make_unique<Session>(std::move(options), std::move(start), events_, clock_);
  const std::lock_guard lock(mutex_);
  auto& place = open_[region];
  if (stopping_ || place != nullptr) {  // somebody else was faster
    return fail(Code::conflict, "another session was opened for this region", "session_unknown");
  }
  place = made;
  return made->id;
}

http::Response Publisher::pull(const http::Request& request) {
  const std::int64_t arrived = master_us();
  const auto query = parse_pull(request.query);
  if (!query)
    return http::problem(400, "invalid_query", "a pull names session, sequence, durable and wait",
                         request);
  std::shared_ptr<Open> found;
  {
    const std::lock_guard lock(mutex_);
    const auto at = open_.find(std::string(request.header("domicile-region").value_or("")));
    if (at != open_.end()) found = at->second;
  }
  if (found == nullptr || found->id != query->session) {
    return http::problem(409, "session_unknown", "this node has no such session: open one",
                         request);
  }
  const std::lock_guard turn(found->turn);
  auto frame = found->session->pull(query->sequence, query->durable,
                                    std::min(query->wait, options_.wait_max));
  if (!frame) return refusal(frame.error(), request);
  http::Response answer{
      .status = 200,
      .headers = {{"content-type", "application/octet-stream"}, {"cache-control", "no-store"}},
      .body = {}};
  if (!*frame) {
    answer.status = 204;
    return answer;
  }
  answer.body = *std::move(*frame);
  stamp(answer.body, arrived, master_us());
  return answer;
}

}  // namespace domicile::reference
