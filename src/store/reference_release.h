// Releases of reference data (sql/region/0410 to 0412): changes that are made together, approved by a
// second person, published in one transaction and taken back in one. Every call is one step in one
// transaction of the master region's database, as the login of the connection: done whole or not at
// all, and no harm when it is made again. Who may do what is decided in the database.
//
// Errors: Code::conflict for a step out of turn (55000) and for rows that somebody changed since
// (40001, listed in the message); Code::denied for an author who approves (42501), and for whoever is
// no member of domicile_editor.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "pg/connection.h"

namespace domicile::store {

struct ReleaseRecord {
  std::string name;
  std::string state;  // draft, submitted, approved, rejected, published, rolled_back, discarded
  std::string note;
  std::vector<std::string> authors;
  std::string hash;  // of what it holds; "" while it is a draft
  std::int64_t changes = 0;
  std::string created_at;    // RFC 3339
  std::string submitted_by;  // "" when nobody did
  std::string decided_by;
  std::string decision_reason;
  std::string published_by;
  std::string published_at;
  bool current = false;  // it holds now
};

struct ReleaseAdded {
  std::int64_t changes = 0;
  bool repeated = false;  // the same SQL by the same person was the last that was added
};

// One row, all changes of the release taken together.
struct ReleaseRow {
  std::string table;
  std::string key;      // "code=CA"
  std::string kind;     // insert, update, delete
  std::string columns;  // for people: what is set, what changes into what, what goes
  std::string json;     // the same for machines, exact to the digit
};
struct ReleaseDiff {
  std::vector<ReleaseRow> rows;
  std::int64_t of_rows = 0;  // how many there are, shown or not
};

struct ReleaseConflict {
  std::string table;
  std::string key;
  std::string what;
};

struct ReleaseDone {
  std::int64_t number = 0;  // of the publication
  std::string holds;        // the release that holds from now on; "": none
  std::int64_t changes = 0;
  bool repeated = false;  // it was done before
};

struct CurrentRelease {
  std::string name;  // "" before the first one
  std::int64_t number = 0;
  std::string published_at;
};

Result<void> create_release(pg::Connection& connection, const std::string& name,
                            const std::string& note);
Result<ReleaseAdded> add_to_release(pg::Connection& connection, const std::string& name,
                                    const std::string& sql);
Result<ReleaseDiff> release_diff(pg::Connection& connection, const std::string& name,
                                 std::int64_t most);
Result<std::vector<ReleaseRecord>> releases(pg::Connection& connection);
Result<std::string> submit_release(pg::Connection& connection, const std::string& name);
// `seen`: the hash of what the reviewer looked at; "" whatever was submitted.
Result<std::string> decide_release(pg::Connection& connection, const std::string& name,
                                   bool approve, const std::string& reason,
                                   const std::string& seen);
Result<void> discard_release(pg::Connection& connection, const std::string& name);
Result<std::vector<ReleaseConflict>> release_conflicts(pg::Connection& connection,
                                                       const std::string& name);
Result<ReleaseDone> publish_release(pg::Connection& connection, const std::string& name);
// `name` empty: the newest publication.
Result<ReleaseDone> rollback_release(pg::Connection& connection, const std::string& name);

// In any region, as any login.
Result<CurrentRelease> current_release(pg::Connection& connection);

// The installer's: from now on reference tables of the master region change by releases only, or
// again by anybody who may write them.
Result<void> require_releases(pg::Connection& connection, bool required);

}  // namespace domicile::store
