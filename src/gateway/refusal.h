// What a client is told when the answer is no: status, stable reason, the fields that go with it,
// and whether the connection closes. One place, so that the same reason always looks the same.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "gateway/request_limits.h"
#include "policy/denial.h"
#include "wire/http1_path.h"
#include "wire/http1_request.h"

namespace domicile::http {
class Exchange;
}

namespace domicile::gateway {

// A person's browser that follows a link, as far as can be told: only such a request is redirected.
bool is_navigation(const wire::RequestHead& head);

// Answers for a denial of policy. A wrong region gets 307 to its home for a navigation (no query is
// carried along), else 421 with the home's URL; both close, and the body is never read.
void refuse_denial(http::Exchange& exchange, const policy::Denial& denial,
                   const wire::RequestHead* head, const wire::CleanPath* path);

// The same texts, for an answer of another form.
std::string_view detail_of(policy::DenialReason reason);
// The WWW-Authenticate or Retry-After line that goes with a status, or "".
std::string_view fields_of(policy::DenialReason reason);

// A token that was there and did not count.
void refuse_credentials(http::Exchange& exchange, std::string_view reason);
// Too many requests: 429 with the whole seconds until one more is allowed.
void refuse_limited(http::Exchange& exchange, Limit limit, std::chrono::nanoseconds wait);
std::string_view detail_of(Limit limit);
// "Retry-After: 1\r\n", at least a second.
std::string retry_after(std::chrono::nanoseconds wait);
// Events cannot be recorded now.
void refuse_unrecorded(http::Exchange& exchange);

}  // namespace domicile::gateway
