// RFC 9457 problem details, the one form in which a door refuses. `reason` is the stable code;
// `title` is fixed for the status; `detail` is text for a person and never holds what the client
// sent.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace domicile::http {

std::string problem_body(
    int status, std::string_view reason, std::string_view detail, std::string_view request_id,
    const std::vector<std::pair<std::string_view, std::string_view>>& more = {});

}  // namespace domicile::http
