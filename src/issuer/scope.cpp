#include "issuer/scope.h"

#include <algorithm>
#include <array>

namespace domicile::issuer {
namespace {

constexpr std::size_t kWordsMax = 256;
constexpr std::array<std::string_view, 5> kWithoutEffect = {"profile", "email", "address", "phone",
                                                            "offline_access"};

}  // namespace

std::optional<Scope> parse_scope(std::string_view text) {
  Scope scope;
  if (text.empty()) return scope;
  for (std::size_t words = 1;; ++words) {
    const auto end = std::min(text.find(' '), text.size());
    const std::string_view word = text.substr(0, end);
    if (words > kWordsMax) return std::nullopt;
    if (word == "openid") {
      scope.openid = true;
    } else if (std::ranges::find(kWithoutEffect, word) == kWithoutEffect.end()) {
      auto permission = domain::parse_permission(word);
      if (!permission) return std::nullopt;
      scope.permissions.push_back(std::move(*permission));
    }
    if (end == text.size()) break;
    text.remove_prefix(end + 1);
  }
  std::ranges::sort(scope.permissions);
  scope.permissions.erase(std::ranges::unique(scope.permissions).begin(), scope.permissions.end());
  return scope;
}

}  // namespace domicile::issuer
