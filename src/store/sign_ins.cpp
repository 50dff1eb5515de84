#include "store/sign_ins.h"

#include "base/encoding.h"
#include "crypto/sha256.h"

namespace domicile::store {

std::string session_id(std::string_view hash) {
  const auto digest = crypto::Sha256().update("domicile session id\n").update(hash).finish();
  return to_base64url(crypto::view(digest).substr(0, 16));
}

std::string sign_in_id(const RefreshFamily& family) {
  return family.session.empty() ? family.id : session_id(family.session) + '.' + family.id;
}

}  // namespace domicile::store
