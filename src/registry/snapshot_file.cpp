#include "registry/snapshot_file.h"

#include <cstring>

#include <fmt/format.h>
#include <xxhash.h>

#include "base/file.h"

namespace domicile::registry {
namespace {

constexpr std::string_view kMagic = "DOMREGS1";
constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kHeadBytes = 40;
constexpr std::size_t kFileBytesMax = std::size_t{32} << 30;

std::string checksum(std::string_view body) {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, XXH3_128bits(body.data(), body.size()));
  return {reinterpret_cast<const char*>(canonical.digest), sizeof canonical.digest};
}

template <typename T>
void put(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

template <typename T>
T get(std::string_view bytes, std::size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

}  // namespace

std::string encode_snapshot_file(const domain::RegistrySnapshot& snapshot) {
  const std::string body = snapshot.encode();
  std::string out;
  out.reserve(kHeadBytes + body.size());
  out += kMagic;
  put(out, kVersion);
  put(out, std::uint32_t{0});
  put(out, std::uint64_t{body.size()});
  out += checksum(body);
  out += body;
  return out;
}

Result<std::shared_ptr<const domain::RegistrySnapshot>> decode_snapshot_file(
    std::string_view bytes) {
  if (bytes.size() < kHeadBytes || !bytes.starts_with(kMagic)) {
    return fail(Code::invalid, "this is no registry snapshot, or it is cut off");
  }
  if (const auto version = get<std::uint32_t>(bytes, 8);
      version != kVersion || get<std::uint32_t>(bytes, 12) != 0) {
    return fail(Code::invalid, fmt::format("registry snapshot of format {}; this program reads {}",
                                           version, kVersion));
  }
  const std::string_view body = bytes.substr(kHeadBytes);
  if (get<std::uint64_t>(bytes, 16) != body.size())
    return fail(Code::invalid, "registry snapshot is cut off");
  if (checksum(body) != bytes.substr(24, 16))
    return fail(Code::invalid, "registry snapshot is damaged");
  return domain::RegistrySnapshot::decode(body);
}

Result<void> save_snapshot(const std::filesystem::path& path,
                           const domain::RegistrySnapshot& snapshot) {
  return write_file_atomic(path, encode_snapshot_file(snapshot), 0600);
}

Result<std::shared_ptr<const domain::RegistrySnapshot>> load_snapshot(
    const std::filesystem::path& path) {
  const std::string bytes = TRY(read_file(path, kFileBytesMax));
  auto snapshot = decode_snapshot_file(bytes);
  if (!snapshot) return std::unexpected(std::move(snapshot).error().within(path.string()));
  return snapshot;
}

}  // namespace domicile::registry
