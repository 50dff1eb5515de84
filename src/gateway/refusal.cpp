#include "gateway/refusal.h"

#include <algorithm>

#include <fmt/format.h>

#include "http/exchange.h"
#include "http/problem.h"

namespace domicile::gateway {
namespace {

using http::AfterAnswer;
using policy::DenialReason;

void answer_problem(http::Exchange& exchange, int status, std::string_view reason,
                    std::string_view detail, std::string_view fields, const domain::Region* home,
                    AfterAnswer after) {
  std::vector<std::pair<std::string_view, std::string_view>> more;
  if (home != nullptr) more = {{"home_region", home->id.view()}, {"home_url", home->url}};
  exchange.answer(status, fmt::format("Cache-Control: no-store\r\n{}", fields),
                  "application/problem+json",
                  http::problem_body(status, reason, detail, exchange.request_id(), more), after);
}

}  // namespace

std::string_view detail_of(DenialReason reason) {
  switch (reason) {
    case DenialReason::no_route: return "No route of this door matches the path.";
    case DenialReason::method_not_allowed: return "The path is there, but not with this method.";
    case DenialReason::unauthenticated: return "Send an access token: Authorization: Bearer ...";
    case DenialReason::token_expired: return "The access token has expired: get a new one.";
    case DenialReason::organization_missing: return "The request does not name its organization.";
    case DenialReason::organization_mismatch:
      return "The access token is for another organization, without a grant for this one.";
    case DenialReason::unknown_organization: return "This organization is not known here.";
    case DenialReason::cross_region_token:
      return "The access token was issued by another region than the organization's home.";
    case DenialReason::wrong_region: return "The organization's home is in another region.";
    case DenialReason::organization_closed: return "The organization is closed.";
    case DenialReason::organization_suspended: return "The organization is suspended.";
    case DenialReason::organization_moving:
      return "The organization is moving to another region: try again shortly.";
    case DenialReason::stale_epoch:
      return "The organization has moved since this access token was issued: sign in again.";
    case DenialReason::snapshot_behind:
      return "This node has not heard of the organization's latest move: try again shortly.";
    case DenialReason::grant_expired: return "The grant for this organization has expired.";
    case DenialReason::grant_cross_region: return "Grants never reach into another region.";
    case DenialReason::missing_role: return "The access token lacks the role that is needed.";
    case DenialReason::missing_permission: return "The access token lacks the permission needed.";
  }
  return "";
}

std::string_view fields_of(DenialReason reason) {
  switch (policy::status_of(reason)) {
    case 401:
      return reason == DenialReason::unauthenticated
                 ? "WWW-Authenticate: Bearer realm=\"domicile\"\r\n"
                 : "WWW-Authenticate: Bearer realm=\"domicile\", error=\"invalid_token\"\r\n";
    case 403:
      return reason == DenialReason::missing_permission
                 ? "WWW-Authenticate: Bearer realm=\"domicile\", error=\"insufficient_scope\"\r\n"
                 : "";
    case 503: return "Retry-After: 5\r\n";
    default: return "";
  }
}

bool is_navigation(const wire::RequestHead& head) {
  if (head.method != wire::Method::get) return false;
  if (const auto mode = head.section.find(wire::FieldKind::sec_fetch_mode)) {
    return *mode == "navigate";
  }
  const auto accept = head.section.find(wire::FieldKind::accept);
  return accept && accept->contains("text/html");
}

void refuse_denial(http::Exchange& exchange, const policy::Denial& denial,
                   const wire::RequestHead* head, const wire::CleanPath* path) {
  const int status = policy::status_of(denial.reason);
  const std::string_view reason = policy::to_string(denial.reason);
  const std::string_view detail = detail_of(denial.reason);
  if (denial.reason == DenialReason::wrong_region && denial.home != nullptr) {
    if (head != nullptr && is_navigation(*head)) {
      const std::string location =
          fmt::format("Location: {}{}\r\n", denial.home->url, path->canonical);
      answer_problem(exchange, 307, reason, detail, location, denial.home, AfterAnswer::close);
    } else {
      answer_problem(exchange, status, reason, detail, "", denial.home, AfterAnswer::close);
    }
    return;
  }
  answer_problem(exchange, status, reason, detail, fields_of(denial.reason), denial.home,
                 AfterAnswer::keep);
}

void refuse_credentials(http::Exchange& exchange, std::string_view reason) {
  answer_problem(exchange, 401, reason, "The access token does not count here.",
                 "WWW-Authenticate: Bearer realm=\"domicile\", error=\"invalid_token\"\r\n",
                 nullptr, AfterAnswer::keep);
}

std::string retry_after(std::chrono::nanoseconds wait) {
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(wait).count();
  return fmt::format("Retry-After: {}\r\n", std::max<std::int64_t>(1, seconds));
}

std::string_view detail_of(Limit limit) {
  return limit == Limit::organization ? "The organization sends more requests than it may."
         : limit == Limit::client     ? "This user or service sends more requests than it may."
                                      : "More requests come from this address than may.";
}

void refuse_limited(http::Exchange& exchange, Limit limit, std::chrono::nanoseconds wait) {
  answer_problem(exchange, 429, reason_of(limit), detail_of(limit), retry_after(wait), nullptr,
                 AfterAnswer::keep);
}

void refuse_unrecorded(http::Exchange& exchange) {
  answer_problem(exchange, 503, "audit_unavailable",
                 "This request must be recorded, and cannot be now: try again shortly.",
                 "Retry-After: 5\r\n", nullptr, AfterAnswer::keep);
}

}  // namespace domicile::gateway
