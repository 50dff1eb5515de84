#include "issuer/authorize_request.h"

#include <algorithm>
#include <charconv>

#include "issuer/redirect_uri.h"

namespace domicile::issuer {
namespace {

constexpr std::size_t kStateBytesMax = 1024;
constexpr std::size_t kNonceBytesMax = 255;
constexpr std::size_t kChallengeBytes = 43;  // base64url of a SHA-256

std::string text(const Form& parameters, std::string_view name) {
  const std::string* value = form_value(parameters, name);
  return value == nullptr ? std::string() : *value;
}

bool base64url(std::string_view value) {
  return std::ranges::all_of(value, [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
  });
}

bool printable(std::string_view value) {
  return std::ranges::all_of(value, [](char c) { return c >= ' ' && c < 127; });
}

std::unexpected<AuthorizeError> refuse(std::string_view error, std::string_view description) {
  return std::unexpected(AuthorizeError{error, description});
}

}  // namespace

std::expected<AuthorizeRequest, std::string_view> identify_client(
    const Form& parameters, const std::optional<store::ClientAccount>& client) {
  AuthorizeRequest request;
  request.client_id = text(parameters, "client_id");
  request.redirect_uri = text(parameters, "redirect_uri");
  if (request.client_id.empty() || request.redirect_uri.empty())
    return std::unexpected("The link that brought you here names no application.");
  if (!client || !client->active || !client->authorization_code)
    return std::unexpected("The application that sent you here is not known in this region.");
  if (!is_registered(client->redirect_uris, request.redirect_uri)) {
    return std::unexpected(
        "The application that sent you here wants the answer sent to an address that is not "
        "registered for it.");
  }
  request.state = text(parameters, "state");
  if (request.state.size() > kStateBytesMax || !printable(request.state))
    return std::unexpected("The link that brought you here is malformed.");
  return request;
}

std::expected<void, AuthorizeError> read_parameters(const Form& parameters,
                                                    const store::ClientAccount& client,
                                                    AuthorizeRequest& request) {
  if (form_value(parameters, "request") != nullptr)
    return refuse("request_not_supported", "send plain parameters");
  if (form_value(parameters, "request_uri") != nullptr)
    return refuse("request_uri_not_supported", "send plain parameters");
  if (text(parameters, "response_type") != "code")
    return refuse("unsupported_response_type", "the only response_type is code");
  if (const std::string mode = text(parameters, "response_mode"); !mode.empty() && mode != "query")
    return refuse("invalid_request", "the only response_mode is query");
  request.challenge = text(parameters, "code_challenge");
  if (request.challenge.empty())
    return refuse("invalid_request", "code_challenge is needed (PKCE)");
  if (text(parameters, "code_challenge_method") != "S256")
    return refuse("invalid_request", "the only code_challenge_method is S256");
  if (request.challenge.size() != kChallengeBytes || !base64url(request.challenge))
    return refuse("invalid_request", "code_challenge is the base64url of a SHA-256");
  request.nonce = text(parameters, "nonce");
  if (request.nonce.size() > kNonceBytesMax || !printable(request.nonce))
    return refuse("invalid_request", "nonce has at most 255 printable characters");
  auto scope = parse_scope(text(parameters, "scope"));
  if (!scope) return refuse("invalid_scope", kInvalidScope);
  request.scope = std::move(*scope);
  if (!client.permissions.empty() &&
      !std::ranges::all_of(request.scope.permissions, [&](const domain::Permission& wanted) {
        return std::ranges::find(client.permissions, wanted) != client.permissions.end();
      }))
    return refuse("invalid_scope", "more was asked for than this client may be given");
  const std::string prompt = text(parameters, "prompt");
  if (prompt == "none") {
    request.prompt = AuthorizeRequest::Prompt::none;
  } else if (prompt == "login" || prompt == "select_account") {
    request.prompt = AuthorizeRequest::Prompt::login;
  } else if (!prompt.empty() && prompt != "consent") {  // first-party applications: none is asked
    return refuse("invalid_request", "prompt is none, login, select_account or consent");
  }
  if (const std::string age = text(parameters, "max_age"); !age.empty()) {
    std::int64_t seconds = 0;
    const auto parsed = std::from_chars(age.data(), age.data() + age.size(), seconds);
    if (parsed.ec != std::errc{} || parsed.ptr != age.data() + age.size() || seconds < 0)
      return refuse("invalid_request", "max_age is a number of seconds");
    request.max_age_s = seconds;
  }
  return {};
}

}  // namespace domicile::issuer
