#include "audit/log_acts.h"

#include <chrono>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "audit/log_holds.h"
#include "audit/log_keys.h"
#include "audit/log_retention.h"
#include "audit/personal_text.h"
#include "base/encoding.h"
#include "base/log.h"
#include "crypto/random.h"

namespace domicile::audit {
namespace {

using domain::EventKind;

std::unexpected<Error> held(const LegalHold& hold, std::string_view what) {
  return fail(
      Code::denied,
      fmt::format("{} is under legal hold {} ({}): nothing was {}. Lift it first: domicile "
                  "audit hold remove {}",
                  hold.organization.empty() ? "the log" : "organization " + hold.organization,
                  hold.id, hold.ticket, what, hold.id),
      "legal_hold");
}

}  // namespace

Result<std::string> LogActs::perform(const LogAct& act, std::string_view by) {
  auto done = [&]() -> Result<Done> {
    switch (act.kind) {
      case ActKind::erase: return erase(act);
      case ActKind::hold_add:
      case ActKind::hold_remove: return hold(act);
      case ActKind::rotate_master:
      case ActKind::rotate_organization:
      case ActKind::rotate_log:
      case ActKind::retire_log: return rotate(act);
      case ActKind::trim: return trim(act, by);
      case ActKind::exported:
      case ActKind::opened: return read(act);
    }
    return fail(Code::internal, "an act without a way to do it");
  }();
  if (!done) {
    record_refusal(act, done.error(), by);
    return std::unexpected(std::move(done).error());
  }
  const std::uint64_t sequence =
      act.kind == ActKind::trim ? 0
                                : TRY(record(act, *done, by));  // trim records before it removes
  nlohmann::ordered_json receipt = {{"act", to_string(act.kind)}};
  if (!act.organization.empty()) receipt["organization"] = act.organization;
  if (!act.ticket.empty()) receipt["ticket"] = act.ticket;
  for (const auto& list : {done->details, done->secret}) {
    for (const auto& [name, value] : list) receipt[name] = value;
  }
  receipt["by"] = by;
  if (sequence != 0) receipt["sequence"] = sequence;
  receipt["time_ms"] = clock_.now().time_since_epoch().count();
  return receipt.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

// Whoever holds the receipt can show whom the entry is about; whoever holds the log alone cannot.
Result<LogActs::Done> LogActs::erase(const LogAct& act) {
  const auto holds = TRY(LegalHolds::read(holds_file()));
  const std::string name =
      act.person.empty() ? std::string() : vault_.keys().name_of(act.organization, act.person);
  if (const auto* hold = holds.against_erasing(act.organization, name, clock_.now())) {
    return held(*hold, "erased");
  }
  const std::uint64_t count = act.person.empty()
                                  ? TRY(vault_.keys().erase_organization(act.organization))
                                  : TRY(vault_.keys().erase_person(act.organization, act.person));
  Done done{.operation = "log.erased", .resource = act.person.empty() ? "organization" : "person"};
  done.details = {{"keys_destroyed", std::to_string(count)}};
  if (!act.person.empty()) {
    PersonalValue subject{.name = "subject", .value = act.person};
    const std::string salt = crypto::random_bytes(kSaltBytes);
    std::ranges::copy(salt, subject.salt.begin());
    done.details.emplace_back("erased", commitment_of(subject));
    done.secret = {{"erased_salt", to_hex(salt)}};
  }
  return done;
}

Result<LogActs::Done> LogActs::hold(const LogAct& act) {
  auto holds = TRY(LegalHolds::read(holds_file()));
  Done done;
  if (act.kind == ActKind::hold_remove) {
    if (!holds.remove(act.hold)) {
      return fail(Code::not_found, fmt::format("there is no legal hold {}; see domicile audit hold "
                                               "list",
                                               act.hold));
    }
    done = {.operation = "log.hold_removed", .resource = "hold:" + act.hold};
  } else {
    LegalHold hold{.id = crypto::random_text(6),
                   .organization = act.organization,
                   .until_ms = act.until_ms,
                   .ticket = act.ticket};
    if (!act.person.empty()) hold.person = vault_.keys().name_of(act.organization, act.person);
    done = {.operation = "log.hold_added", .resource = "hold:" + hold.id};
    done.details = {{"hold", hold.id},
                    {"of", !act.person.empty()         ? "person"
                           : !act.organization.empty() ? "organization"
                                                       : "log"},
                    {"until_ms", std::to_string(act.until_ms)}};
    holds.add(std::move(hold));
  }
  TRY(holds.write(holds_file()));
  return done;
}

Result<LogActs::Done> LogActs::rotate(const LogAct& act) {
  Done done{.kind = EventKind::key_changed};
  switch (act.kind) {
    case ActKind::rotate_master:
      TRY(vault_.keys().rotate_master());
      done.operation = "key.rotate";
      done.resource = "audit master key";
      break;
    case ActKind::rotate_organization:
      TRY(vault_.keys().rotate_organization(act.organization));
      done.operation = "key.rotate";
      done.resource = "audit key of an organization";
      break;
    default: {
      const bool retire = act.kind == ActKind::retire_log;
      const auto keys = TRY(retire ? LogKeys::retire(options_.key_directory, options_.origin)
                                   : LogKeys::rotate(options_.key_directory, options_.origin));
      TRY(ledger_.reload_keys());
      done.operation = retire ? "key.retire" : "key.rotate";
      done.resource = "log signing key";
      done.details = {{"verifier_key", keys.verifiers().back().text()}};
    }
  }
  return done;
}

Result<LogActs::Done> LogActs::read(const LogAct& act) {
  Done done{.operation = act.kind == ActKind::exported ? "log.export" : "log.open",
            .resource = "entries"};
  done.details.assign(act.facts.begin(), act.facts.end());
  return done;
}

// The event first: what is removed is never removed without it.
Result<LogActs::Done> LogActs::trim(const LogAct& act, std::string_view by) {
  if (options_.retention_days == 0) {
    return fail(Code::invalid,
                "audit.retention_days is not set: this log keeps everything; write the policy into "
                "the node's configuration first",
                "no_retention");
  }
  const auto holds = TRY(LegalHolds::read(holds_file()));
  if (const auto* hold = holds.against_trimming(clock_.now())) return held(*hold, "removed");
  const auto age = std::chrono::days(options_.retention_days);
  const TrimPlan plan = TRY(plan_trim(options_.directory, clock_.now() - age));
  TRY(publish_retention(options_.directory, options_.retention_days, plan.first_kept));
  Done done{.operation = "log.trimmed", .resource = "entries"};
  done.details = {{"first_kept", std::to_string(plan.first_kept)},
                  {"removed", std::to_string(plan.first_kept - plan.first_now)},
                  {"bytes", std::to_string(plan.bytes)},
                  {"retention_days", std::to_string(options_.retention_days)}};
  if (plan.first_kept == plan.first_now) return done;
  const auto sequence = TRY(record(act, done, by));
  TRY(remove_trimmed(options_.directory, plan));
  done.secret = {{"sequence", std::to_string(sequence)}};
  return done;
}

Result<std::uint64_t> LogActs::record(const LogAct& act, const Done& done, std::string_view by) {
  domain::Event event;
  event.kind = done.kind;
  event.outcome = domain::Outcome::allowed;
  event.activity = domain::Activity::update;
  event.time = clock_.now();
  event.organization = domain::OrgKey(act.organization);
  event.operation = done.operation;
  event.resource = done.resource;
  event.details = done.details;
  event.details.emplace_back("operator", by);
  if (!act.ticket.empty()) event.details.emplace_back("ticket", act.ticket);
  return ledger_.record(std::move(event));
}

// An attempt on evidence is evidence.
void LogActs::record_refusal(const LogAct& act, const Error& error, std::string_view by) {
  domain::Event event;
  event.kind = EventKind::log_changed;
  event.outcome = error.code == Code::denied ? domain::Outcome::denied : domain::Outcome::failed;
  event.time = clock_.now();
  event.organization = domain::OrgKey(act.organization);
  event.operation = fmt::format("log.{}", to_string(act.kind));
  event.reason = error.reason.empty() ? std::string(to_string(error.code)) : error.reason;
  event.details = {{"operator", std::string(by)}};
  if (!act.ticket.empty()) event.details.emplace_back("ticket", act.ticket);
  if (const auto recorded = ledger_.record(std::move(event)); !recorded) {
    log_error("audit", recorded.error().message);
  }
}

}  // namespace domicile::audit
