// What a browser holds for the issuer: two cookies, and forms that only this browser can send back.
// Cookies are HttpOnly, SameSite=Lax and, over https, Secure with the __Host- prefix, so that no
// other host of the domain can set them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/secret.h"
#include "http/message.h"

namespace domicile::issuer {

class BrowserCookies {
 public:
  explicit BrowserCookies(bool secure) : secure_(secure) {}

  // "" when the browser has none.
  std::string browser(const http::Request& request) const { return value(request, "browser"); }
  std::string session(const http::Request& request) const { return value(request, "session"); }
  // Set-Cookie; both live as long as the browser does, the session at most as long as the directory
  // says.
  void set_browser(http::Response& response, std::string_view text) const;
  void set_session(http::Response& response, std::string_view text) const;
  void clear_session(http::Response& response) const;

 private:
  std::string name(std::string_view which) const;
  std::string value(const http::Request& request, std::string_view which) const;
  void set(http::Response& response, std::string_view which, std::string_view text,
           std::string_view more) const;
  bool secure_;
};

// Against forged forms, without state: a token is an expiry and a MAC over it, the browser's cookie
// and what the form is for. Thread-safe.
class FormGuard {
 public:
  explicit FormGuard(Secret key) : key_(std::move(key)) {}

  std::string token(std::string_view browser, std::string_view purpose, std::int64_t now_s) const;
  bool accepts(std::string_view token, std::string_view browser, std::string_view purpose,
               std::int64_t now_s) const;

 private:
  std::string mac(std::string_view browser, std::string_view purpose,
                  std::int64_t expires_at) const;
  Secret key_;
};

}  // namespace domicile::issuer
