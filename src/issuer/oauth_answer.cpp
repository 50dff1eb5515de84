#include "issuer/oauth_answer.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace domicile::issuer {

const std::string* form_value(const Form& form, std::string_view name) {
  for (const auto& [key, value] : form) {
    if (key == name) return &value;
  }
  return nullptr;
}

http::Response oauth_error(int status, std::string_view error, std::string_view description) {
  auto answer = http::json_response(
      status, nlohmann::json{{"error", error}, {"error_description", description}}.dump());
  answer.headers.emplace_back("pragma", "no-cache");
  return answer;
}

http::Response invalid_client() {
  auto answer =
      oauth_error(401, "invalid_client", "the client is unknown, or did not prove itself");
  answer.headers.emplace_back("www-authenticate", "Basic realm=\"domicile\", charset=\"UTF-8\"");
  return answer;
}

http::Response invalid_grant() {
  return oauth_error(400, "invalid_grant", "what was presented is wrong, expired or revoked");
}

http::Response retry_later(int status, std::string_view error, std::string_view description,
                           std::chrono::seconds wait) {
  auto answer = oauth_error(status, error, description);
  answer.headers.emplace_back("retry-after", fmt::format("{}", wait.count()));
  return answer;
}

http::Response wrong_region(std::string_view home_issuer) {
  auto answer = http::json_response(
      421, nlohmann::json{{"error", "wrong_region"},
                          {"error_description", "this organization signs in at its home region"},
                          {"issuer", home_issuer}}
               .dump());
  answer.headers.emplace_back("pragma", "no-cache");
  return answer;
}

}  // namespace domicile::issuer
