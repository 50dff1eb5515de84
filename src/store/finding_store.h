// Findings as objects in the region's database (sql/region/0500_findings.sql): fed from the log, and
// worked on by people. Every step of a person is an event of the log.
//
// One thread at a time; the connection is opened when it is needed, and again after it broke.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/secret.h"
#include "pg/connection.h"

namespace domicile::store {

struct FindingSeen {
  std::string check, object, source, title, severity;  // source: check, detection, reference
};

struct FindingRow {
  std::int64_t id = 0;
  std::string check, object, source, title, severity, state, owner, reason, approver;
  std::string accepted_until, first_seen, last_seen;  // RFC 3339; the first may be empty
  std::int64_t times = 0;
  std::int64_t last_sequence = 0;
};

struct FindingStep {
  std::string at, step, by_operator, by_role, note;
};

struct FindingEvidence {
  std::string check, object, last_evidence, last_attempt, outcome;  // last_evidence may be empty
  std::int64_t age_s = 0;  // of the evidence; -1: there is none
};

enum class EvidenceOutcome { pass, fail, no_evidence };

class FindingStore {
 public:
  explicit FindingStore(Secret dsn) : dsn_(std::move(dsn)) {}

  // The last sequence of `log` that was read; nullopt: it never was.
  Result<std::optional<std::uint64_t>> position(const std::string& log);
  // One transaction: what `body` notes, and that the log was read to `reached`. False: another
  // reader has been here, and nothing was noted.
  Result<bool> advance(const std::string& log, std::uint64_t before, std::uint64_t reached,
                       const std::function<Result<void>()>& body);

  // Inside advance().
  Result<void> seen(const FindingSeen& finding, WallTime at, std::uint64_t sequence);
  Result<void> passed(const std::string& check, const std::string& region, WallTime at,
                      std::uint64_t sequence);
  Result<void> evidence(const std::string& check, const std::string& region,
                        EvidenceOutcome outcome, WallTime at);

  Result<std::int64_t> expire();  // acceptances whose time is over

  struct Filter {
    std::string state, check;  // empty: any
    bool closed = false;       // also those that are fixed
  };
  Result<std::vector<FindingRow>> list(const Filter& filter);
  Result<FindingRow> find(std::int64_t id);  // Code::not_found
  Result<std::vector<FindingStep>> history(std::int64_t id);
  Result<std::vector<FindingEvidence>> evidence();
  // `step`: acknowledge, assign (note: the owner), fix, accept, reopen. `until`: RFC 3339, or empty.
  Result<void> step(std::int64_t id, const std::string& step, const std::string& by,
                    const std::string& note, const std::string& approver, const std::string& until);

 private:
  Result<pg::Connection*> connection();
  Result<pg::Rows> query(const std::string& sql, std::initializer_list<pg::Param> params);

  Secret dsn_;
  std::optional<pg::Connection> connection_;
};

}  // namespace domicile::store
