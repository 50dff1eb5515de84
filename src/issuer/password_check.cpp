#include "issuer/password_check.h"

#include "base/log.h"
#include "issuer/login.h"

namespace domicile::issuer {
namespace {

using Why = PasswordRefusal::Why;

std::unexpected<PasswordRefusal> broken(std::string_view doing, const Error& error) {
  log_error("issuer", std::string(doing) + ": " + error.message);
  return std::unexpected(PasswordRefusal{Why::unavailable});
}

}  // namespace

PasswordCheck::PasswordCheck(const IssuerOptions& options, const IssuerPorts& ports,
                             PasswordHasher& hasher)
    : directory_(ports.directory),
      hasher_(hasher),
      evidence_(ports.events, ports.clock, options.region),
      sign_ins_(ports.sign_ins),
      clock_(ports.clock),
      rules_{.burst = options.account.burst,
             .refill_s = options.account.refill.count(),
             .lockout_s = options.account.lockout.count(),
             .lockout_max_s = options.account.lockout_max.count()},
      accounts_(options.account, ports.clock),
      subjects_(options.form_key) {}

std::string PasswordCheck::subject_hash(std::string_view subject) const {
  const std::string label = "domicile failed sign-in\n" + std::string(subject);
  return std::string(crypto::view(subjects_.clone().mac(label)));
}

std::expected<store::UserAccount, PasswordRefusal> PasswordCheck::check(
    const PasswordAttempt& attempt) {
  const auto& at = attempt.organization;
  const std::string login = canonical_login(attempt.login_typed);
  // Nobody's account is throttled like somebody's: by the name that was tried.
  const std::string subject =
      "user:" + (at ? std::string(at->key) : "?" + std::string(attempt.organization_typed)) + '\n' +
      login;
  if (const auto wait = accounts_.take(subject))
    return refuse(attempt, "locked_out", {Why::locked, *wait});
  const std::string hash = subject_hash(subject);
  const auto failures = sign_ins_.lockout(hash);
  if (!failures) return broken("reading failed sign-ins", failures.error());
  const std::int64_t now_s = clock_.unix_seconds();
  if (*failures && now_s < (*failures)->locked_until) {
    return refuse(attempt, "locked_out",
                  {Why::locked, std::chrono::seconds((*failures)->locked_until - now_s)});
  }
  std::optional<store::UserAccount> user;
  const auto found = directory_.find_user(domain::OrgKey(at ? at->key : "0"), login);
  if (!found && found.error().code != Code::invalid)
    return broken("looking up a user", found.error());
  if (found && at) user = *found;
  const auto good = hasher_.verify(attempt.password, user ? user->password_hash : "");
  if (!good) {
    if (good.error().reason == "busy") return std::unexpected(PasswordRefusal{Why::busy});
    return broken("checking a password", good.error());
  }
  if (!*good || !user->active) {
    const std::string_view cause = !at      ? "organization_unknown"
                                   : !user  ? "user_unknown"
                                   : !*good ? "password"
                                            : "disabled";
    if (auto kept = sign_ins_.add_failure(hash, rules_, now_s); !kept)
      return broken("keeping a failed sign-in", kept.error());
    return refuse(attempt, cause, {Why::wrong}, user ? &*user : nullptr);
  }
  accounts_.forgive(subject);
  if (*failures) {
    if (auto forgotten = sign_ins_.forget_failures(hash); !forgotten)
      return broken("forgetting failed sign-ins", forgotten.error());
  }
  return std::move(*user);
}

// The refusal, once it is on record.
std::expected<store::UserAccount, PasswordRefusal> PasswordCheck::refuse(
    const PasswordAttempt& attempt, std::string_view cause, PasswordRefusal refusal,
    const store::UserAccount* user) {
  auto event = evidence_.refused(attempt.request, attempt.client_id,
                                 attempt.organization ? attempt.organization->key : "", cause,
                                 attempt.grant_type);
  if (user != nullptr) event.actor = user->id;
  if (auto stored = evidence_.record({std::move(event)}); !stored)
    return broken("recording a refusal", stored.error());
  return std::unexpected(refusal);
}

}  // namespace domicile::issuer
