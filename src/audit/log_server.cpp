#include "audit/log_server.h"

#include "audit/log_integrator.h"
#include "base/file.h"
#include "tlog/tile.h"

namespace domicile::audit {
namespace {

constexpr unsigned kWorkers = 2;
constexpr std::size_t kWaiting = 64;
constexpr std::size_t kBodyBytesMax = 1024;  // nobody has anything to send

// What never changes under its name.
bool is_tile(std::string_view path) {
  return tlog::parse_tile_path(path) || tlog::parse_bundle_path(path);
}

bool is_text(std::string_view path) {
  return path == kCheckpointFile || path == kWitnessedFile || path == kVerifierKeysFile;
}

}  // namespace

http::Handler log_handler(std::filesystem::path directory) {
  return [directory = std::move(directory)](const http::Request& request) {
    if (request.method != "GET" && request.method != "HEAD") {
      return http::problem(405, "method_not_allowed", "The log is read, never written, here.",
                           request);
    }
    const std::string_view path = std::string_view(request.path).substr(1);
    const bool tile = is_tile(path);
    if (!tile && !is_text(path)) {
      return http::problem(404, "not_found",
                           "The log has /checkpoint, /tile/<level>/<index> and "
                           "/tile/entries/<index> (c2sp.org/tlog-tiles), and nothing else.",
                           request);
    }
    auto content = read_file(directory / path);
    if (!content) {
      const bool absent = content.error().code == Code::not_found;
      return http::problem(absent ? 404 : 503, absent ? "not_found" : "audit_unreadable",
                           absent ? "There is no such tile, or retention removed the bundle."
                                  : "The log cannot be read now.",
                           request);
    }
    http::Response response;
    response.body = std::move(*content);
    response.headers = {
        {"content-type", tile ? "application/octet-stream" : "text/plain; charset=utf-8"},
        {"cache-control", tile ? "private, max-age=31536000, immutable" : "no-cache"}};
    return response;
  };
}

LogServer::LogServer() : pool_(kWorkers, kWaiting), mounts_(pool_, kBodyBytesMax) {}

LogServer::~LogServer() {
  server_.reset();
  pool_.stop();
}

Result<std::unique_ptr<LogServer>> LogServer::create(http::ListenerOptions listener,
                                                     const std::filesystem::path& directory,
                                                     const Clock& clock) {
  std::unique_ptr<LogServer> out(new LogServer());
  out->mounts_.add("/", log_handler(directory));
  out->server_ = TRY(http::Server::create(
      std::move(listener), {}, clock, out->metrics_,
      [&mounts = out->mounts_](http::ServerContext&) -> Result<std::unique_ptr<http::Service>> {
        return std::make_unique<http::MountsService>(mounts);
      }));
  return out;
}

}  // namespace domicile::audit
