#include "reference/peer.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace domicile::reference {
namespace {

Error error_of(const http::Response& answer) {
  const auto problem = nlohmann::json::parse(answer.body, nullptr, false);
  const auto text = [&](const char* key) {
    const auto found = problem.is_object() ? problem.find(key) : problem.end();
    return problem.is_object() && found != problem.end() && found->is_string()
               ? found->get<std::string>()
               : std::string();
  };
  const Code code = answer.status == 409                           ? Code::conflict
                    : answer.status == 401 || answer.status == 403 ? Code::denied
                                                                   : Code::unavailable;
  std::string detail = text("detail");
  if (detail.empty()) detail = fmt::format("the master's node answers {}", answer.status);
  return Error{code, std::move(detail), text("reason")};
}

}  // namespace

Peer::Peer(PeerOptions options)
    : options_(std::move(options)),
      client_({.ca_file = options_.ca_file,
               .certificate_file = options_.certificate_file,
               .key_file = options_.key_file}) {}

Result<std::optional<std::string>> Peer::call(const std::string& path, std::string body,
                                              std::chrono::milliseconds at_most,
                                              std::size_t body_bytes_max) {
  http::ClientRequest request;
  request.method = "POST";
  request.url = options_.url + path;
  request.headers = {{"domicile-region", options_.region.text()},
                     {"content-type", "application/json"}};
  request.body = std::move(body);
  request.bearer = options_.token;
  request.total_ms = at_most;
  request.body_bytes_max = body_bytes_max;
  auto answer = TRY(client_.send(request));
  if (answer.status == 204) return std::nullopt;
  if (answer.status != 200) return std::unexpected(error_of(answer));
  return std::move(answer.body);
}

}  // namespace domicile::reference
