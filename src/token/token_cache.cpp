#include "token/token_cache.h"

#include <algorithm>
#include <bit>

#include <xxhash.h>

#include "token/claims.h"

namespace domicile::token {

TokenCache::TokenCache(Options options) : options_(options) {
  const std::size_t wanted = std::bit_ceil(std::max(options.capacity, kWays));
  entries_.resize(wanted);
  mask_ = wanted / kWays - 1;
}

TokenCache::Entry* TokenCache::bucket(std::uint64_t hash) {
  return &entries_[(hash & mask_) * kWays];
}

void TokenCache::drop(Entry& entry) {
  entry = Entry{};
  --size_;
}

const std::shared_ptr<const domain::Principal>* TokenCache::find(std::string_view token,
                                                                 std::int64_t now_s) {
  const std::uint64_t hash = XXH3_64bits(token.data(), token.size());
  Entry* entry = bucket(hash);
  for (Entry* end = entry + kWays; entry != end; ++entry) {
    if (entry->hash != hash || entry->principal == nullptr || entry->token != token) continue;
    if (expired(entry->expires_at, now_s, options_.skew_s)) {
      drop(*entry);
      break;
    }
    entry->used = ++tick_;
    ++stats_.hits;
    return &entry->principal;
  }
  ++stats_.misses;
  return nullptr;
}

void TokenCache::put(std::string_view token, std::shared_ptr<const domain::Principal> principal,
                     std::int64_t now_s) {
  if (token.size() > options_.token_bytes_max ||
      expired(principal->expires_at, now_s, options_.skew_s))
    return;
  const std::uint64_t hash = XXH3_64bits(token.data(), token.size());
  Entry* const first = bucket(hash);
  Entry* place = first;
  for (Entry* entry = first; entry != first + kWays; ++entry) {
    if (entry->principal != nullptr && entry->hash == hash && entry->token == token) {
      place = entry;  // verified twice at once: the newer one stands
      break;
    }
    // Free, or dead, or the longest unused; an entry is never given up for another bucket's need.
    const auto rank = [&](const Entry& e) {
      return e.principal == nullptr || expired(e.expires_at, now_s, options_.skew_s) ? 0 : e.used;
    };
    if (rank(*entry) < rank(*place)) place = entry;
  }
  if (place->principal == nullptr) {
    ++size_;
  } else if (!expired(place->expires_at, now_s, options_.skew_s) && place->token != token) {
    ++stats_.evictions;
  }
  place->hash = hash;
  place->expires_at = principal->expires_at;
  place->used = ++tick_;
  place->token.assign(token);
  place->principal = std::move(principal);
}

void TokenCache::forget_issuer(std::string_view issuer) {
  for (Entry& entry : entries_) {
    if (entry.principal != nullptr && entry.principal->issuer == issuer) drop(entry);
  }
}

void TokenCache::clear() {
  for (Entry& entry : entries_) {
    if (entry.principal != nullptr) drop(entry);
  }
}

}  // namespace domicile::token
