#include "token/context_token.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <iterator>

#include <fmt/format.h>

#include "base/encoding.h"
#include "crypto/random.h"

namespace domicile::token {
namespace {

constexpr std::size_t kKeyBytes = 32;
constexpr std::size_t kNonceBytes = 8;
constexpr std::size_t kNoncesPerDraw = 512;

bool all_of(std::string_view text, std::string_view alphabet) {
  return text.find_first_not_of(alphabet) == std::string_view::npos;
}
constexpr std::string_view kHexDigits = "0123456789abcdef";

bool is_kid(std::string_view text) {
  return !text.empty() && text.size() <= 16 && all_of(text, "abcdefghijklmnopqrstuvwxyz0123456789");
}
bool is_database_id(std::string_view text) {
  return !text.empty() && text.size() <= 64 && all_of(text, kHexDigits);
}

// Decimal without sign or leading zeros.
template <typename Number>
bool parse_number(std::string_view text, Number& out) {
  if (text.empty() || (text.size() > 1 && text.front() == '0') || !all_of(text, "0123456789"))
    return false;
  const auto [end, error] = std::from_chars(text.begin(), text.end(), out);
  return error == std::errc{} && end == text.end();
}

std::unexpected<Error> malformed() {
  return fail(Code::unauthenticated, "not a context token", "context_malformed");
}

}  // namespace

Result<ContextSigner> ContextSigner::create(const ContextKey& key, std::string database_id,
                                            std::int64_t lifetime_s) {
  if (!is_kid(key.kid)) return fail(Code::invalid, "a context key's kid is 1 to 16 of a-z 0-9");
  if (key.key.reveal().size() != kKeyBytes)
    return fail(Code::invalid, "a context key has 32 bytes");
  if (!is_database_id(database_id)) return fail(Code::invalid, "a database id is lower-case hex");
  if (lifetime_s < 1 || lifetime_s > kLifetimeMaxS) {
    return fail(Code::invalid, "a context lives 1 to 60 seconds");
  }
  return ContextSigner(key.kid, std::move(database_id), lifetime_s, crypto::HmacSha256(key.key));
}

ContextSigner::ContextSigner(std::string kid, std::string database_id, std::int64_t lifetime_s,
                             crypto::HmacSha256 hmac)
    : prefix_("dc1~" + kid + '~'),
      database_id_(std::move(database_id)),
      lifetime_s_(lifetime_s),
      hmac_(std::move(hmac)),
      recent_(kRecent) {}

void ContextSigner::next_nonce(std::string& out) {
  if (random_.empty()) random_ = crypto::random_bytes(kNonceBytes * kNoncesPerDraw);
  const std::size_t at = random_.size() - kNonceBytes;
  out += to_hex(std::string_view(random_).substr(at));
  random_.resize(at);
}

void ContextSigner::sign_to(std::string& out, std::string_view organization, domain::Epoch epoch,
                            std::int64_t now_s) {
  const std::size_t start = out.size();
  fmt::format_to(std::back_inserter(out), "{}{}~{}~{}~{}~", prefix_, organization, epoch,
                 database_id_, now_s + lifetime_s_);
  next_nonce(out);
  const auto mac = hmac_.mac(std::string_view(out).substr(start));
  out.push_back('~');
  out += to_hex(crypto::view(mac));
}

std::string ContextSigner::sign(const domain::OrgKey& organization, domain::Epoch epoch,
                                std::int64_t now_s) {
  std::string out;
  out.reserve(224);
  sign_to(out, organization.view(), epoch, now_s);
  return out;
}

void ContextSigner::give_to(std::string& out, std::string_view organization, domain::Epoch epoch,
                            std::int64_t now_s) {
  Recent& recent = recent_[std::hash<std::string_view>{}(organization) % kRecent];
  const std::int64_t age = now_s - recent.signed_at;
  const bool fresh = age >= 0 && age < std::min(kReuseS, lifetime_s_);
  if (recent.text.empty() || !fresh || recent.epoch != epoch ||
      recent.organization != organization) {
    recent.organization = organization;
    recent.epoch = epoch;
    recent.signed_at = now_s;
    recent.text.clear();
    sign_to(recent.text, organization, epoch, now_s);
  }
  out += recent.text;
}

Result<Context> parse_context(std::string_view text) {
  constexpr std::size_t kBytesMax = 320;
  if (text.size() > kBytesMax) return malformed();
  std::array<std::string_view, 8> part;
  for (std::size_t i = 0; i < part.size(); ++i) {
    const auto end = i + 1 < part.size() ? text.find('~') : text.size();
    if (end == std::string_view::npos) return malformed();
    part[i] = text.substr(0, end);
    text.remove_prefix(std::min(text.size(), end + 1));
  }
  Context context;
  const auto organization = domain::parse_org_key(part[2]);
  if (part[0] != "dc1" || !is_kid(part[1]) || !organization ||
      !parse_number(part[3], context.epoch) || !is_database_id(part[4]) ||
      !parse_number(part[5], context.expires_at) || part[6].size() != 16 ||
      !all_of(part[6], kHexDigits) || part[7].size() != 64 || !all_of(part[7], kHexDigits)) {
    return malformed();
  }
  context.kid = part[1];
  context.organization = *organization;
  context.database_id = part[4];
  context.nonce = part[6];
  return context;
}

Result<Context> verify_context(std::string_view text, const ContextKey& key,
                               std::string_view database_id, std::int64_t now_s) {
  Context context = TRY(parse_context(text));
  const auto refuse = [](std::string_view reason) {
    return fail(Code::unauthenticated, "the context token is refused", std::string(reason));
  };
  const auto mac_at = text.rfind('~');
  const auto mac = from_hex(text.substr(mac_at + 1));
  if (context.kid != key.kid) return refuse("context_key");
  if (!mac || !crypto::HmacSha256(key.key).verify(text.substr(0, mac_at), *mac))
    return refuse("context_mac");
  if (context.database_id != database_id) return refuse("context_database");
  if (context.expires_at <= now_s) return refuse("context_expired");
  if (context.expires_at > now_s + ContextSigner::kLifetimeMaxS) return refuse("context_expiry");
  return context;
}

}  // namespace domicile::token
