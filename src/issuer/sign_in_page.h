// The pages that people see when they sign in: plain HTML that works without scripts, on a phone,
// from the keyboard and read aloud (labels, an error that is announced, autocomplete tokens of
// WCAG 2.2 criterion 1.3.5). Everything from outside is escaped; the Content-Security-Policy allows
// the page's one style and nothing else, in no frame, and lets forms lead only where they must.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "http/message.h"

namespace domicile::issuer {

struct SignInPage {
  std::string action;                     // path and query of the form
  std::string organization;               // as it was typed
  std::string form_token;                 // hidden
  std::string login;                      // filled in after an error
  std::string error;                      // empty at first
  std::vector<std::string> destinations;  // where the form may lead, as a policy names it
};

struct OrganizationPage {
  std::string path;                                             // of the form, without query
  std::vector<std::pair<std::string, std::string>> parameters;  // sent along, hidden
  std::string error;
  std::vector<std::string> destinations;
};

struct SignOutPage {
  std::string action;
  std::string form_token;
  std::vector<std::string> destinations;
};

http::Response render(const SignInPage& page, int status);
http::Response render(const OrganizationPage& page, int status);
http::Response render(const SignOutPage& page);
// A heading and a sentence, for everything that ends here.
http::Response message_page(int status, std::string_view heading, std::string_view text);

// 303 See Other.
http::Response see_other(std::string location);

}  // namespace domicile::issuer
