// Any bytes as a context token: parsed as itself or refused, and never believed without its MAC.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include "token/context_token.h"

using namespace domicile;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const token::ContextKey key{"k1", Secret(std::string(32, 'k'))};
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (token::verify_context(text, key, "ab", 1767225600)) std::abort();
  const auto context = token::parse_context(text);
  if (!context) return 0;
  const std::string again =
      fmt::format("dc1~{}~{}~{}~{}~{}~{}", context->kid, context->organization.text(),
                  context->epoch, context->database_id, context->expires_at, context->nonce);
  if (text.substr(0, text.rfind('~')) != again) std::abort();
  return 0;
}
