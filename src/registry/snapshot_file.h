// The registry snapshot on a node's disk, so that a node that starts while the registry is away
// serves the organizations it knew. The file is believed whole or not at all.
//
// Format: "DOMREGS1", version u32 = 1, zero u32, length of the body u64, XXH3-128 of the body (16
// bytes, canonical order); then the body, RegistrySnapshot::encode(). Little-endian. Written to a
// temporary file, flushed and renamed: after a crash the file is the former one or the new one.
//
// The checksum finds damage, not forgery: whoever can write the state directory can also replace
// the program. The file holds no secret, but says who is homed where: mode 0600.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "domain/registry_snapshot.h"

namespace domicile::registry {

std::string encode_snapshot_file(const domain::RegistrySnapshot& snapshot);
// Code::invalid says what is wrong: not such a file, another version, cut off, damaged.
Result<std::shared_ptr<const domain::RegistrySnapshot>> decode_snapshot_file(
    std::string_view bytes);

Result<void> save_snapshot(const std::filesystem::path& path,
                           const domain::RegistrySnapshot& snapshot);
// Code::not_found when there is none.
Result<std::shared_ptr<const domain::RegistrySnapshot>> load_snapshot(
    const std::filesystem::path& path);

}  // namespace domicile::registry
