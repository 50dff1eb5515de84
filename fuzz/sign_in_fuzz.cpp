// Any bytes as the query of /oauth2/authorize: no crash, and nothing is ever sent to an address that is not registered.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "http/html.h"
#include "issuer/authorize_request.h"
#include "issuer/browser.h"
#include "issuer/redirect_uri.h"

using namespace domicile;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 4096) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const store::ClientAccount client{
      .id = "app",
      .authorization_code = true,
      .redirect_uris = {"https://app.test/done", "http://127.0.0.1/cb"}};
  if (const auto form = http::parse_form(input)) {
    if (auto request = issuer::identify_client(*form, client)) {
      CHECK(request->redirect_uri == "https://app.test/done" ||
            request->redirect_uri.starts_with("http://127.0.0.1/cb") ||
            request->redirect_uri.starts_with("http://127.0.0.1:"));
      const std::string target =
          issuer::with_parameters(request->redirect_uri, {{"state", request->state}});
      CHECK(target.find_first_of("\r\n \"<>#") == std::string::npos);
      if (issuer::read_parameters(*form, client, *request)) CHECK(request->challenge.size() == 43);
    }
  }
  if (issuer::check_redirect_uri(input)) {
    CHECK(input.find_first_of("\r\n \\#*") == std::string_view::npos);
    CHECK(issuer::is_registered({std::string(input)}, input));
    CHECK(!issuer::source_of(input).empty());
  }
  http::Request request;
  request.headers = {{"cookie", std::string(input)}};
  CHECK(issuer::BrowserCookies(true).session(request).size() <= 128);
  const std::string shown = http::escaped(input);
  CHECK(shown.find_first_of("<>\"'") == std::string::npos);
  return 0;
}
