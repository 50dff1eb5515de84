// An issuer for tests, and a browser in front of it.
#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "issuer/issuer_fixture.h"

namespace domicile::issuer {

inline constexpr const char* kVerifier =
    "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";  // RFC 7636,
inline constexpr const char* kChallenge =
    "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";  // appendix B

// A browser that keeps cookies and sends forms back.
class SignInTest : public IssuerTest {
 protected:
  static std::string query(const std::string& more = "&organization=acme",
                           const std::string& challenge = kChallenge) {
    return "client_id=spa&redirect_uri=https%3A%2F%2Fapp.test%2Fdone&response_type=code"
           "&state=s1&code_challenge_method=S256&code_challenge=" +
           challenge + more;
  }

  http::Response send(std::string method, std::string path, std::string query_text,
                      std::string form = "") {
    http::Request request;
    request.method = std::move(method);
    request.path = std::move(path);
    request.query = std::move(query_text);
    std::string cookies;
    for (const auto& [name, value] : jar)
      cookies += (cookies.empty() ? "" : "; ") + name + '=' + value;
    if (!cookies.empty()) request.headers.emplace_back("cookie", cookies);
    if (!site.empty()) request.headers.emplace_back("sec-fetch-site", site);
    request.body = std::move(form);
    request.peer_ip = ip;
    request.request_id = "r1";
    auto answer = issuer->handle(request);
    for (const auto& [name, value] : answer.headers) {
      if (name != "set-cookie") continue;
      const auto equals = value.find('='), end = value.find(';');
      jar[value.substr(0, equals)] = value.substr(equals + 1, end - equals - 1);
      set_cookies.push_back(value);
    }
    return answer;
  }
  http::Response open(const std::string& query_text = query()) {
    return send("GET", "/oauth2/authorize", query_text);
  }
  static std::string hidden(const http::Response& page) {
    const std::string marker = "name=\"form\" value=\"";
    const auto at = page.body.find(marker);
    if (at == std::string::npos) return "";
    const auto from = at + marker.size();
    return page.body.substr(from, page.body.find('"', from) - from);
  }
  http::Response submit(const http::Response& page, const std::string& query_text = query(),
                        const std::string& password = "correct+horse") {
    return send("POST", "/oauth2/authorize", query_text,
                "form=" + hidden(page) + "&username=ann%40acme.test&password=" + password);
  }
  static std::string parameter(const http::Response& redirect, const std::string& name) {
    const std::string location = header(redirect, "location");
    const auto query_text = location.substr(location.find('?') + 1);
    const auto form = http::parse_form(query_text);
    const std::string* value = form ? form_value(*form, name) : nullptr;
    return value == nullptr ? "" : *value;
  }
  std::string code_of_sign_in(const std::string& more = "") {
    const std::string text = query("&organization=acme" + more);
    return parameter(submit(open(text), text), "code");
  }
  http::Response redeem(const std::string& code, const std::string& verifier = kVerifier,
                        const std::string& redirect = "https%3A%2F%2Fapp.test%2Fdone",
                        const std::string& client = "spa") {
    return post("/oauth2/token", "grant_type=authorization_code&client_id=" + client +
                                     "&code=" + code + "&redirect_uri=" + redirect +
                                     "&code_verifier=" + verifier);
  }
  std::size_t count(const std::string& operation) const {
    return static_cast<std::size_t>(std::ranges::count_if(
        sink.events, [&](const domain::Event& event) { return event.operation == operation; }));
  }

  std::map<std::string, std::string> jar;
  std::vector<std::string> set_cookies;
  std::string site;
};

}  // namespace domicile::issuer
