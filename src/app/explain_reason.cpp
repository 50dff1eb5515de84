#include "app/explain_reason.h"

#include <algorithm>

namespace domicile::app {
namespace {

constexpr ExplainedReason kReasons[] = {
    {"no_route", "No route of the file matches this path; what is not listed is refused.",
     "Add a [[route]] for it, or correct the path; domicile explain --path shows what matches."},
    {"method_not_allowed", "The path has routes, for other methods.",
     "Add the method to the route, or use one that it lists."},
    {"unauthenticated", "The route needs a verified person or service, and no token came along.",
     "Send Authorization: Bearer <access token>; domicile token get makes one."},
    {"unsupported_credentials", "The Authorization field is not a bearer token.",
     "Send Authorization: Bearer <access token>."},
    {"token_expired", "The access token's time is over.", "Refresh it, or sign in again."},
    {"token_not_yet_valid", "The token counts from a later time on than this node's clock shows.",
     "Compare the clocks of issuer and node (domicile doctor)."},
    {"token_malformed", "What was sent is not an access token in strict form.",
     "Send the token as the issuer gave it: three parts, not cut, not decoded."},
    {"token_algorithm", "The token's algorithm is not the one of its key.",
     "Tokens from this region's issuer have the right one: where does this one come from?"},
    {"token_header",
     "The token's header holds what is never believed (embedded keys, crit, a typ "
     "other than at+jwt).",
     "Send an access token, not an ID token or a token of another system."},
    {"token_issuer_unknown", "The token's issuer is none of this platform's regions.",
     "Ask the organization's regional issuer for a token (POST /v1/discovery says which)."},
    {"token_key_unknown",
     "The token names a key that its issuer does not publish, or not yet here.",
     "Try again within a minute after a key change; else the token is not the issuer's, or this "
     "node cannot fetch the other region's keys (domicile doctor)."},
    {"token_signature", "The token's signature does not hold: it was changed, or never issued.",
     "Sign in again. If it repeats, somebody alters tokens on the way."},
    {"token_claims", "A claim is absent, of another type or out of range.",
     "Send an access token that this platform's issuer made."},
    {"token_audience", "The token is for another service.", "Ask for one with audience domicile."},
    {"token_region", "The token names another region than its issuer's.",
     "The issuer's configuration does not fit the registry's regions: look at both."},
    {"token_revoked",
     "The token was called back: it alone, all of the person's, or all of the organization's.",
     "Sign in again. domicile audit list --kind grant_changed, and operation oauth2.revoke, say "
     "who "
     "called it back."},
    {"organization_missing", "The route finds the organization in a header, and it is absent.",
     "Send the header that the route's organization = \"header:...\" names."},
    {"duplicate_organization", "The header that names the organization stands twice.",
     "Send it once."},
    {"organization_mismatch",
     "The token is for another organization, and holds no grant for this "
     "one. Whether that one exists is not said.",
     "Sign in at the organization in question, or have a grant made (domicile grant create) and "
     "sign in again."},
    {"unknown_organization",
     "The registry snapshot of this node does not know the organization; "
     "there is no default region.",
     "domicile org show KEY; was it created, and has this node heard of it (snapshot revision)?"},
    {"cross_region_token",
     "One region's issuer vouched for an organization homed in another: a "
     "violation, recorded as such.",
     "Sign in at the organization's home region. If nobody meant to, find out how that token came "
     "to be (domicile audit list --kind cross_region)."},
    {"wrong_region", "The organization's home is another region; nothing is served from here.",
     "Send the request to the home's address, which the answer names (home_url)."},
    {"organization_closed", "The organization is closed for good.",
     "Nothing brings it back: its key is never given out again."},
    {"organization_suspended", "The organization is suspended: served nowhere.",
     "domicile org resume KEY, when the cause is settled."},
    {"organization_moving", "The organization is on its way to another region.",
     "Try again shortly."},
    {"stale_epoch", "The token is older than the organization's last change of placement.",
     "Sign in again: a new token has the new epoch."},
    {"snapshot_behind", "The token or job is newer than what this node knows of the registry.",
     "Try again; if it lasts, the node does not follow the registry (domicile doctor)."},
    {"grant_expired", "The grant for this organization has ended.",
     "domicile grant create, and sign in again."},
    {"grant_cross_region", "Grants never reach an organization of another region: a violation.",
     "Work for that organization needs an account there."},
    {"missing_role",
     "The route asks for a role that the person does not have; roles do not travel "
     "with a grant.",
     "domicile user set-roles, or use a route without a role."},
    {"missing_permission", "Neither roles nor scope of the token come to the route's permission.",
     "Give a role that holds it (roles file, domicile user define-role), raise the client's "
     "--permission list, or ask for the scope."},
    {"stale_job", "The job was queued under an older placement of its organization.",
     "Look whether what it refers to is still here, and queue it again at the home."},
    {"epoch_missing", "The request for a context does not say organization and epoch.",
     "Send Domicile-Organization and Domicile-Epoch, as the job carries them."},
    {"untrusted_proxy", "Somebody who is no configured proxy asked /authorize.",
     "Add its address to gateway.authorize_proxies and give it the token, if it is yours; else "
     "find out who has a way to that port."},
    {"ambiguous_request", "The proxy described the request in question twice.",
     "Send X-Forwarded-Method and X-Forwarded-Uri once, to /authorize without a path behind it."},
    {"request_missing", "The proxy did not say which request is meant.",
     "Set X-Forwarded-Method and X-Forwarded-Uri in the proxy."},
    {"audit_unavailable", "The event could not be stored, and without it nothing is let through.",
     "Free the disk of audit.directory; domicile doctor says how full it is."},
    {"password", "Wrong password.", "Reset it: domicile user set-password."},
    {"user_unknown", "No such person in this organization.",
     "Check the login name and the organization."},
    {"organization_unknown", "No such organization.", "Check its slug."},
    {"disabled", "The person's account is disabled.", "domicile user enable."},
    {"locked_out", "Too many failures for this name.",
     "Wait as Retry-After says; it unlocks by itself."},
    {"refresh_reused", "A refresh token came twice: its whole family was ended.",
     "Sign in again, and find out who else had the token."},
    {"refresh_expired", "The refresh token's time is over.", "Sign in again."},
    {"refresh_revoked", "The refresh token was revoked.", "Sign in again."},
    {"refresh_unknown", "Nobody issued this refresh token here.",
     "Sign in again, at the home region."},
};

}  // namespace

const ExplainedReason* explain_reason(std::string_view reason) {
  const auto* at = std::ranges::find(kReasons, reason, &ExplainedReason::reason);
  return at == std::end(kReasons) ? nullptr : at;
}

std::span<const ExplainedReason> explained_reasons() { return kReasons; }

}  // namespace domicile::app
