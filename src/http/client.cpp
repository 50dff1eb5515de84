#include "http/client.h"

#include <algorithm>
#include <cctype>
#include <mutex>

#include <curl/curl.h>
#include <fmt/format.h>

namespace domicile::http {
namespace {

using List = std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)>;

bool add(List& list, const std::string& line) {
  curl_slist* longer = curl_slist_append(list.get(), line.c_str());
  if (longer == nullptr) return false;
  (void)list.release();
  list.reset(longer);
  return true;
}

struct Answer {
  Response response;
  std::size_t body_bytes_max = 0;
  bool too_large = false;
};

std::size_t on_body(char* bytes, std::size_t size, std::size_t count, void* user) {
  auto& answer = *static_cast<Answer*>(user);
  if (answer.response.body.size() + size * count > answer.body_bytes_max) {
    answer.too_large = true;
    return 0;  // curl ends the call
  }
  answer.response.body.append(bytes, size * count);
  return size * count;
}

std::size_t on_header(char* bytes, std::size_t size, std::size_t count, void* user) {
  auto& answer = *static_cast<Answer*>(user);
  std::string_view line(bytes, size * count);
  while (!line.empty() && (line.back() == '\r' || line.back() == '\n')) line.remove_suffix(1);
  if (line.starts_with("HTTP/")) answer.response.headers.clear();  // a 1xx came before
  const auto colon = line.find(':');
  if (colon == std::string_view::npos) return size * count;
  std::string name(line.substr(0, colon));
  std::ranges::transform(name, name.begin(), [](unsigned char c) { return std::tolower(c); });
  std::string_view value = line.substr(colon + 1);
  while (value.starts_with(' ') || value.starts_with('\t')) value.remove_prefix(1);
  answer.response.headers.emplace_back(std::move(name), std::string(value));
  return size * count;
}

bool is_loopback(std::string_view url) {
  for (std::string_view host : {"http://127.0.0.1", "http://localhost", "http://[::1]"}) {
    if (url.starts_with(host) &&
        (url.size() == host.size() || url[host.size()] == ':' || url[host.size()] == '/')) {
      return true;
    }
  }
  return false;
}

Error error_of(CURLcode code, const Answer& answer, const char* detail, const std::string& url) {
  if (answer.too_large) {
    return {Code::invalid,
            fmt::format("{}: the answer is larger than {} bytes", url, answer.body_bytes_max), ""};
  }
  const std::string why = detail[0] != '\0' ? detail : curl_easy_strerror(code);
  switch (code) {
    case CURLE_OPERATION_TIMEDOUT:
      return {Code::timeout, fmt::format("{}: no answer in time: {}", url, why), ""};
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
      return {Code::invalid, fmt::format("{}: not an address: {}", url, why), ""};
    case CURLE_WEIRD_SERVER_REPLY:
      return {Code::invalid, fmt::format("{}: not an HTTP answer: {}", url, why), ""};
    case CURLE_SSL_CERTPROBLEM:
      return {Code::invalid,
              fmt::format("{}: this node's own certificate or key cannot be used: {}", url, why),
              ""};
    case CURLE_SSL_CACERT_BADFILE:
      return {Code::invalid,
              fmt::format("{}: the file of certificate authorities cannot be read: {}", url, why),
              ""};
    default: return {Code::unavailable, fmt::format("{}: {}", url, why), ""};
  }
}

}  // namespace

struct Client::State {
  ClientOptions options;
  std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> handle{nullptr, &curl_easy_cleanup};

  template <typename Value>
  void set(CURLoption option, Value value) {
    curl_easy_setopt(handle.get(), option, value);
  }
};

Client::Client(ClientOptions options) : state_(std::make_unique<State>()) {
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
  state_->options = std::move(options);
  state_->handle.reset(curl_easy_init());
}
Client::~Client() = default;
Client::Client(Client&&) noexcept = default;
Client& Client::operator=(Client&&) noexcept = default;

Result<Response> Client::send(const ClientRequest& request) {
  if (!request.url.starts_with("https://") && !is_loopback(request.url)) {
    return fail(
        Code::invalid,
        fmt::format("{}: only https:// addresses, or http:// on this machine", request.url));
  }
  if (state_->handle == nullptr) return fail(Code::unavailable, "libcurl could not start");
  State& s = *state_;
  curl_easy_reset(s.handle.get());  // keeps open connections

  List headers(nullptr, &curl_slist_free_all);
  bool built = add(headers, "Expect:");
  for (const auto& [name, value] : request.headers) {
    if ((name + value).find_first_of("\r\n") != std::string::npos) {
      return fail(Code::invalid, fmt::format("header '{}' holds a line break", name));
    }
    built = built && add(headers, name + ": " + value);
  }
  if (!built) return fail(Code::unavailable, "out of memory");

  Answer answer;
  answer.body_bytes_max =
      request.body_bytes_max != 0 ? request.body_bytes_max : s.options.body_bytes_max;
  char detail[CURL_ERROR_SIZE] = "";
  const auto total = request.total_ms.count() != 0 ? request.total_ms : s.options.total_ms;
  const std::string bearer(request.bearer.reveal());
  s.set(CURLOPT_URL, request.url.c_str());
  s.set(CURLOPT_PROTOCOLS_STR, "http,https");
  // One call at a time has no use for streams, and libcurl 7.88 takes until its next wake-up, up to a second, to notice the
  // end of an HTTP/2 answer without a body.
  s.set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  s.set(CURLOPT_FOLLOWLOCATION, 0L);
  s.set(CURLOPT_PROXY, "");
  s.set(CURLOPT_NOSIGNAL, 1L);
  s.set(CURLOPT_CUSTOMREQUEST, request.method.c_str());
  if (request.method == "HEAD") s.set(CURLOPT_NOBODY, 1L);
  if (!request.body.empty() || request.method == "POST") {
    s.set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
    s.set(CURLOPT_POSTFIELDS, request.body.c_str());
  }
  s.set(CURLOPT_HTTPHEADER, headers.get());
  if (!bearer.empty()) {
    s.set(CURLOPT_HTTPAUTH, CURLAUTH_BEARER);
    s.set(CURLOPT_XOAUTH2_BEARER, bearer.c_str());
  }
  s.set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(s.options.connect_ms.count()));
  s.set(CURLOPT_TIMEOUT_MS, static_cast<long>(total.count()));
  if (!s.options.ca_file.empty()) s.set(CURLOPT_CAINFO, s.options.ca_file.c_str());
  s.set(CURLOPT_CA_CACHE_TIMEOUT, 0L);  // each new connection reads the files as they are
  if (!s.options.certificate_file.empty()) {
    s.set(CURLOPT_SSLCERT, s.options.certificate_file.c_str());
    s.set(CURLOPT_SSLKEY, s.options.key_file.c_str());
  }
  s.set(CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2);
  s.set(CURLOPT_WRITEFUNCTION, &on_body);
  s.set(CURLOPT_WRITEDATA, &answer);
  s.set(CURLOPT_HEADERFUNCTION, &on_header);
  s.set(CURLOPT_HEADERDATA, &answer);
  s.set(CURLOPT_ERRORBUFFER, detail);
  const CURLcode code = curl_easy_perform(s.handle.get());
  if (code != CURLE_OK) return std::unexpected(error_of(code, answer, detail, request.url));
  long status = 0;
  curl_easy_getinfo(s.handle.get(), CURLINFO_RESPONSE_CODE, &status);
  answer.response.status = static_cast<int>(status);
  return std::move(answer.response);
}

}  // namespace domicile::http
