// The encoded snapshot: a head (registry id, revision, chain, regions), then the arena of records
// as it lies in memory, then the domain hashes. Integers are little-endian, texts are preceded by
// their length (u16), the head is padded with zeros to a multiple of 8. One registry state has one
// encoding.
#include <algorithm>

#include <fmt/format.h>

#include "domain/registry_parts.h"

namespace domicile::domain {
namespace {

template <typename T>
void put(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

void put_text(std::string& out, std::string_view text) {
  put(out, static_cast<std::uint16_t>(text.size()));
  out += text;
}

// Takes values off the front; `ok` turns false at the first that is not there.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : all_(bytes), left_(bytes) {}

  template <typename T>
  T number() {
    T value{};
    const std::string_view raw = bytes(sizeof(T));
    if (ok_) std::memcpy(&value, raw.data(), sizeof(T));
    return value;
  }
  std::string_view bytes(std::uint64_t count) {
    if (!ok_ || count > left_.size()) {
      ok_ = false;
      return {};
    }
    const auto taken = left_.substr(0, static_cast<std::size_t>(count));
    left_.remove_prefix(taken.size());
    return taken;
  }
  std::string_view text() { return bytes(number<std::uint16_t>()); }
  void align() {
    while (ok_ && (all_.size() - left_.size()) % RegistryLayer::kUnit != 0) {
      const bool zero = number<char>() == 0;
      ok_ = ok_ && zero;  // number() clears ok_ at the end of the bytes
    }
  }
  bool ok() const { return ok_; }
  bool done() const { return ok_ && left_.empty(); }

 private:
  std::string_view all_;
  std::string_view left_;
  bool ok_ = true;
};

Result<Region> read_region(Reader& in) {
  Region region;
  region.id = TRY(parse_region_id(in.text()));
  region.jurisdiction = TRY(parse_jurisdiction_id(in.text()));
  region.url = in.text();
  const auto master = in.number<std::uint8_t>();
  if (master > 1) return fail(Code::invalid, "malformed region");
  region.master = master == 1;
  const auto locations = in.number<std::uint16_t>();
  for (std::uint16_t i = 0; i < locations && in.ok(); ++i) {
    region.locations.push_back(TRY(parse_location_id(in.text())));
  }
  if (!in.ok()) return fail(Code::invalid, "cut off");
  return region;
}

}  // namespace

std::string RegistrySnapshot::encode() const {
  if (parts_->recent.records() != 0) {
    // One layer, one encoding: the order of the records is that of folding.
    auto whole = std::make_unique<Parts>();
    whole->registry_id = parts_->registry_id;
    whole->revision = parts_->revision;
    whole->chain = parts_->chain;
    whole->regions = parts_->regions;
    whole->base = std::make_shared<RegistryLayer>(parts_->folded());
    return RegistrySnapshot(std::move(whole)).encode();
  }
  const RegistryLayer& layer = *parts_->base;
  std::string out;
  out.reserve(4096 + layer.arena().size() + layer.domains().size() * sizeof(DomainHash));
  put_text(out, parts_->registry_id);
  put(out, parts_->revision);
  out.append(reinterpret_cast<const char*>(parts_->chain.data()), parts_->chain.size());
  put(out, static_cast<std::uint16_t>(parts_->regions.size()));
  for (const Region& region : parts_->regions) {
    put_text(out, region.id.view());
    put_text(out, region.jurisdiction.view());
    put_text(out, region.url);
    put(out, static_cast<std::uint8_t>(region.master));
    put(out, static_cast<std::uint16_t>(region.locations.size()));
    for (const LocationId& location : region.locations) put_text(out, location.view());
  }
  put(out, static_cast<std::uint64_t>(layer.size()));
  put(out, static_cast<std::uint64_t>(layer.arena().size()));
  put(out, static_cast<std::uint64_t>(layer.domains().size()));
  out.resize((out.size() + RegistryLayer::kUnit - 1) / RegistryLayer::kUnit * RegistryLayer::kUnit);
  out += layer.arena();
  for (const DomainHash& domain : layer.domains()) out += view_of(domain);
  return out;
}

Result<std::shared_ptr<const RegistrySnapshot>> RegistrySnapshot::decode(std::string_view bytes) {
  Reader in(bytes);
  auto parts = std::make_unique<Parts>();
  parts->registry_id = in.text();
  parts->revision = in.number<std::uint64_t>();
  const std::string_view chain = in.bytes(parts->chain.size());
  if (in.ok()) std::memcpy(parts->chain.data(), chain.data(), chain.size());
  const auto regions = in.number<std::uint16_t>();
  for (std::uint16_t i = 0; i < regions && in.ok(); ++i) {
    Region region = TRY(read_region(in));
    if (!parts->regions.empty() && parts->regions.back().id >= region.id) {
      return fail(Code::invalid, "regions are not in order");
    }
    parts->regions.push_back(std::move(region));
  }
  const auto organizations = in.number<std::uint64_t>();
  const auto arena_bytes = in.number<std::uint64_t>();
  const auto domain_count = in.number<std::uint64_t>();
  in.align();
  const std::string_view arena = in.bytes(arena_bytes);
  if (domain_count > bytes.size() / sizeof(DomainHash)) return fail(Code::invalid, "cut off");
  const std::string_view domains = in.bytes(domain_count * sizeof(DomainHash));
  if (!in.done()) return fail(Code::invalid, "cut off, or bytes left over");
  if (regions > RegistryLayer::kMaxRegions) return fail(Code::invalid, "too many regions");
  std::vector<DomainHash> hashes(static_cast<std::size_t>(domain_count));
  if (!hashes.empty()) std::memcpy(hashes.data(), domains.data(), domains.size());
  parts->base = std::make_shared<RegistryLayer>(
      TRY(RegistryLayer::adopt(RegistryLayer::Bytes(arena.begin(), arena.end()), std::move(hashes),
                               static_cast<std::size_t>(organizations), parts->regions.size())));
  return std::shared_ptr<const RegistrySnapshot>(new RegistrySnapshot(std::move(parts)));
}

}  // namespace domicile::domain
