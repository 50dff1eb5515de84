// Handlers under prefixes, run on worker threads with the whole request in memory (up to a limit)
// and answered on the loop again. For what is not the hot path: issuer, registry, administration,
// health.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "http/exchange.h"
#include "http/message.h"
#include "runtime/worker_pool.h"

namespace domicile::http {

class Mounts {
 public:
  // To end: destroy the server (its connections let go of calls), stop the pool, then the mounts.
  Mounts(runtime::WorkerPool& pool, std::size_t body_bytes_max);

  // A prefix that ends in '/' covers everything below it; another one names exactly one path.
  void add(std::string prefix, Handler handler);
  // The longest match; null: none. Immutable once serving, so any loop may ask.
  const Handler* find(std::string_view path) const;

  // Collects the body and runs the handler; answers 413, 503 or 500 by itself.
  Responder* begin(const Handler& handler, Exchange& exchange, const wire::RequestHead& head,
                   const wire::CleanPath& path) const;

 private:
  runtime::WorkerPool& pool_;
  std::size_t body_bytes_max_;
  std::vector<std::pair<std::string, Handler>> entries_;  // longest prefix first
};

// A Service of mounts alone: everything else is 404.
class MountsService final : public Service {
 public:
  explicit MountsService(const Mounts& mounts) : mounts_(mounts) {}
  Responder* begin(Exchange& exchange, const wire::RequestHead& head,
                   const wire::CleanPath& path) override;

 private:
  const Mounts& mounts_;
};

}  // namespace domicile::http
