// The two sides of a comparison as bench/libcompare.py drives them, each in a process of its own whose CPU and
// memory can be read: the real CompareService behind a real HTTP server on loopback, and a real comparison that
// asks it. `master` prints its port and serves until standard input ends; `replica` prints the result as JSON.
#include <iostream>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "base/file.h"
#include "http/mounts.h"
#include "http/server.h"
#include "reference/compare_http.h"
#include "reference/compare_job.h"
#include "reference/compare_service.h"

using namespace domicile;

namespace {

// Events are not what is measured here.
class NoEvents final : public domain::EventSink {
 public:
  void submit(domain::Event, Completion done) override { done(std::uint64_t{1}); }
};

template <typename T>
T must(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message);
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

std::uint64_t peak_memory_bytes() {
  const std::string status = must(read_file("/proc/self/status"));
  const auto at = status.find("VmHWM:");
  return at == std::string::npos ? 0 : std::stoull(status.substr(at + 6)) * 1024;
}

void serve(const std::string& dsn, const std::string& folder) {
  reference::CompareService service({.run = {.dsn = dsn, .folder = folder}});
  runtime::WorkerPool pool(4, 16);
  http::Mounts mounts(pool, http::ServerLimits().handler_body_bytes_max);
  mounts.add(std::string(reference::kComparePrefix), [&](const http::Request& request) {
    return reference::answer_comparison(service, request);
  });
  const SystemClock clock;
  http::Metrics metrics;
  auto server = must(http::Server::create({}, {}, clock, metrics, [&](http::ServerContext&) {
    return Result<std::unique_ptr<http::Service>>(std::make_unique<http::MountsService>(mounts));
  }));
  must(server->start());
  std::cout << server->port() << std::endl;
  std::string line;
  while (std::getline(std::cin, line)) std::cout << peak_memory_bytes() << std::endl;
  server.reset();
  pool.stop();
}

int compare(const std::string& dsn, const std::string& folder, const std::string& url,
            const reference::CompareJob& job) {
  reference::CompareClient client(
      {.url = url, .peer_token = Secret("bench"), .region = "replica", .http = {}});
  NoEvents events;
  const SystemClock clock;
  std::vector<reference::TableOutcome> outcomes;
  const auto done = reference::run_compare_job(client, job,
                                               {.dsn = dsn,
                                                .region = domain::RegionId("replica"),
                                                .folder = folder,
                                                .stop = {},
                                                .progress = {}},
                                               events, clock, outcomes);
  if (!done) {
    std::cerr << done.error().message << std::endl;
    return 3;
  }
  std::cout << fmt::format("{{\"peak_memory_bytes\": {}, \"across_bytes\": {}, \"result\": {}}}",
                           peak_memory_bytes(), client.bytes(), reference::result_json(outcomes))
            << std::endl;
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app;
  std::string dsn;
  std::string url;
  std::string folder = "/tmp";
  reference::CompareJob job;
  app.require_subcommand(1);
  auto* master = app.add_subcommand("master");
  auto* replica = app.add_subcommand("replica");
  for (auto* side : {master, replica}) {
    side->add_option("--dsn", dsn)->required();
    side->add_option("--folder", folder);
  }
  replica->add_option("--url", url)->required();
  replica->add_option("--table", job.tables);
  replica->add_option("--max-rate", job.rows_per_second);
  replica->add_flag("--repair", job.repair);
  CLI11_PARSE(app, argc, argv);
  try {
    if (*master) serve(dsn, folder);
    if (*replica) return compare(dsn, folder, url, job);
  } catch (const std::exception& error) {
    std::cerr << error.what() << std::endl;
    return 4;
  }
  return 0;
}
