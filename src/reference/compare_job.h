// One comparison from beginning to end, as a job of the node: compare, repair if asked, keep a line for each
// table, raise and resolve findings, tell the event log.
#pragma once

#include "domain/event.h"
#include "reference/comparison.h"

namespace domicile::reference {

struct CompareJob {
  std::int64_t id = 0;
  std::vector<std::string> tables;  // schema.name; empty: all
  bool repair = false;
  double rows_per_second = 0;
};

// The options of a row of domicile.reference_job, as the verb writes them.
std::string encode_job(const CompareJob& job);
Result<CompareJob> decode_job(std::string_view json);

struct CompareJobContext {
  std::string dsn;  // of the applier's login
  domain::RegionId region;
  std::filesystem::path folder;
  std::stop_token stop;
  // What it does, how many rows of how many.
  std::function<void(std::string_view phase, std::uint64_t done, std::uint64_t all)> progress;
};

// The outcomes are there also where the job fails in the middle of a repair.
Result<void> run_compare_job(CompareMaster& master, const CompareJob& job,
                             const CompareJobContext& context, domain::EventSink& sink,
                             const Clock& clock, std::vector<TableOutcome>& outcomes);

// {"equal", "differences", "repaired", "blocked", "failed", "bytes", "tables": [...]}
std::string result_json(const std::vector<TableOutcome>& outcomes);

// Keeps the outcomes in domicile.reference_compare. A table that drifted in three comparisons in a row, one
// that could not be repaired or compared become findings; findings that are over are resolved.
Result<void> keep_outcomes(pg::Connection& connection, std::int64_t job,
                           const std::vector<TableOutcome>& outcomes);

}  // namespace domicile::reference
