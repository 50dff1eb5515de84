#include "audit/log_keys.h"

#include <algorithm>
#include <sstream>

#include <fmt/format.h>

#include "base/file.h"

namespace domicile::audit {
namespace {

using crypto::Algorithm;
using crypto::SigningKey;

std::filesystem::path private_file(const std::filesystem::path& folder, std::uint32_t id) {
  return folder / fmt::format("log-{:08x}.pem", id);
}

Result<void> make_folder(const std::filesystem::path& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (!error && std::filesystem::is_empty(folder, error) && !error) {
    std::filesystem::permissions(folder, std::filesystem::perms::owner_all, error);
  }
  if (!error) return {};
  return fail(Code::unavailable,
              fmt::format("cannot make the key folder {}: {}", folder.string(), error.message()));
}

Result<tlog::NoteSigner> load(const std::filesystem::path& folder, const std::string& id,
                              const std::string& origin) {
  const auto file = folder / fmt::format("log-{}.pem", id);
  const Secret pem = TRY(read_secret_file(file));
  auto key = SigningKey::from_pem(Algorithm::eddsa, pem);
  if (!key) return std::unexpected(std::move(key.error()).within(file.string()));
  auto signer = tlog::NoteSigner::create(origin, std::move(*key));
  if (!signer) return std::unexpected(std::move(signer.error()).within(file.string()));
  if (fmt::format("{:08x}", signer->key().id()) != id) {
    return fail(Code::invalid,
                fmt::format("{} is not key {} of the log {}: was audit.origin changed? A log keeps "
                            "its name for ever; a new name is a new log, with a new folder",
                            file.string(), id, origin),
                "log_key_mismatch");
  }
  return signer;
}

}  // namespace

Result<LogKeys> LogKeys::open(const std::filesystem::path& folder, const std::string& origin) {
  TRY(make_folder(folder));
  LogKeys keys(origin);
  if (!std::filesystem::exists(folder / "current")) {
    TRY(keys.add_new_key(folder));
    return keys;
  }
  std::istringstream ids(TRY(read_file(folder / "current")));
  for (std::string id; ids >> id;) keys.signers_.push_back(TRY(load(folder, id, origin)));
  if (keys.signers_.empty()) {
    return fail(Code::invalid, fmt::format("{} names no key: restore it, or write the id of a "
                                           "log-*.pem beside it",
                                           (folder / "current").string()));
  }
  auto verifiers = tlog::parse_key_list(TRY(read_file(folder / "verifier-keys")));
  if (!verifiers) {
    return std::unexpected(
        std::move(verifiers.error()).within((folder / "verifier-keys").string()));
  }
  keys.verifiers_ = std::move(*verifiers);
  return keys;
}

Result<LogKeys> LogKeys::in_memory(const std::string& origin) {
  LogKeys keys(origin);
  auto signer = TRY(tlog::NoteSigner::create(origin, TRY(SigningKey::generate(Algorithm::eddsa))));
  keys.verifiers_.push_back(signer.key());
  keys.signers_.push_back(std::move(signer));
  return keys;
}

std::string LogKeys::verifier_text() const {
  std::string text;
  for (const auto& key : verifiers_) text += key.text() + '\n';
  return text;
}

// The private key first, the verifier's list next, and only then is the key current.
Result<void> LogKeys::add_new_key(const std::filesystem::path& folder) {
  auto key = TRY(SigningKey::generate(Algorithm::eddsa));
  const Secret pem = key.to_pem();
  auto signer = TRY(tlog::NoteSigner::create(origin_, std::move(key)));
  TRY(write_file_atomic(private_file(folder, signer.key().id()), pem.reveal(), 0600));
  verifiers_.push_back(signer.key());
  signers_.insert(signers_.begin(), std::move(signer));
  return write_lists(folder);
}

Result<void> LogKeys::write_lists(const std::filesystem::path& folder) const {
  TRY(write_file_atomic(folder / "verifier-keys", verifier_text()));
  std::string ids;
  for (const auto& signer : signers_) ids += fmt::format("{:08x}\n", signer.key().id());
  return write_file_atomic(folder / "current", ids);
}

Result<LogKeys> LogKeys::rotate(const std::filesystem::path& folder, const std::string& origin) {
  LogKeys keys = TRY(open(folder, origin));
  TRY(keys.add_new_key(folder));
  return keys;
}

Result<LogKeys> LogKeys::retire(const std::filesystem::path& folder, const std::string& origin) {
  LogKeys keys = TRY(open(folder, origin));
  std::vector<std::uint32_t> retired;
  for (std::size_t i = 1; i < keys.signers_.size(); ++i) {
    retired.push_back(keys.signers_[i].key().id());
  }
  keys.signers_.erase(keys.signers_.begin() + 1, keys.signers_.end());
  TRY(keys.write_lists(folder));
  for (const std::uint32_t id : retired) {
    std::error_code error;
    std::filesystem::remove(private_file(folder, id), error);
    if (error) {
      return fail(Code::unavailable,
                  fmt::format("cannot remove {}: {}; remove it by hand",
                              private_file(folder, id).string(), error.message()));
    }
  }
  return keys;
}

}  // namespace domicile::audit
