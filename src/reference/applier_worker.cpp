#include "reference/applier_worker.h"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/log.h"
#include "reference/finding_event.h"

namespace domicile::reference {
namespace {

using nlohmann::json;

constexpr auto kOpenWait = std::chrono::seconds(30);
constexpr std::size_t kAnswerMax = 16u << 20;

// What needs a person. Everything else is worth a try soon.
bool is_stop(const Error& error) {
  for (const char* reason :
       {"class_violation", "catalog_differs", "schema_drift", "master_unknown", "replica_identity",
        "wal_level", "publication_missing", "peer_certificate_required", "peer_region_mismatch",
        "peer_region_unknown", "rights_missing", "copy_refused", "change_refused"}) {
    if (error.reason == reason) return true;
  }
  return error.code == Code::denied || error.code == Code::unauthenticated;
}

}  // namespace

Applier::Worker::Worker(ApplierOptions options, domain::EventSink& events, const Clock& clock)
    : options_(std::move(options)), events_(events), clock_(clock) {
  status_.state = "starting";
}

void Applier::Worker::start() {
  thread_ = std::thread([this] { run(); });
}

void Applier::Worker::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

ApplierStatus Applier::Worker::status() const {
  const std::lock_guard lock(mutex_);
  return status_;
}

bool Applier::Worker::stopping() const {
  const std::lock_guard lock(mutex_);
  return stopping_;
}

void Applier::Worker::run() {
  well_at_ = clock_.steady();
  auto pause = options_.retry_min;
  while (!stopping()) {
    const SteadyTime began = clock_.steady();
    Result<void> done = fail(Code::internal, "");
    try {
      done = follow();
    } catch (const std::exception& error) {
      done = fail(Code::internal, error.what());
    }
    if (done || stopping()) continue;
    if (open_ && sql_) (void)sql_->script("ROLLBACK");
    // What was said to be applied and is not.
    for (auto& recorded :
         submit_frames(domain::Outcome::failed,
                       done.error().reason.empty() ? "not_stored" : done.error().reason)) {
      (void)recorded.get();
    }
    const bool stop = is_stop(done.error());
    report(stop ? "stopped" : "unreachable", done.error());
    watch_limit(std::chrono::duration_cast<std::chrono::milliseconds>(clock_.steady() - well_at_),
                done.error().message);
    sql_.reset();
    if (clock_.steady() - began > options_.retry_max * 2) pause = options_.retry_min;
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, stop ? std::max(pause, std::chrono::milliseconds(1'000)) : pause,
                      [&] { return stopping_; });
    pause = std::min(pause * 2, options_.retry_max);
  }
}

Result<void> Applier::Worker::follow() {
  changes_.clear();
  counts_.clear();
  frames_.clear();
  targets_.clear();
  described_.clear();
  open_ = savepoint_ = in_source_ = beat_ = false;
  unconfirmed_.reset();
  sql_ = TRY(pg::Connection::open(dsn()));
  // Values are read as pgoutput and COPY print them. A crash may take back what is not on disk yet: it is pulled again.
  TRY(
      sql_->script("SET datestyle = ISO; SET intervalstyle = postgres; SET timezone = 'UTC'; SET "
                   "search_path = ''; "
                   "SET lock_timeout = '10s'; SET synchronous_commit = off"));
  // One applier at a time: a second node waits here, and takes over when the first is gone.
  const auto alone = TRY(sql_->query("SELECT domicile.take_reference_turn(7236271390284112)"));
  if (!alone.boolean(0, 0))
    return fail(Code::unavailable, "another applier is at work on this database",
                "another_applier");
  const Standing standing = TRY(read_standing());
  own_ = TRY(read_shapes(*sql_));
  order_ = TRY(parents_first(*sql_, own_));
  copied_ = standing.copied;
  Peer peer(options_.peer);
  const Master master = TRY(open_session(peer, standing));
  TRY(remember_columns(master));
  TRY(agree(master));
  agreed_at_ = master.flushed;
  const bool everything = !master.copy.empty();
  if (everything && master.copy != "first_copy" && master.copy != "resync") {
    raise("reference_resync", master.copy,
          fmt::format("everything is copied anew from {}: {}", master.region, master.copy), "high");
  }
  if (everything) copied_.clear();
  position_ = reached_ = TRY(wire::parse_lsn(standing.position));
  if (standing.timeline != master.timeline ||
      standing.system_identifier != master.system_identifier || standing.accept_master ||
      standing.database_id != master.database_id || standing.master_region != master.region) {
    if (!everything)
      return fail(Code::internal, "the master's identity changed without a copy", "master_unknown");
  }
  report(everything ? "copying" : "streaming", {});
  Puller puller(options_.peer, master.session, everything ? 0 : position_, clock_);
  RecordSource source(puller);
  if (everything) {  // kept with the copy, in its transaction
    TRY(sql_->query("SELECT pg_catalog.set_config('domicile.reference_master', $1, false)",
                    {json{{"region", master.region},
                          {"system_identifier", master.system_identifier},
                          {"timeline", master.timeline},
                          {"database_id", master.database_id}}
                         .dump()}));
  }
  return loop(source, puller);
}

Result<Applier::Worker::Standing> Applier::Worker::read_standing() {
  Standing standing;
  const auto member = TRY(sql_->query(
      "SELECT pg_catalog.pg_has_role(session_user, 'domicile_reference', 'member') AND NOT "
      "pg_catalog.pg_has_role(session_user, 'domicile_owner', 'member'), session_user"));
  if (!member.boolean(0, 0)) {
    return fail(Code::denied,
                fmt::format("role {} must be a member of domicile_reference and not of "
                            "domicile_owner to store reference data; see `domicile region init "
                            "--reference-role`",
                            member.text(0, 1)),
                "rights_missing");
  }
  const auto region = TRY(sql_->query("SELECT region, master FROM domicile.region_status()"));
  if (region.size() == 0 || region.text(0, 0) != options_.region.view()) {
    return fail(Code::invalid, "the database is not this region's", "rights_missing");
  }
  if (region.boolean(0, 1))
    return fail(Code::conflict,
                "this database is marked as the master region's: nothing is applied to it",
                "master_unknown");
  const auto rows =
      TRY(sql_->query("SELECT region, system_identifier, timeline, database_id, position::text, "
                      "accept_master, resync FROM domicile.reference_source"));
  standing.master_region = rows.text(0, 0);
  standing.system_identifier = rows.text(0, 1);
  standing.timeline = rows.integer(0, 2);
  standing.database_id = rows.text(0, 3);
  standing.position = rows.text(0, 4);
  standing.accept_master = rows.boolean(0, 5);
  standing.resync = rows.boolean(0, 6);
  const auto tables =
      TRY(sql_->query("SELECT schema_name, table_name, copied_lsn::text FROM "
                      "domicile.reference_table WHERE copied_lsn IS NOT NULL"));
  for (int i = 0; i < tables.size(); ++i) {
    standing.copied[{std::string(tables.text(i, 0)), std::string(tables.text(i, 1))}] =
        TRY(wire::parse_lsn(tables.text(i, 2)));
  }
  return standing;
}

Result<Applier::Worker::Master> Applier::Worker::open_session(Peer& peer,
                                                              const Standing& standing) {
  json copied = json::array();
  for (const auto& [name, lsn] : standing.copied) {
    if (own_.contains(name)) copied.push_back(to_string(name));
  }
  const json asked = {{"region", options_.region.text()},
                      {"position", standing.position},
                      {"system_identifier", standing.system_identifier},
                      {"timeline", standing.timeline},
                      {"database_id", standing.database_id},
                      {"copied", std::move(copied)},
                      {"accept_master", standing.accept_master},
                      {"resync", standing.resync}};
  const auto body = TRY(peer.call("/v1/reference/open", asked.dump(), kOpenWait, kAnswerMax));
  const json answer = json::parse(body.value_or(""), nullptr, false);
  Master master;
  try {
    master.session = answer.at("session").get<std::string>();
    master.region = answer.at("region").get<std::string>();
    master.system_identifier = answer.at("system_identifier").get<std::string>();
    master.timeline = answer.at("timeline").get<std::int64_t>();
    master.database_id = answer.at("database_id").get<std::string>();
    master.copy = answer.at("copy").get<std::string>();
    master.flushed = TRY(wire::parse_lsn(answer.at("flushed").get<std::string>()));
    for (const json& table : answer.at("tables")) {
      const QualifiedName name{table.at("schema").get<std::string>(),
                               table.at("name").get<std::string>()};
      master.tables[name] = TRY(parse_shape(name, table.at("columns").dump()));
    }
  } catch (const json::exception&) {
    return fail(Code::unavailable,
                "the master's node gave an answer that this version does not understand",
                "answer_malformed");
  }
  return master;
}

// Both catalogs and both schemas must say the same before anything is stored.
Result<void> Applier::Worker::agree(const Master& master) {
  std::vector<std::string> open_findings;
  for (const auto& [name, theirs] : master.tables) {
    const auto mine = own_.find(name);
    if (mine == own_.end()) {
      const std::string detail = fmt::format(
          "{} is a reference table of the master region and none here; bring this region to the "
          "same catalog: "
          "domicile region init --catalog ...",
          to_string(name));
      raise("catalog_differs", to_string(name), detail, "high");
      return fail(Code::conflict, detail, "catalog_differs");
    }
    if (const std::string what = difference(mine->second, theirs); !what.empty()) {
      const std::string detail = fmt::format(
          "{}: {}; bring both sides to the same schema (additive changes: domicile reference "
          "apply-schema)",
          to_string(name), what);
      raise("schema_drift", to_string(name), detail, "high");
      return fail(Code::conflict, detail, "schema_drift");
    }
    if (!mine->second.has_key()) {
      return fail(Code::conflict,
                  fmt::format("{} has no primary key: rows could not be told apart; add one",
                              to_string(name)),
                  "replica_identity");
    }
  }
  TRY(
      sql_->query("SELECT domicile.resolve_reference_findings(ARRAY['catalog_differs', "
                  "'schema_drift', 'class_violation', 'master_unknown', "
                  "'replica_identity', 'rights_missing', 'wal_level', 'publication_missing', "
                  "'copy_refused', 'change_refused'], NULL)"));
  return {};
}

Result<void> Applier::Worker::remember_columns(const Master& master) {
  return sql_->transaction([&]() -> Result<void> {
    for (const auto& [name, shape] : master.tables) {
      TRY(
          sql_->query("INSERT INTO domicile.reference_table AS t (schema_name, table_name, "
                      "source_columns) VALUES ($1, $2, $3::jsonb) "
                      "ON CONFLICT (schema_name, table_name) DO UPDATE SET source_columns = "
                      "excluded.source_columns "
                      "WHERE t.source_columns IS DISTINCT FROM excluded.source_columns",
                      {name.schema, name.name, shape.columns_json()}));
    }
    return {};
  });
}

void Applier::Worker::report(std::string_view state, const Error& error) {
  {
    const std::lock_guard lock(mutex_);
    status_.state = state;
    status_.reason = error.reason;
    status_.detail = error.message;
  }
  const std::string now = fmt::format("{}: {}", state, error.message);
  if (now != reported_) {
    reported_ = now;
    if (error.message.empty())
      log_info("reference", fmt::format("the reference data is {}", state));
    else
      log_warning("reference", fmt::format("the reference data is {}: {}", state, error.message));
  }
  if (state == "stopped")
    raise(error.reason.empty() ? "stopped" : error.reason, "stream", error.message, "high");
  // How the stream is, whoever carries it says; one that waits its turn does not.
  if (!sql_ || error.reason == "another_applier") return;
  (void)sql_->query(
      "UPDATE domicile.reference_source SET state = $1, reason = $2, detail = $3, changed_at = "
      "pg_catalog.clock_timestamp(), "
      "contact_at = CASE WHEN $1 IN ('copying', 'streaming') THEN pg_catalog.clock_timestamp() "
      "ELSE contact_at END "
      "WHERE (state, reason, detail) IS DISTINCT FROM ($1, $2, $3)",
      {std::string(state), error.reason, error.message});
}

// Behind, or down, for longer than is allowed: a finding until it is well again.
void Applier::Worker::watch_limit(std::chrono::milliseconds behind, const std::string& why) {
  const bool now = behind > options_.lag_limit;
  if (now) {
    raise("lag_limit", "stream",
          fmt::format("the reference data is {} s behind, more than the {} s allowed{}{}",
                      behind.count() / 1000, options_.lag_limit.count() / 1000,
                      why.empty() ? "" : ": ", why),
          "medium");
  } else if (behind_ && sql_) {
    (void)sql_->query("SELECT domicile.resolve_reference_findings(ARRAY['lag_limit'], 'stream')");
  }
  behind_ = now;
}

// A finding, once until it is resolved, with its event.
void Applier::Worker::raise(std::string_view kind, const std::string& object,
                            const std::string& detail, std::string_view severity) {
  if (sql_) {
    const auto fresh = sql_->query("SELECT domicile.note_reference_finding($1, $2, $3)",
                                   {std::string(kind), object, detail});
    if (fresh && !fresh->boolean(0, 0)) return;
  }
  domain::Event event = finding_event(clock_, options_.region, "reference.apply",
                                      "reference:" + object, kind, severity);
  if (const auto recorded = events_.record(std::move(event)); !recorded)
    log_error("reference", recorded.error().message);
}

}  // namespace domicile::reference
