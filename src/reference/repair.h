// Makes rows that differ equal to the master's, in batches of one transaction each, as the applier's login.
// A repair never puts back what the stream has changed since: the transaction locks the stream's position,
// so nothing is applied meanwhile; then the master gives only such rows as it still has unchanged since the
// snapshot, at a moment later than everything applied here; and an extra row goes only while it stands
// untouched. Whatever moved on is left to the stream.
//
// Parents come before their children, deletes after that the other way round; what a constraint refuses is
// tried again after the others, row by row, and is a finding in the end. Each batch is an event, durable
// before the batch commits.
#pragma once

#include "domain/event.h"
#include "reference/comparison.h"

namespace domicile::reference {

struct RepairOptions {
  std::string dsn;
  domain::RegionId region;
  std::size_t rows_max = 500;  // of a batch
  std::stop_token stop;
  std::function<void(std::uint64_t done, std::uint64_t all)> progress;
};

// `rows[i]` are the confirmed differences of the comparison's table i. Counts go to the outcomes. `sink` and
// `clock` outlive the call.
Result<void> repair(Comparison& comparison, const std::vector<std::vector<DifferingRow>>& rows,
                    domain::EventSink& sink, const Clock& clock, const RepairOptions& options);

}  // namespace domicile::reference
