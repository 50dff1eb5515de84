#include "issuer/revocation_list.h"

namespace domicile::issuer {

RevocationList::RevocationList(store::SignIns& sign_ins, const Clock& clock)
    : sign_ins_(sign_ins),
      clock_(clock),
      current_(std::make_shared<const token::RevocationSet>()) {}

RevocationList::Set RevocationList::current() const {
  const std::lock_guard lock(mutex_);
  return current_;
}

Result<void> RevocationList::refresh() {
  const std::lock_guard one_at_a_time(refreshing_);
  auto fresh = std::make_shared<token::RevocationSet>();
  for (auto& each : TRY(sign_ins_.revocations(clock_.unix_seconds()))) {
    switch (each.kind) {
      case store::Revocation::Kind::token: fresh->add_token(std::move(each.subject)); break;
      case store::Revocation::Kind::session: fresh->add_session(std::move(each.subject)); break;
      case store::Revocation::Kind::grant: fresh->add_grant(std::move(each.subject)); break;
      case store::Revocation::Kind::user:
        fresh->add_user(std::move(each.subject), each.issued_before);
        break;
      case store::Revocation::Kind::organization:
        fresh->add_organization(std::move(each.subject), each.issued_before);
        break;
    }
  }
  if (*fresh == *current()) return {};
  {
    const std::lock_guard lock(mutex_);
    current_ = fresh;
  }
  if (changed_) changed_(std::move(fresh));
  return {};
}

}  // namespace domicile::issuer
