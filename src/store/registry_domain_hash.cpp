#include "store/registry_domain_hash.h"

#include <algorithm>
#include <string>

#include "crypto/hmac.h"

namespace domicile::store {
namespace {

constexpr std::size_t kPepperBytesMin = 32;

bool is_label(std::string_view text) {
  return !text.empty() && text.size() <= 63 && text.front() != '-' && text.back() != '-' &&
         std::ranges::all_of(text, [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
         });
}

bool is_domain(std::string_view text) {
  std::size_t labels = 0;
  if (text.size() > 253) return false;
  for (;; ++labels) {
    const auto dot = text.find('.');
    if (!is_label(text.substr(0, dot))) return false;
    if (dot == std::string_view::npos) return labels >= 1;
    text.remove_prefix(dot + 1);
  }
}

// The prefix keeps the two uses of the pepper apart.
Result<domain::DomainHash> keyed(const Secret& pepper, const std::string& message) {
  if (pepper.reveal().size() < kPepperBytesMin) {
    return fail(Code::invalid,
                "the registry's pepper must have 32 bytes or more; make one: openssl rand -hex 32");
  }
  const auto mac = crypto::HmacSha256(pepper).mac(message);
  domain::DomainHash hash{};
  static_assert(std::tuple_size_v<domain::DomainHash> == std::tuple_size_v<crypto::Digest256>);
  std::ranges::copy(mac, hash.begin());
  return hash;
}

}  // namespace

Result<domain::DomainHash> registry_domain_hash(const Secret& pepper, std::string_view domain) {
  std::string canonical(domain);
  std::ranges::transform(canonical, canonical.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  if (canonical.ends_with('.')) canonical.pop_back();
  if (!is_domain(canonical)) {
    return fail(Code::invalid,
                "not an e-mail domain: write it like example.org, international names as xn--");
  }
  return keyed(pepper, "domicile domain " + canonical);
}

Result<domain::DomainHash> registry_pepper_fingerprint(const Secret& pepper) {
  return keyed(pepper, "domicile pepper fingerprint");
}

}  // namespace domicile::store
