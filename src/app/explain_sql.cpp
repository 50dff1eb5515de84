#include "app/explain_sql.h"

#include <algorithm>
#include <vector>

namespace domicile::app {
namespace {

constexpr std::size_t kTextMax = 64 * 1024;

constexpr std::string_view kEnter =
    "Call domicile.enter($1) with the request's Domicile-Context as the first statement of the "
    "transaction: the integrations do (docs/integrations.md).";
constexpr std::string_view kShort =
    "Open transactions late and keep them short; long work goes into a job, which fetches fresh "
    "contexts (docs/integrations.md). Compare the clocks of node and database: domicile doctor.";
constexpr std::string_view kUnchanged =
    "Hand Domicile-Context on unchanged, to the database of the region whose door sent it. If it "
    "is unchanged, the node signs with another key than this database knows: domicile doctor.";
constexpr std::string_view kHome =
    "domicile org show KEY says where it is homed and in which state; send the request, or queue "
    "the job again, there.";
constexpr std::string_view kGuard =
    "docs/guard.md says what is refused and why; a change of the schema goes through the catalog "
    "and domicile region init.";

// The first entry that fits counts: special before general.
constexpr ExplainedSql kErrors[] = {
    {"42501", "", "has no organization context", "context_missing",
     "The transaction never entered an organization, and the statement touches an organization's "
     "table.",
     kEnter},
    {"42501", "", "context belongs to another transaction", "context_missing",
     "Something entered an organization on this connection, in an earlier transaction: a context "
     "ends with COMMIT or ROLLBACK.",
     kEnter},
    {"42501", "", "organization context has expired", "context_expired",
     "The transaction went on for longer than its context lives (a minute at most).", kShort},
    {"42501", "", "context token has expired, or lives too long", "context_expired",
     "The context was older than a minute when the transaction began, or the clocks differ.",
     kShort},
    {"42501", "", "context was tampered with", "context_invalid",
     "What enter() left in the session was changed by other statements.",
     "Find out who writes the setting domicile.entered: nobody but enter() should."},
    {"42501", "", "context token is not one of this region", "context_invalid",
     "What was given to enter() is not a context.", kUnchanged},
    {"42501", "", "context token is forged, or its key is retired", "context_invalid",
     "The context's signature does not hold here.", kUnchanged},
    {"42501", "", "context token is for another database", "not_served_here",
     "The context is for another region's database, or for an organization or an epoch of it that "
     "is not served here: it moved, was suspended, or the region is closed.",
     kHome},
    {"42501", "", "organization is not served in this region", "not_served_here",
     "An organization's own role logged in, and the organization is not served here.", kHome},
    {"42501", "", "already entered another organization", "wrong_organization",
     "One transaction entered two organizations: rows read under the first must not be written "
     "under the second.",
     "End the transaction before the next organization's work."},
    {"42501", "", "new row violates row-level security policy", "wrong_organization",
     "The row carries another organization's key than the one that was entered.",
     "Write the entered organization's key (domicile.current_org()), not one from the request's "
     "body."},
    {"42501", "", "TRUNCATE of guarded table", "refused_by_guard",
     "TRUNCATE asks nobody whose rows it removes.", "Delete one organization's rows at a time."},
    {"42501", "", "domicile: this transaction is refused", "refused_by_guard",
     "At COMMIT the guard found the schema weaker than the catalog says.", kGuard},
    {"42501", "", "is refused: it would drop", "refused_by_guard",
     "The statement would drop a part of the guard.", kGuard},
    {"23514", "domicile_home", "region is closed", "region_closed",
     "The region was never opened, or its server was promoted or restored: nothing is writable "
     "until it was compared with the registry.",
     "domicile region reconcile"},
    {"55000", "", "region is closed", "region_closed",
     "The region is closed: no organization can be homed.", "domicile region reconcile"},
    {"23514", "domicile_home", "which organization this one belongs to is not there",
     "not_writable_here",
     "The row's parent, which says whose it is, does not exist or is not visible.",
     "Insert the parent first, in the same organization."},
    {"23514", "domicile_home", "is not writable in this region", "not_writable_here",
     "Rows of this organization may not be stored here: it is homed elsewhere, suspended, or not "
     "created yet. This holds for every writer.",
     kHome},
    {"23514", "domicile_home", "", "not_writable_here",
     "A row of an organization that is not homed here was refused.", kHome},
    {"23514", "domicile_reference", "", "reference_read_only",
     "Reference data changes in the master region alone.",
     "Change it there; it reaches this region by the reference sync."},
    {"25006", "", "enter() cannot run in a read-only transaction", "refused_by_guard",
     "enter() notes the organization, which a read-only transaction cannot.",
     "Enter first, then SET TRANSACTION READ ONLY; on a standby use the organization's own role."},
    {"40001", "", "is older", "stale_epoch",
     "A placement change with an older epoch than the database knows was refused.",
     "Read the registry again and repeat the change."},
    {"42501", "", "domicile: ", "refused_by_guard",
     "The guard refuses this statement for everybody.", kGuard},
    {"", "", "domicile: ", "refused_by_guard",
     "A function of the guard refused its arguments or state.",
     "The message and its hint say what to change; docs/guard.md has the rest."},
};

bool is_state_char(char c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z'); }

// Five characters that stand alone and are one of ours: 42501, not 142501. A key can look like one
// too, so all of them are kept.
std::vector<std::string_view> find_sqlstates(std::string_view text) {
  std::vector<std::string_view> found;
  for (std::size_t i = 0; i + 5 <= text.size(); ++i) {
    if (i > 0 && is_state_char(text[i - 1])) continue;
    if (i + 5 < text.size() && is_state_char(text[i + 5])) continue;
    const std::string_view word = text.substr(i, 5);
    if (std::ranges::find(found, word) != found.end()) continue;
    if (std::ranges::find(kErrors, word, &ExplainedSql::sqlstate) != std::end(kErrors)) {
      found.push_back(word);
    }
  }
  return found;
}

bool fits(const ExplainedSql& error, std::string_view text,
          const std::vector<std::string_view>& states) {
  if (!states.empty() && !error.sqlstate.empty() &&
      std::ranges::find(states, error.sqlstate) == states.end()) {
    return false;
  }
  // Where the message says it all, the constraint's name may be absent from what was pasted.
  if (!error.part.empty()) return text.contains(error.part);
  return text.contains(error.constraint) ||
         (error.constraint == "domicile_reference" &&
          text.contains("reference data changes only in the master region"));
}

}  // namespace

std::span<const ExplainedSql> explained_sql() { return kErrors; }

SqlError explain_sql(std::string_view text) {
  text = text.substr(0, kTextMax);
  const auto states = find_sqlstates(text);
  const auto* at = std::ranges::find_if(
      kErrors, [&](const ExplainedSql& error) { return fits(error, text, states); });
  SqlError out;
  if (at != std::end(kErrors)) out.known = at;
  if (out.known != nullptr && !out.known->sqlstate.empty()) {
    out.sqlstate = out.known->sqlstate;
  } else if (!states.empty()) {
    out.sqlstate = states.front();
  }
  return out;
}

}  // namespace domicile::app
