#include "issuer/sign_in_page.h"

#include <fmt/format.h>

#include "base/encoding.h"
#include "crypto/sha256.h"
#include "http/html.h"

namespace domicile::issuer {
namespace {

using http::escaped;

constexpr std::string_view kStyle =
    ":root{color-scheme:light dark}"
    "body{margin:0;min-height:100vh;display:grid;place-items:center;"
    "font:16px/1.5 system-ui,sans-serif;background:Canvas;color:CanvasText}"
    "main{width:min(24rem,100% - 2rem);margin:2rem 0}"
    "h1{font-size:1.5rem;margin:0 0 .25rem}p{margin:.25rem 0 1rem}"
    "label{display:block;margin:1rem 0 .25rem;font-weight:600}"
    "input{box-sizing:border-box;width:100%;padding:.6rem;font:inherit;"
    "border:1px solid GrayText;border-radius:.4rem;background:Field;color:FieldText}"
    "button{width:100%;margin-top:1.5rem;padding:.7rem;font:inherit;font-weight:600;border:0;"
    "border-radius:.4rem;background:#14532d;color:#fff;cursor:pointer}"
    "input:focus-visible,button:focus-visible,a:focus-visible"
    "{outline:3px solid #2563eb;outline-offset:2px}"
    ".error{padding:.6rem .8rem;border:1px solid #b91c1c;border-left-width:.4rem;"
    "border-radius:.4rem}.hint{font-size:.9rem;margin:.25rem 0 0}";

std::string policy(const std::vector<std::string>& destinations) {
  static const std::string style =
      "'sha256-" + to_base64(crypto::view(crypto::sha256(kStyle))) + "'";
  std::string out = "default-src 'none'; style-src " + style +
                    "; base-uri 'none'; frame-ancestors 'none'; form-action 'self'";
  for (const std::string& destination : destinations) out += ' ' + destination;
  return out;
}

http::Response page(int status, std::string_view title, std::string_view body,
                    const std::vector<std::string>& destinations = {}) {
  return {status,
          {{"content-type", "text/html; charset=utf-8"},
           {"cache-control", "no-store"},
           {"content-security-policy", policy(destinations)},
           {"referrer-policy", "same-origin"},
           {"x-content-type-options", "nosniff"},
           {"x-frame-options", "DENY"}},
          fmt::format("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                      "<title>{}</title>\n<style>{}</style>\n</head>\n<body>\n<main>\n{}</main>\n"
                      "</body>\n</html>\n",
                      escaped(title), kStyle, body)};
}

std::string error_box(std::string_view error) {
  if (error.empty()) return {};
  return fmt::format("<p class=\"error\" role=\"alert\" id=\"error\">{}</p>\n", escaped(error));
}

// The field that the error is about says so, and has the focus.
std::string_view marks(bool wrong) {
  return wrong ? " aria-invalid=\"true\" aria-describedby=\"error\"" : "";
}

}  // namespace

http::Response render(const SignInPage& it, int status) {
  const bool again = !it.error.empty();
  return page(
      status, again ? "Error: sign in" : "Sign in",
      fmt::format("<h1>Sign in</h1>\n<p>to <strong>{}</strong></p>\n{}"
                  "<form method=\"post\" action=\"{}\">\n"
                  "<input type=\"hidden\" name=\"form\" value=\"{}\">\n"
                  "<label for=\"username\">User name</label>\n"
                  "<input id=\"username\" name=\"username\" value=\"{}\" autocomplete=\"username\" "
                  "autocapitalize=\"none\" spellcheck=\"false\" maxlength=\"254\" required{}{}>\n"
                  "<label for=\"password\">Password</label>\n"
                  "<input id=\"password\" name=\"password\" type=\"password\" "
                  "autocomplete=\"current-password\" maxlength=\"256\" required{}{}>\n"
                  "<button type=\"submit\">Sign in</button>\n</form>\n",
                  escaped(it.organization), error_box(it.error), escaped(it.action), it.form_token,
                  escaped(it.login), again ? "" : " autofocus", marks(again),
                  again ? " autofocus" : "", marks(again)),
      it.destinations);
}

http::Response render(const OrganizationPage& it, int status) {
  std::string hidden;
  for (const auto& [name, value] : it.parameters) {
    hidden += fmt::format("<input type=\"hidden\" name=\"{}\" value=\"{}\">\n", escaped(name),
                          escaped(value));
  }
  return page(
      status, it.error.empty() ? "Sign in" : "Error: sign in",
      fmt::format(
          "<h1>Sign in</h1>\n<p>Your organization's name leads to its home region.</p>\n{}"
          "<form method=\"get\" action=\"{}\">\n{}"
          "<label for=\"organization\">Organization</label>\n"
          "<input id=\"organization\" name=\"organization\" autocomplete=\"organization\" "
          "autocapitalize=\"none\" spellcheck=\"false\" maxlength=\"253\" required autofocus "
          "aria-describedby=\"hint{}\"{}>\n"
          "<p class=\"hint\" id=\"hint\">Its short name, or its domain. Not your e-mail "
          "address.</p>\n"
          "<button type=\"submit\">Continue</button>\n</form>\n",
          error_box(it.error), escaped(it.path), hidden, it.error.empty() ? "" : " error",
          it.error.empty() ? "" : " aria-invalid=\"true\""),
      it.destinations);
}

http::Response render(const SignOutPage& it) {
  return page(200, "Sign out",
              fmt::format("<h1>Sign out</h1>\n<p>You are signed in. Sign out in this browser?</p>\n"
                          "<form method=\"post\" action=\"{}\">\n"
                          "<input type=\"hidden\" name=\"form\" value=\"{}\">\n"
                          "<button type=\"submit\" autofocus>Sign out</button>\n</form>\n",
                          escaped(it.action), it.form_token),
              it.destinations);
}

http::Response message_page(int status, std::string_view heading, std::string_view text) {
  return page(status, heading,
              fmt::format("<h1>{}</h1>\n<p>{}</p>\n", escaped(heading), escaped(text)));
}

http::Response see_other(std::string location) {
  return {303,
          {{"location", std::move(location)},
           {"cache-control", "no-store"},
           {"referrer-policy", "no-referrer"}},
          ""};
}

}  // namespace domicile::issuer
