#include "reference/applier.h"

#include "reference/applier_worker.h"

namespace domicile::reference {

Applier::Applier(ApplierOptions options, domain::EventSink& events, const Clock& clock)
    : worker_(std::make_unique<Worker>(std::move(options), events, clock)) {}
Applier::~Applier() { stop(); }
void Applier::start() { worker_->start(); }
void Applier::stop() { worker_->stop(); }
ApplierStatus Applier::status() const { return worker_->status(); }

Result<void> Applier::at_point(const std::function<Result<wire::Lsn>()>& choose,
                               const std::function<Result<void>()>& body,
                               std::chrono::milliseconds at_most) {
  return worker_->at_point(choose, body, at_most);
}

Result<HeldSnapshot> Applier::at_point(const std::function<Result<wire::Lsn>()>& choose,
                                       std::chrono::milliseconds at_most) {
  HeldSnapshot held;
  TRY(worker_->at_point(
      choose,
      [&]() -> Result<void> {
        held.holder = std::make_unique<pg::Connection>(TRY(pg::Connection::open(worker_->dsn())));
        TRY(held.holder->script("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"));
        const auto rows = TRY(held.holder->query("SELECT pg_catalog.pg_export_snapshot()"));
        held.name = rows.text(0, 0);
        return {};
      },
      at_most));
  return held;
}

}  // namespace domicile::reference
