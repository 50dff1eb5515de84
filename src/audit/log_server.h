// The published log over HTTP, read-only, as C2SP tlog-tiles lays it out: /checkpoint, /tile/...,
// and beside them /checkpoint.witnessed and /verifier-keys. On a listener of its own, because
// entries do not leave their region: it listens on loopback, or asks for a client certificate. What
// is not the log's (keys, personal files, the write-ahead log) cannot be named by any path.
//
// One thread at a time; destruction stops it.
#pragma once

#include <filesystem>
#include <memory>

#include "base/clock.h"
#include "base/result.h"
#include "http/message.h"
#include "http/metrics.h"
#include "http/mounts.h"
#include "http/server.h"
#include "runtime/worker_pool.h"

namespace domicile::audit {

// GET and HEAD. Bodies are at most a bundle: 16 MiB.
http::Handler log_handler(std::filesystem::path directory);

class LogServer {
 public:
  static Result<std::unique_ptr<LogServer>> create(http::ListenerOptions listener,
                                                   const std::filesystem::path& directory,
                                                   const Clock& clock);
  ~LogServer();

  Result<void> start() { return server_->start(); }
  std::uint16_t port() const { return server_->port(); }

 private:
  LogServer();

  runtime::WorkerPool pool_;
  http::Mounts mounts_;
  http::Metrics metrics_;
  std::unique_ptr<http::Server> server_;
};

}  // namespace domicile::audit
