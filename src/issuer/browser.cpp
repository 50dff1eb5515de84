#include "issuer/browser.h"

#include <charconv>

#include <fmt/format.h>

#include "base/encoding.h"
#include "crypto/hmac.h"

namespace domicile::issuer {
namespace {

constexpr std::int64_t kFormS = 3600;  // somebody may look for a password for a while
constexpr std::size_t kCookieBytesMax = 128;

}  // namespace

std::string BrowserCookies::name(std::string_view which) const {
  return fmt::format("{}domicile-{}", secure_ ? "__Host-" : "", which);
}

std::string BrowserCookies::value(const http::Request& request, std::string_view which) const {
  const auto header = request.header("cookie");
  if (!header) return {};
  const std::string wanted = name(which) + '=';
  std::string_view rest = *header;
  std::string found;
  while (!rest.empty()) {
    const auto end = rest.find(';');
    std::string_view pair = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    while (pair.starts_with(' ')) pair.remove_prefix(1);
    if (!pair.starts_with(wanted)) continue;
    if (!found.empty()) return {};  // two of them: nobody can say which one is ours
    found = pair.substr(wanted.size());
  }
  return found.size() <= kCookieBytesMax ? found : std::string();
}

void BrowserCookies::set(http::Response& response, std::string_view which, std::string_view text,
                         std::string_view more) const {
  response.headers.emplace_back(
      "set-cookie", fmt::format("{}={}; Path=/; HttpOnly; SameSite=Lax{}{}", name(which), text,
                                secure_ ? "; Secure" : "", more));
}

void BrowserCookies::set_browser(http::Response& response, std::string_view text) const {
  set(response, "browser", text, "");
}

void BrowserCookies::set_session(http::Response& response, std::string_view text) const {
  set(response, "session", text, "");
}

void BrowserCookies::clear_session(http::Response& response) const {
  set(response, "session", "", "; Max-Age=0");
}

std::string FormGuard::mac(std::string_view browser, std::string_view purpose,
                           std::int64_t expires_at) const {
  crypto::HmacSha256 hmac(key_);
  return to_base64url(crypto::view(
      hmac.mac(fmt::format("domicile form\n{}\n{}\n{}", expires_at, browser, purpose))));
}

std::string FormGuard::token(std::string_view browser, std::string_view purpose,
                             std::int64_t now_s) const {
  return fmt::format("{}.{}", now_s + kFormS, mac(browser, purpose, now_s + kFormS));
}

bool FormGuard::accepts(std::string_view token, std::string_view browser, std::string_view purpose,
                        std::int64_t now_s) const {
  std::int64_t expires_at = 0;
  const auto parsed = std::from_chars(token.data(), token.data() + token.size(), expires_at);
  if (parsed.ec != std::errc{} || expires_at <= now_s || browser.empty()) return false;
  token.remove_prefix(static_cast<std::size_t>(parsed.ptr - token.data()));
  return token.starts_with('.') &&
         equal_constant_time(token.substr(1), mac(browser, purpose, expires_at));
}

}  // namespace domicile::issuer
