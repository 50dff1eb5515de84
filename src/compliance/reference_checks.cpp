// Reference data: guarded everywhere, published by the master region, followed and compared elsewhere.
#include <fmt/format.h>

#include "compliance/database_checks.h"

namespace domicile::compliance {
namespace {

constexpr std::int64_t kSilentMaxS = 300;          // the node asks the master every few seconds
constexpr std::int64_t kLagMaxMs = 60'000;         // of 99 heartbeats in 100
constexpr std::int64_t kComparedMaxS = 26 * 3600;  // once a day, and some patience
constexpr std::int64_t kRetainedMaxBytes = 8ll << 30;

struct Side {
  bool master = true;   // nothing is followed here
  bool follows = true;  // it has reached its master at least once
};

void check_stream(const pg::Rows& rows, int row, Findings& findings) {
  const std::string region(rows.text(row, 1));
  const std::string_view state = rows.text(row, 2);
  const std::string detail(rows.text(row, 3));
  if (rows.null(row, 4))
    return findings.fail("DOM-REF-003", region, "the master region has never answered");
  if (state != "streaming" && state != "copying")
    return findings.fail("DOM-REF-003", region, fmt::format("{}: {}", state, detail));
  if (rows.integer(row, 4) > kSilentMaxS)
    return findings.fail("DOM-REF-003", region,
                         fmt::format("no contact for {} s", rows.integer(row, 4)));
  if (!rows.null(row, 5) && rows.integer(row, 5) > kLagMaxMs)
    return findings.fail(
        "DOM-REF-003", region,
        fmt::format("one heartbeat in a hundred takes longer than {} ms", rows.integer(row, 5)));
  if (!rows.null(row, 6) && rows.integer(row, 6) > kRetainedMaxBytes)
    return findings.fail("DOM-REF-003", region,
                         fmt::format("{} bytes of the log are kept for it", rows.integer(row, 6)));
  findings.pass("DOM-REF-003", region,
                fmt::format("{}, last contact {} s ago", state, rows.integer(row, 4)), 1);
}

void check_table(const pg::Rows& rows, int row, const Side& side, Findings& findings) {
  const std::string label(rows.text(row, 0));
  const std::string_view mode = rows.text(row, 1);
  if (mode != "enforce" || !rows.boolean(row, 3)) {
    findings.fail("DOM-REF-002", label,
                  mode != "enforce" ? fmt::format("mode {}: every writer is let in", mode)
                                    : "the trigger that refuses other writers is not there, or "
                                      "not ALWAYS, on the table or a part of it");
  } else {
    findings.pass("DOM-REF-002", label, "refuses every other writer", 1);
  }
  if (side.master || !side.follows || mode != "enforce") return;
  if (rows.null(row, 5))
    return findings.fail("DOM-REF-004", label, "it was never compared with the master's");
  const std::string_view outcome = rows.text(row, 7);
  if (rows.integer(row, 6) > kComparedMaxS)
    return findings.fail("DOM-REF-004", label,
                         fmt::format("compared {} hours ago", rows.integer(row, 6) / 3600));
  if (outcome == "failed" || rows.integer(row, 8) > 0)
    return findings.fail("DOM-REF-004", label,
                         outcome == "failed"
                             ? std::string("the last comparison failed")
                             : fmt::format("{} rows differ from the master's and were not repaired",
                                           rows.integer(row, 8)));
  findings.pass("DOM-REF-004", label,
                fmt::format("{}, compared {} minutes ago", outcome, rows.integer(row, 6) / 60), 1);
}

}  // namespace

void check_reference(pg::Connection& database, Findings& findings) {
  const auto sync = database.query("SELECT * FROM domicile.check_reference_sync()");
  const auto tables = database.query("SELECT * FROM domicile.check_reference_tables()");
  const auto open =
      database.query("SELECT object, detail FROM domicile.check_reference_findings()");
  if (!sync || !tables || !open) {
    const auto& error = !sync ? sync.error() : !tables ? tables.error() : open.error();
    for (const char* id : {"DOM-REF-002", "DOM-REF-003", "DOM-REF-004", "DOM-REF-005"})
      findings.error(id, "", "domicile.check_reference_...(): " + error.message);
    return;
  }
  Side side;
  for (int row = 0; row < sync->size(); ++row) {
    if (sync->text(row, 0) == "replica") side = {.master = false, .follows = !sync->null(row, 4)};
    if (tables->size() > 0) check_stream(*sync, row, findings);
  }
  for (int row = 0; row < tables->size(); ++row) check_table(*tables, row, side, findings);
  for (int row = 0; row < open->size(); ++row)
    findings.fail("DOM-REF-005", std::string(open->text(row, 0)), std::string(open->text(row, 1)));
  const std::string none = tables->size() == 0 ? "no reference tables" : "";
  findings.pass_unless_said("DOM-REF-002", none, 0);
  findings.pass_unless_said("DOM-REF-003", none.empty() ? "no region follows this master" : none,
                            0);
  if (!side.master && !side.follows && tables->size() > 0)
    findings.fail("DOM-REF-004", "", "it follows no master yet, so nothing was compared");
  findings.pass_unless_said("DOM-REF-004", none.empty() ? "this is the master region" : none, 0);
  findings.pass_unless_said("DOM-REF-005", "no open findings", 1);
}

}  // namespace domicile::compliance
