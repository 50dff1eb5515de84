// The region's revoked access tokens, as this node knows them: read from the directory again and
// again (refresh(), twice a second by the issuer), so that a token called back at one node is
// refused by all of them within a second. While the directory cannot be read the last list stays.
// Thread-safe.
#pragma once

#include <functional>
#include <memory>
#include <mutex>

#include "base/clock.h"
#include "base/result.h"
#include "store/sign_ins.h"
#include "token/revocation_set.h"

namespace domicile::issuer {

class RevocationList {
 public:
  using Set = std::shared_ptr<const token::RevocationSet>;
  using Changed = std::function<void(Set)>;

  RevocationList(store::SignIns& sign_ins, const Clock& clock);

  // `changed` runs in refresh() when the list is not that of before. Set before the first refresh.
  void on_change(Changed changed) { changed_ = std::move(changed); }
  Result<void> refresh();
  Set current() const;

 private:
  store::SignIns& sign_ins_;
  const Clock& clock_;
  Changed changed_;
  std::mutex refreshing_;
  mutable std::mutex mutex_;
  Set current_;
};

}  // namespace domicile::issuer
