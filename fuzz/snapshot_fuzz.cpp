// Any bytes as a snapshot: an error, or a snapshot that finds every organization it lists and encodes
// to the very same bytes. The file's checksum is left out, so that the fuzzer gets past it.
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "domain/registry_snapshot.h"
#include "registry/snapshot_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace domicile;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  (void)registry::decode_snapshot_file(bytes);
  const auto snapshot = domain::RegistrySnapshot::decode(bytes);
  if (!snapshot) return 0;
  std::size_t count = 0;
  (*snapshot)->for_each(
      [&](const domain::OrganizationView& o, std::span<const domain::DomainHash> domains) {
        ++count;
        CHECK((*snapshot)->find(o.key)->slug == o.slug);
        CHECK((*snapshot)->find_slug(o.slug)->key == o.key);
        for (const auto& domain : domains) CHECK((*snapshot)->find_domain(domain)->key == o.key);
      });
  CHECK(count == (*snapshot)->size());
  CHECK((*snapshot)->encode() == bytes);
  return 0;
}
