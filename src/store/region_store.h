// A regional database as a node uses it: home, fence and suspend organizations, open and close the
// region, rotate the key of the application door. Typed calls of the functions of sql/region/; a
// login that is a member of domicile_node may make all of them.
//
// A fence is two things. fence_organization() takes the organization's home role away
// and commits; then every transaction that was open at that moment must end, because it may already
// have passed the check. fence() waits for them, and for prepared transactions; past the deadline
// it takes the fence back, or ends the backends, as the caller chose. It returns success only when
// nobody can write any more.
//
// One thread at a time; the connection must not be in a transaction. Errors: Code::conflict with
// reason "stale_epoch" for an older epoch, Code::not_found for an organization that was never homed
// here, Code::timeout with reason "fence_timeout" for a fence that was undone, Code::unavailable
// with reason "region_closed" while the region is closed.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/secret.h"
#include "domain/placement.h"
#include "pg/connection.h"

namespace domicile::store {

enum class FencePastDeadline {
  undo,       // grant the membership again: the organization goes on as before
  terminate,  // end the backends that keep it waiting, then undo if even that does not help
};

struct FenceOptions {
  std::chrono::milliseconds deadline{10'000};
  FencePastDeadline past_deadline = FencePastDeadline::undo;
  bool wait = true;  // false only in tests: without the wait a fence leaks
};

struct FenceReport {
  std::chrono::microseconds took{};
  int waited_for = 0;  // transactions that were open when it was put up
  int terminated = 0;
};

struct HomedOrganization {
  domain::OrgKey key;
  std::string role;
  domain::Epoch epoch = 0;
  std::string state;   // active, fenced, suspended
  bool homed = false;  // role domicile_home_<its role> is there: what really counts
};

struct RegionStatus {
  domain::RegionId region;
  bool master = false;
  domain::KeyType key_type = domain::KeyType::bigint;
  std::string database_id;
  bool open = false;   // rows can be written: state open, and on the approved timeline
  std::string state;   // as recorded: open or closed
  std::string reason;  // why closed
  std::string system_identifier;
  std::string timeline;  // "00000001"; "" where the server does not tell
  std::string approved_timeline;
  std::uint64_t lsn = 0;  // how far the database has come
  bool in_recovery = false;
  bool event_triggers = false;
  std::int64_t organizations = 0;  // active
};

struct ContextKey {
  std::string kid;
  Secret key;  // 32 bytes
  std::string database_id;
};

// One line of the registry's truth about this region.
struct PlacedHere {
  domain::OrgKey key;
  domain::Epoch epoch = 0;
  bool suspended = false;
};
struct PlacementChange {
  std::string change;  // homed, epoch, suspended, fenced, expelled
  std::string organization;
};

class RegionStore {
 public:
  // `connection` outlives the store.
  RegionStore(pg::Connection& connection, const Clock& clock)
      : connection_(connection), clock_(clock) {}

  Result<void> home(const domain::OrgKey& key, domain::Epoch epoch);
  Result<FenceReport> fence(const domain::OrgKey& key, domain::Epoch epoch,
                            const FenceOptions& options = {});
  Result<FenceReport> suspend(const domain::OrgKey& key, domain::Epoch epoch,
                              const FenceOptions& options = {});
  Result<std::vector<HomedOrganization>> organizations();
  Result<void> set_login(const domain::OrgKey& key, const Secret& scram_verifier);

  Result<RegionStatus> status();
  // Compares with the registry's list for this region and makes it so; opens the region on its
  // timeline. With `dry_run` nothing changes. Anything that loses its home is fenced whole: the
  // call waits for open transactions.
  Result<std::vector<PlacementChange>> reconcile(const std::vector<PlacedHere>& placements,
                                                 bool dry_run = false,
                                                 const FenceOptions& options = {});
  Result<void> close(const std::string& why);
  // After a restart of the server: renews the quick check. False: closed, or another timeline.
  Result<bool> refresh();

  Result<ContextKey> signing_key();
  Result<std::string> rotate_context_key();  // the new kid; older keys die within two minutes
  Result<bool> retire_context_key(const std::string& kid);  // at once

 private:
  using Open = std::map<std::string, int>;  // name of a transaction -> pid (0: prepared)
  Result<Open> open_transactions();
  Result<FenceReport> withdraw(const char* function, const domain::OrgKey& key, domain::Epoch epoch,
                               const FenceOptions& options);
  // True when all of them are gone; false at the deadline, with what is left in `open`.
  Result<bool> wait_for(Open& open, SteadyTime deadline);
  Error explained(Error error, const domain::OrgKey& key) const;

  pg::Connection& connection_;
  const Clock& clock_;
};

}  // namespace domicile::store
