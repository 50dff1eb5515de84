// domicile reference compare: asks the region's node, by a row in the database, and shows what it does. Only
// the node holds what the comparison needs: the certificate, the applier's login, a disk for the hashes.
#include "app/cmd_reference_compare.h"

#include <memory>
#include <optional>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "app/local_signals.h"
#include "app/region_login.h"
#include "reference/compare_job.h"

namespace domicile::app {
namespace {

using nlohmann::json;
using Steady = std::chrono::steady_clock;

struct CompareVerb {
  RegionLogin login;
  reference::CompareJob job;
  bool dry_run = false;
  double timeout_s = 24 * 3600;
};

struct JobState {
  std::string state;
  json progress;
  json result;
  bool ended() const { return state == "done" || state == "failed" || state == "cancelled"; }
};

Result<JobState> look(pg::Connection& connection, const std::string& id) {
  const auto rows =
      TRY(connection.query("SELECT state, progress::text, coalesce(result::text, '{}') FROM "
                           "domicile.reference_job WHERE id = $1",
                           {id}));
  if (rows.size() == 0) return fail(Code::not_found, fmt::format("job {} is gone", id));
  return JobState{.state = std::string(rows.text(0, 0)),
                  .progress = json::parse(rows.text(0, 1), nullptr, false),
                  .result = json::parse(rows.text(0, 2), nullptr, false)};
}

std::string grouped(std::uint64_t number) {
  std::string out = std::to_string(number);
  for (std::size_t at = out.size(); at > 3; at -= 3) out.insert(at - 3, ",");
  return out;
}

// One line that is written over, on a terminal only.
class Bar {
 public:
  explicit Bar(const Cli& cli) : shown_(!cli.quiet && ::isatty(STDERR_FILENO) != 0) {}
  ~Bar() { clear(); }

  void show(const JobState& job) {
    if (!shown_) return;
    std::string line = job.state == "queued" ? "waiting for the region's node" : job.state;
    if (job.progress.is_object() && job.progress.contains("phase")) {
      const auto phase = job.progress.value("phase", "");
      if (phase != phase_) begun_ = Steady::now(), phase_ = phase;
      line = measured(phase, job.progress.value("done", std::uint64_t{0}),
                      job.progress.value("all", std::uint64_t{0}));
    }
    fmt::print(stderr, "\r\033[K  {}", line);
    std::fflush(stderr);
  }
  void clear() {
    if (shown_) fmt::print(stderr, "\r\033[K");
  }

 private:
  std::string measured(const std::string& phase, std::uint64_t done, std::uint64_t all) const {
    constexpr int kWidth = 24;
    const double part =
        all == 0 ? 0 : std::min(1.0, static_cast<double>(done) / static_cast<double>(all));
    const int full = static_cast<int>(part * kWidth);
    std::string line = fmt::format("{:<9} [{}{}] {} of {}", phase, std::string(full, '#'),
                                   std::string(kWidth - full, ' '), grouped(done), grouped(all));
    const double seconds = std::chrono::duration<double>(Steady::now() - begun_).count();
    const double rate = static_cast<double>(done) / seconds;
    if (phase != "reading" || seconds < 1 || rate < 1) return line;
    line += fmt::format(", {} rows/s", grouped(static_cast<std::uint64_t>(rate)));
    if (all > done)
      line += fmt::format(
          ", {} s left",
          grouped(static_cast<std::uint64_t>(static_cast<double>(all - done) / rate) + 1));
    return line;
  }

