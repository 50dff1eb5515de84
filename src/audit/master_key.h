// The node's master key: 32 random bytes in a file of their own, as 64 hex digits, which others may
// not read. It wraps the keys of organizations (personal_keys.h), and nothing else depends on it.
//
// Replacing it takes two files that cannot change together: the new key is written beside the old
// one (`<file>.next`), the file of keys is renamed into place, then the new key is. load() finds
// which of the two the file of keys was made under, whatever a crash left.
#pragma once

#include <filesystem>

#include "audit/key_file.h"
#include "base/result.h"
#include "crypto/sealed.h"

namespace domicile::audit {

struct MasterKey {
  Secret bytes;
  crypto::SealingKey key;
  KeyFile::MasterId id{};  // tells which key it is, and nothing of the key

  static Result<MasterKey> make();
  // `key_file`: the file of keys that it must open. Made only where neither exists: a new master key
  // beside old keys would open nothing.
  static Result<MasterKey> load_or_make(const std::filesystem::path& file,
                                        const std::filesystem::path& key_file);
  static Result<MasterKey> load(const std::filesystem::path& file,
                                const std::filesystem::path& key_file);

  Result<void> write_beside(const std::filesystem::path& file) const;
  static Result<void> promote(const std::filesystem::path& file);
};

}  // namespace domicile::audit
