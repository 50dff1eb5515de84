#include "reference/compare_http.h"

#include <algorithm>
#include <charconv>
#include <map>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "reference/compare_wire.h"

namespace domicile::reference {
namespace {

constexpr std::size_t kJsonMax = 8u << 20;
constexpr std::size_t kSymbolBytesMax = 40;
constexpr std::size_t kRowsBytesMax = 256u << 20;
constexpr std::chrono::milliseconds kWaitMax{2000};

using Query = std::map<std::string, std::string>;

Result<std::uint64_t> number(const Query& query, const char* name, std::uint64_t most) {
  const auto found = query.find(name);
  std::uint64_t value = 0;
  if (found != query.end()) {
    const std::string& text = found->second;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error == std::errc{} && end == text.data() + text.size() && value <= most) return value;
  }
  return fail(Code::invalid, fmt::format("{} is a number up to {}", name, most), "compare_query");
}

Result<std::size_t> parse_number(const std::string& text) {
  return number(Query{{"answer", text}}, "answer", INT64_MAX);
}

http::Response bytes_response(std::string body) {
  return {.status = 200,
          .headers = {{"content-type", "application/octet-stream"}, {"cache-control", "no-store"}},
          .body = std::move(body)};
}

int status_of(Code code) {
  switch (code) {
    case Code::invalid: return 400;
    case Code::not_found: return 404;
    case Code::conflict: return 409;
    case Code::denied: return 403;
    case Code::unavailable: return 503;
    case Code::timeout: return 504;
    default: return 500;
  }
}

Code code_of(int status) {
  for (const Code code :
       {Code::invalid, Code::not_found, Code::conflict, Code::denied, Code::timeout})
    if (status_of(code) == status) return code;
  return status == 401 ? Code::unauthenticated : Code::unavailable;
}

// The call that the path names; its answer.
Result<http::Response> answer(CompareMaster& master, const http::Request& request,
                              std::string_view what, const Query& query) {
  if (what == "open") {
    auto open = TRY(decode_open(request.body));
    open.region = request.header("domicile-region").value_or("");
    auto response = http::json_response(201, encode_opened(TRY(master.open(open))));
    return response;
  }
  const auto run = query.find("run");
  if (run == query.end()) return fail(Code::invalid, "run is missing", "compare_query");
  if (what == "progress") {
    const auto wait = std::chrono::milliseconds(TRY(number(query, "wait", 60'000)));
    return http::json_response(
        200, encode_progress(TRY(master.progress(run->second, std::min(wait, kWaitMax)))));
  }
  if (what == "close") {
    TRY(master.close(run->second));
    return http::json_response(200, "{}");
  }
  const std::size_t table = TRY(number(query, "table", UINT16_MAX));
  if (what == "rows_of")
    return bytes_response(std::to_string(TRY(master.rows_of(run->second, table))));
  if (what == "symbols") {
    const std::uint64_t first = TRY(number(query, "first", 1u << 24));
    const std::size_t count = TRY(number(query, "count", CompareMaster::kSymbolsMax));
    return bytes_response(
        digest::encode_symbols(TRY(master.symbols(run->second, table, first, count))));
  }
  const std::size_t most = what == "rows" ? CompareMaster::kRowsMax : CompareMaster::kDigestsMax;
  const Digests rows = TRY(decode_digests(request.body, most));
  if (what == "keys")
    return bytes_response(encode_digests(TRY(master.keys(run->second, table, rows))));
  if (what == "current")
    return bytes_response(encode_digests(TRY(master.current(run->second, table, rows))));
  if (what == "rows")
    return bytes_response(encode_rows(TRY(master.rows(run->second, table, rows))));
  return fail(Code::not_found, "there is no such call", "compare_call");
}

}  // namespace

http::Response answer_comparison(CompareMaster& master, const http::Request& request) {
  if (request.method != "POST")
    return http::problem(405, "method_not_allowed", "use POST", request);
  const auto pairs = http::parse_form(request.query);
  if (!pairs) return http::problem(400, "compare_query", "malformed query", request);
  auto given = answer(master, request, std::string_view(request.path).substr(kComparePrefix.size()),
                      Query(pairs->begin(), pairs->end()));
  if (given) return std::move(*given);
  const Error& error = given.error();
  return http::problem(status_of(error.code),
                       error.reason.empty() ? "compare_failed" : error.reason, error.message,
                       request);
}

http::Handler compare_handler(CompareMaster& master, http::PeerGate gate) {
  return [&master, gate = std::move(gate)](const http::Request& request) -> http::Response {
    if (auto refused = gate.refuse(request)) return *std::move(refused);
    if (!gate.certificates)
      return http::problem(
          403, "peer_certificate_required",
          "reference data is compared over mutual TLS only: set peers.client_ca on this node",
          request);
    return answer_comparison(master, request);
  };
}

CompareClient::CompareClient(Options options)
    : options_(std::move(options)), client_(options_.http) {}

Result<std::string> CompareClient::call(const std::string& what, std::string body,
                                        std::size_t answer_max) {
  http::ClientRequest request;
  request.method = "POST";
  request.url = fmt::format("{}{}{}", options_.url, kComparePrefix, what);
  request.headers = {{"domicile-region", options_.region},
                     {"content-type", "application/octet-stream"}};
  request.bearer = options_.peer_token;
  request.total_ms = std::chrono::milliseconds(90'000);
  request.body_bytes_max = answer_max;
  const std::uint64_t sent =
      request.url.size() + body.size() + options_.peer_token.reveal().size() + 128;
  request.body = std::move(body);
  http::Response response = TRY(client_.send(request));
  bytes_ += sent + response.body.size();
  for (const auto& [name, value] : response.headers) bytes_ += name.size() + value.size() + 4;
  if (response.status == 200 || response.status == 201) return std::move(response.body);
  const auto problem = nlohmann::json::parse(response.body, nullptr, false);
  const auto member = [&](const char* name) {
    return problem.is_object() && problem.contains(name) && problem[name].is_string()
               ? problem[name].get<std::string>()
               : std::string();
  };
  return fail(code_of(response.status),
              fmt::format("{} answered {} to a comparison: {}", options_.url, response.status,
                          member("detail")),
              member("reason"));
}

Result<CompareOpened> CompareClient::open(const CompareOpen& request) {
  return decode_opened(TRY(call("open", encode_open(request), kJsonMax)));
}

Result<ScanProgress> CompareClient::progress(const std::string& run,
                                             std::chrono::milliseconds at_most) {
  return decode_progress(
      TRY(call(fmt::format("progress?run={}&wait={}", run, at_most.count()), "", kJsonMax)));
}

Result<std::uint64_t> CompareClient::rows_of(const std::string& run, std::size_t table) {
  return parse_number(TRY(call(fmt::format("rows_of?run={}&table={}", run, table), "", 64)));
}

Result<std::vector<digest::Symbol>> CompareClient::symbols(const std::string& run,
                                                           std::size_t table, std::uint64_t first,
                                                           std::size_t count) {
  const std::string bytes =
      TRY(call(fmt::format("symbols?run={}&table={}&first={}&count={}", run, table, first, count),
               "", (count + 8) * kSymbolBytesMax + 4096));
  return digest::decode_symbols(bytes, count);
}

Result<Digests> CompareClient::keys(const std::string& run, std::size_t table,
                                    const Digests& rows) {
  return decode_digests(TRY(call(fmt::format("keys?run={}&table={}", run, table),
                                 encode_digests(rows), rows.size() * 16 + 4096)),
                        rows.size());
}

Result<Digests> CompareClient::current(const std::string& run, std::size_t table,
                                       const Digests& rows) {
  return decode_digests(TRY(call(fmt::format("current?run={}&table={}", run, table),
                                 encode_digests(rows), rows.size() * 16 + 4096)),
                        rows.size());
}

Result<std::vector<MasterRow>> CompareClient::rows(const std::string& run, std::size_t table,
                                                   const Digests& rows) {
  return decode_rows(TRY(call(fmt::format("rows?run={}&table={}", run, table), encode_digests(rows),
                              kRowsBytesMax)),
                     rows.size());
}

Result<void> CompareClient::close(const std::string& run) {
  TRY(call(fmt::format("close?run={}", run), "", kJsonMax));
  return {};
}

}  // namespace domicile::reference