  bool shown_;
  std::string phase_;
  Steady::time_point begun_ = Steady::now();
};

Result<void> require_replica(pg::Connection& connection) {
  TRY(require_region(connection));
  const auto rows =
      TRY(connection.query("SELECT master, pg_catalog.to_regclass('domicile.reference_job') IS NOT "
                           "NULL FROM domicile.region"));
  if (!rows.boolean(0, 1))
    return fail(Code::invalid,
                "this region was installed by an older Domicile; run `domicile region init` again",
                "old_region");
  if (rows.boolean(0, 0))
    return fail(
        Code::invalid,
        "this is the master region: its reference tables are what others are compared with; "
        "run this with the database of another region",
        "master_region");
  return {};
}

Result<void> cancel(pg::Connection& connection, const std::string& id) {
  TRY(
      connection.query("UPDATE domicile.reference_job SET state = CASE state WHEN 'queued' THEN "
                       "'cancelled' ELSE 'cancelling' "
                       "END, ended_at = CASE state WHEN 'queued' THEN pg_catalog.clock_timestamp() "
                       "END WHERE id = $1 AND "
                       "ended_at IS NULL",
                       {id}));
  return {};
}

// Until the job ends. A signal or the time being over cancels it.
Result<JobState> follow(const Cli& cli, pg::Connection& connection, const std::string& id,
                        const CompareVerb& verb, Signals& signals) {
  Bar bar(cli);
  const auto begun = Steady::now();
  bool hinted = false;
  std::optional<Steady::time_point> cancelled;
  for (;;) {
    const JobState job = TRY(look(connection, id));
    if (job.ended()) return job;
    bar.show(job);
    const auto waited = Steady::now() - begun;
    if (!hinted && job.state == "queued" && waited > std::chrono::seconds(15)) {
      hinted = true;
      bar.clear();
      if (!cli.quiet)
        fmt::print(
            stderr,
            "  no node has taken the job yet: does `domicile serve` run for this region, with "
            "[reference] in its configuration?\n");
    }
    const bool over = std::chrono::duration<double>(waited).count() > verb.timeout_s;
    if (!cancelled && (signals.stop_requested() || over)) {
      TRY(cancel(connection, id));
      cancelled = Steady::now();
      continue;
    }
    if (cancelled && Steady::now() - *cancelled > std::chrono::seconds(20))
      return fail(Code::timeout, fmt::format("job {} was told to stop and has not yet", id),
                  "cancelled");
    signals.wait(std::chrono::milliseconds(100));
  }
}

std::string line_of(const json& table, bool keys) {
  const auto number = [&](const char* name) { return table.value(name, std::uint64_t{0}); };
  std::string out =
      fmt::format("{:<32} {:>13} rows  ", table.value("table", ""), grouped(number("master_rows")));
  const std::string outcome = table.value("outcome", "");
  if (outcome == "failed") return out + "not compared: " + table.value("reason", "");
  if (outcome == "equal") {
    out += "equal";
    return out;
  }
  out += fmt::format("{} missing, {} extra, {} changed", grouped(number("missing")),
                     grouped(number("extra")), grouped(number("changed")));
  if (number("repaired") > 0 || outcome == "repaired")
    out += fmt::format("; {} repaired", grouped(number("repaired")));
  if (number("blocked") > 0)
    out += fmt::format("; {} refused: {}", grouped(number("blocked")), table.value("reason", ""));
  if (!keys || !table.contains("keys_hashed")) return out;
  for (const auto& key : table["keys_hashed"]) out += "\n    key " + key.get<std::string>();
  return out;
}

Result<int> report(const Cli& cli, const std::string& id, JobState job, const CompareVerb& verb) {
  if (job.state == "failed") {
    return fail(Code::unavailable, job.result.value("error", "the comparison failed"),
                job.result.value("reason", ""));
  }
  if (job.state == "cancelled")
    return fail(Code::timeout, "the comparison was cancelled; what was repaired stays",
                "cancelled");
  if (!job.result.contains("tables")) return fail(Code::internal, "the job has no result");
  const bool good = !job.result.value("remain", true) && job.result.value("failed", 1) == 0;
  if (cli.json) {
    job.result["job"] = std::stoll(id);
    print(job.result.dump(2, ' ', false, json::error_handler_t::replace));
    return good ? 0 : 1;
  }
  std::string out;
  for (const json& table : job.result["tables"]) out += line_of(table, verb.dry_run) + "\n";
  out += fmt::format("{}; {} bytes crossed the border",
                     job.result.value("equal", false) ? "all equal"
                     : good                           ? "all repaired"
                                                      : "differences remain",
                     grouped(job.result.value("bytes", std::uint64_t{0})));
  print(out);
  return good ? 0 : 1;
}

Result<int> compare(const Cli& cli, const CompareVerb& verb) {
  auto signals = TRY(Signals::create());
  auto connection = TRY(open_region(verb.login));
  TRY(require_replica(connection));
  reference::CompareJob job = verb.job;
  job.repair = job.repair && !verb.dry_run;
  const auto made =
      TRY(connection.query("INSERT INTO domicile.reference_job (kind, options) VALUES ('compare', "
                           "$1::pg_catalog.jsonb) RETURNING id",
                           {reference::encode_job(job)}));
  const std::string id(made.text(0, 0));
  return report(cli, id, TRY(follow(cli, connection, id, verb, signals)), verb);
}

}  // namespace

void add_reference_compare(CLI::App& noun, Cli& cli) {
  auto verb = std::make_shared<CompareVerb>();
  CLI::App* app = noun.add_subcommand(
      "compare",
      "Compare this region's reference tables with the master region's, and repair them");
  add_login(*app, verb->login);
  app->add_option("--table", verb->job.tables,
                  "schema.table; may be given several times. Default: all");
  app->add_flag("--repair", verb->job.repair, "Make what differs equal to the master's rows");
  app->add_flag("--dry-run", verb->dry_run,
                "Change nothing, whatever else is given; show the hashes of the keys that differ");
  app->add_option("--max-rate", verb->job.rows_per_second,
                  "Read at most so many rows a second, on each side")
      ->check(CLI::Range(100.0, 1e9));
  app->add_option("--timeout", verb->timeout_s, "Cancel after so many seconds")
      ->check(CLI::PositiveNumber);
  app->callback(cli.run([&cli, verb] { return compare(cli, *verb); }));
}

}  // namespace domicile::app
