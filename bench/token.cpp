// What believing a token costs: signature checks cold and warm, the cache, the context token.
#include <benchmark/benchmark.h>

#include "crypto/random.h"
#include "token/context_token.h"
#include "token/token_cache.h"
#include "token/token_signer.h"
#include "token/token_verifier.h"

using namespace domicile;

namespace {

constexpr std::int64_t kNow = 1'767'225'600;

token::AccessClaims claims() {
  token::AccessClaims out{.issuer = "https://ca.example.com", .client_id = "web"};
  out.subject = domain::UserId("u_" + crypto::random_text(16));
  out.organization = domain::OrgKey("4711");
  out.region = domain::RegionId("ca-central-1");
  out.epoch = 3;
  out.roles = {domain::RoleName("instructor")};
  for (const char* p :
       {"courses:read", "courses:write", "reports:read", "lessons:read", "lessons:write"}) {
    out.permissions.emplace_back(p);
  }
  out.token_id = crypto::random_text(16);
  out.issued_at = kNow;
  out.expires_at = kNow + 900;
  return out;
}

void verify(benchmark::State& state, crypto::Algorithm algorithm) {
  const auto key = crypto::SigningKey::generate(algorithm).value();
  const token::TokenSigner signer("k", key);
  token::TokenVerifier verifier({}, {{"https://ca.example.com", domain::RegionId("ca-central-1"),
                                      token::KeySet::create({{"k", key.public_key()}}).value()}});
  const std::string text = signer.sign(claims()).value();
  for (auto _ : state) benchmark::DoNotOptimize(verifier.verify(text, kNow).value());
  state.counters["token_bytes"] = static_cast<double>(text.size());
}

// All but the signature: what parsing and claims cost.
void refuse_at_signature(benchmark::State& state) {
  const auto key = crypto::SigningKey::generate(crypto::Algorithm::es256).value();
  token::TokenVerifier verifier({},
                                {{"https://ca.example.com", domain::RegionId("ca-central-1"),
                                  token::KeySet::create({{"other", key.public_key()}}).value()}});
  const std::string text = token::TokenSigner("k", key).sign(claims()).value();
  for (auto _ : state) benchmark::DoNotOptimize(verifier.verify(text, kNow).has_value());
}

void cache_hit(benchmark::State& state) {
  token::TokenCache cache({.capacity = 32768});
  std::vector<std::string> tokens;
  const token::TokenSigner signer("k",
                                  crypto::SigningKey::generate(crypto::Algorithm::eddsa).value());
  for (int i = 0; i < state.range(0); ++i) {
    tokens.push_back(signer.sign(claims()).value());
    auto principal = std::make_shared<domain::Principal>();
    principal->expires_at = kNow + 900;
    cache.put(tokens.back(), std::move(principal), kNow);
  }
  std::size_t at = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(cache.find(tokens[at], kNow));
    at = (at + 1) % tokens.size();
  }
  state.counters["hit_rate"] = static_cast<double>(cache.stats().hits) /
                               static_cast<double>(cache.stats().hits + cache.stats().misses);
}

void context(benchmark::State& state) {
  auto signer =
      token::ContextSigner::create({"k1", crypto::random_secret(32)}, "0123456789abcdef").value();
  const domain::OrgKey organization("4711");
  std::string out;
  for (auto _ : state) {
    out.clear();
    signer.sign_to(out, organization, 3, kNow);
    benchmark::DoNotOptimize(out.data());
  }
}

void sign(benchmark::State& state, crypto::Algorithm algorithm) {
  const token::TokenSigner signer("k", crypto::SigningKey::generate(algorithm).value());
  const auto content = claims();
  for (auto _ : state) benchmark::DoNotOptimize(signer.sign(content).value());
}

}  // namespace

BENCHMARK_CAPTURE(verify, RS256, crypto::Algorithm::rs256);
BENCHMARK_CAPTURE(verify, PS256, crypto::Algorithm::ps256);
BENCHMARK_CAPTURE(verify, ES256, crypto::Algorithm::es256);
BENCHMARK_CAPTURE(verify, ES384, crypto::Algorithm::es384);
BENCHMARK_CAPTURE(verify, EdDSA, crypto::Algorithm::eddsa);
BENCHMARK(refuse_at_signature);
BENCHMARK(cache_hit)->Arg(1)->Arg(10000);
BENCHMARK(context);
BENCHMARK_CAPTURE(sign, ES256, crypto::Algorithm::es256);
BENCHMARK_CAPTURE(sign, EdDSA, crypto::Algorithm::eddsa);

BENCHMARK_MAIN();
