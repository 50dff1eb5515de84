#include "store/region_store.h"

#include <algorithm>
#include <charconv>
#include <thread>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/encoding.h"

namespace domicile::store {
namespace {

std::uint64_t parse_lsn(std::string_view text) {  // "16/B374D848"
  const auto slash = text.find('/');
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  if (slash == std::string_view::npos) return 0;
  std::from_chars(text.data(), text.data() + slash, high, 16);
  std::from_chars(text.data() + slash + 1, text.data() + text.size(), low, 16);
  return high << 32 | low;
}

}  // namespace

Error RegionStore::explained(Error error, const domain::OrgKey& key) const {
  if (error.reason == "40001") return {Code::conflict, std::move(error.message), "stale_epoch"};
  if (error.reason == "02000")
    return {Code::not_found, std::move(error.message), "organization_unknown"};
  if (error.reason == "55000" && error.message.find("region is closed") != std::string::npos) {
    return {Code::unavailable, std::move(error.message), "region_closed"};
  }
  return std::move(error).within("organization " + key.text());
}

Result<void> RegionStore::home(const domain::OrgKey& key, domain::Epoch epoch) {
  auto done = connection_.query("SELECT domicile.home_organization($1, $2::bigint)",
                                {key.text(), std::to_string(epoch)});
  if (!done) return std::unexpected(explained(std::move(done).error(), key));
  return {};
}

Result<FenceReport> RegionStore::fence(const domain::OrgKey& key, domain::Epoch epoch,
                                       const FenceOptions& options) {
  return withdraw("fence_organization", key, epoch, options);
}

Result<FenceReport> RegionStore::suspend(const domain::OrgKey& key, domain::Epoch epoch,
                                         const FenceOptions& options) {
  return withdraw("suspend_organization", key, epoch, options);
}

Result<RegionStore::Open> RegionStore::open_transactions() {
  auto rows = TRY(connection_.query("SELECT name, pid FROM domicile.open_transactions()"));
  Open open;
  for (int i = 0; i < rows.size(); ++i)
    open[std::string(rows.text(i, 0))] = static_cast<int>(rows.integer(i, 1));
  return open;
}

Result<bool> RegionStore::wait_for(Open& open, SteadyTime deadline) {
  // Short at first, because most transactions are; a virtual transaction is never seen again once
  // it is gone.
  std::chrono::milliseconds pause{1};
  for (;;) {
    const Open now = TRY(open_transactions());
    // A transaction that was open may have been prepared meanwhile: then it is still in flight,
    // under a new name. While anything of ours is open, a prepared transaction may be one of them.
    for (const auto& [name, pid] : now) {
      if (pid == 0 && !open.empty()) open.emplace(name, 0);
    }
    std::erase_if(open, [&](const auto& entry) { return !now.contains(entry.first); });
    if (open.empty()) return true;
    if (clock_.steady() >= deadline) return false;
    std::this_thread::sleep_for(pause);
    pause = std::min(pause * 2, std::chrono::milliseconds{20});
  }
}

Result<FenceReport> RegionStore::withdraw(const char* function, const domain::OrgKey& key,
                                          domain::Epoch epoch, const FenceOptions& options) {
  const SteadyTime start = clock_.steady();
  FenceReport report;
  auto revoked = connection_.query(fmt::format("SELECT domicile.{}($1, $2::bigint)", function),
                                   {key.text(), std::to_string(epoch)});
  if (!revoked) return std::unexpected(explained(std::move(revoked).error(), key));
  if (!options.wait) return report;

  const auto undo = [&](Error why) -> Result<FenceReport> {
    auto undone = connection_.query("SELECT domicile.undo_fence($1, $2::bigint)",
                                    {key.text(), std::to_string(epoch)});
    if (!undone)
      why.message += fmt::format("; taking it back failed too: {}", undone.error().message);
    return std::unexpected(std::move(why));
  };
  auto first = open_transactions();
  if (!first) return undo(std::move(first).error().within("fence of organization " + key.text()));
  Open open = std::move(*first);
  report.waited_for = static_cast<int>(open.size());
  auto gone = wait_for(open, start + options.deadline);
  if (gone && !*gone && options.past_deadline == FencePastDeadline::terminate) {
    for (const auto& [name, pid] : open) {
      if (pid == 0) continue;
      auto ended =
          connection_.query("SELECT domicile.terminate_backend($1::int)", {std::to_string(pid)});
      if (ended && ended->boolean(0, 0)) ++report.terminated;
    }
    gone = wait_for(open, clock_.steady() + std::chrono::seconds(2));
  }
  if (!gone) return undo(std::move(gone).error().within("fence of organization " + key.text()));
  if (!*gone) {
    std::vector<std::string> left;
    for (const auto& [name, pid] : open)
      left.push_back(pid == 0 ? name : fmt::format("backend {}", pid));
    return undo({Code::timeout,
                 fmt::format("the fence of organization {} was taken back: after {} ms still open: "
                             "{}; end them, or try again with a longer deadline",
                             key.text(), options.deadline.count(), fmt::join(left, ", ")),
                 "fence_timeout"});
  }
  report.took = std::chrono::duration_cast<std::chrono::microseconds>(clock_.steady() - start);
  return report;
}

Result<std::vector<HomedOrganization>> RegionStore::organizations() {
  auto rows =
      TRY(connection_.query("SELECT key, role, epoch, state, homed FROM domicile.organizations()"));
  std::vector<HomedOrganization> found;
  found.reserve(static_cast<std::size_t>(rows.size()));
  for (int i = 0; i < rows.size(); ++i) {
    found.push_back({.key = domain::OrgKey(rows.text(i, 0)),
                     .role = std::string(rows.text(i, 1)),
                     .epoch = static_cast<domain::Epoch>(rows.integer(i, 2)),
                     .state = std::string(rows.text(i, 3)),
                     .homed = rows.boolean(i, 4)});
  }
  return found;
}

Result<void> RegionStore::set_login(const domain::OrgKey& key, const Secret& scram_verifier) {
  auto done = connection_.query("SELECT domicile.set_organization_login($1, $2)",
                                {key.text(), std::string(scram_verifier.reveal())});
  if (!done) return std::unexpected(explained(std::move(done).error(), key));
  return {};
}

Result<RegionStatus> RegionStore::status() {
  auto rows =
      TRY(connection_.query("SELECT region, master, key_type, database_id, open, state, reason, "
                            "system_identifier, timeline, approved_timeline, lsn, in_recovery, "
                            "event_triggers, organizations FROM domicile.region_status()"));
  if (rows.size() != 1)
    return fail(Code::not_found, "this database is no region yet: run domicile region init",
                "region_missing");
  return RegionStatus{.region = domain::RegionId(rows.text(0, 0)),
                      .master = rows.boolean(0, 1),
                      .key_type = TRY(domain::parse_key_type(rows.text(0, 2))),
                      .database_id = std::string(rows.text(0, 3)),
                      .open = rows.boolean(0, 4),
                      .state = std::string(rows.text(0, 5)),
                      .reason = std::string(rows.text(0, 6)),
                      .system_identifier = std::string(rows.text(0, 7)),
                      .timeline = std::string(rows.text(0, 8)),
                      .approved_timeline = std::string(rows.text(0, 9)),
                      .lsn = parse_lsn(rows.text(0, 10)),
                      .in_recovery = rows.boolean(0, 11),
                      .event_triggers = rows.boolean(0, 12),
                      .organizations = rows.integer(0, 13)};
}

Result<std::vector<PlacementChange>> RegionStore::reconcile(
    const std::vector<PlacedHere>& placements, bool dry_run, const FenceOptions& options) {
  std::vector<std::string> keys;
  std::vector<std::string> epochs;
  std::vector<std::string> states;
  for (const auto& placed : placements) {
    keys.push_back(placed.key.text());
    epochs.push_back(std::to_string(placed.epoch));
    states.emplace_back(placed.suspended ? "suspended" : "active");
  }
  std::vector<PlacementChange> changes;
  TRY(connection_.script("BEGIN"));
  auto rows = connection_.query(
      "SELECT change, organization FROM domicile.reconcile($1::text[], $2::bigint[], $3::text[], "
      "true)",
      {pg::array_literal(keys), pg::array_literal(epochs), pg::array_literal(states)});
  if (rows) {
    for (int i = 0; i < rows->size(); ++i)
      changes.push_back({std::string(rows->text(i, 0)), std::string(rows->text(i, 1))});
  }
  auto ended = connection_.script(rows && !dry_run ? "COMMIT" : "ROLLBACK");
  if (!rows) {
    if (rows.error().reason == "40001") {
      return fail(
          Code::conflict,
          rows.error().message + "; the registry's list is older than this region: pull it again",
          "stale_epoch");
    }
    return std::unexpected(std::move(rows).error().within("reconciling the region"));
  }
  TRY(std::move(ended));
  const bool withdrew = std::any_of(changes.begin(), changes.end(), [](const PlacementChange& c) {
    return c.change != "homed" && c.change != "epoch";
  });
  if (withdrew && !dry_run) {
    Open open = TRY(open_transactions());
    if (!TRY(wait_for(open, clock_.steady() + options.deadline))) {
      return fail(Code::timeout,
                  "reconciled, but transactions that began before are still open; they may yet "
                  "write rows of organizations "
                  "that left: end them and run reconcile again",
                  "fence_timeout");
    }
  }
  return changes;
}

Result<void> RegionStore::close(const std::string& why) {
  TRY(connection_.query("SELECT domicile.close_region($1)", {why}));
  return {};
}

Result<bool> RegionStore::refresh() {
  auto rows = TRY(connection_.query("SELECT domicile.refresh_region()"));
  return rows.boolean(0, 0);
}

Result<ContextKey> RegionStore::signing_key() {
  auto rows =
      TRY(connection_.query("SELECT kid, pg_catalog.encode(key, 'hex'), database_id FROM "
                            "domicile.context_signing_key()"));
  if (rows.size() == 0)
    return fail(Code::unavailable, "the region has no key for contexts: rotate it once",
                "context_key_missing");
  auto key = from_hex(rows.text(0, 1));
  if (!key) return fail(Code::internal, "the region's context key is not hexadecimal");
  return ContextKey{.kid = std::string(rows.text(0, 0)),
                    .key = Secret(std::move(*key)),
                    .database_id = std::string(rows.text(0, 2))};
}

Result<std::string> RegionStore::rotate_context_key() {
  auto rows = TRY(connection_.query("SELECT domicile.rotate_context_key()"));
  return std::string(rows.text(0, 0));
}

Result<bool> RegionStore::retire_context_key(const std::string& kid) {
  auto rows = TRY(connection_.query("SELECT domicile.retire_context_key($1)", {kid}));
  return rows.boolean(0, 0);
}

}  // namespace domicile::store
