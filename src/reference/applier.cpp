#include "reference/applier.h"

#include "reference/applier_worker.h"

namespace domicile::reference {

Applier::Applier(ApplierOptions options, domain::EventSink& events, const Clock& clock)
    : worker_(std::make_unique<Worker>(std::move(options), events, clock)) {}
Applier::~Applier() { stop(); }
void Applier::start() { worker_->start(); }
void Applier::stop() { worker_->stop(); }
ApplierStatus Applier::status() const { return worker_->status(); }

}  // namespace domicile::reference
