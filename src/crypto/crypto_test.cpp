#include <gtest/gtest.h>

#include "base/encoding.h"
#include "crypto/certificate.h"
#include "crypto/hmac.h"
#include "crypto/random.h"
#include "crypto/sealed.h"
#include "crypto/sha256.h"
#include "crypto/signing_key.h"
#include "crypto/verifying_key.h"

namespace domicile::crypto {
namespace {

constexpr Algorithm kAll[] = {Algorithm::rs256, Algorithm::rs384, Algorithm::rs512,
                              Algorithm::ps256, Algorithm::es256, Algorithm::es384,
                              Algorithm::eddsa};

TEST(Sha256, AgreesWithFips180AndStreams) {
  EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  Sha256 hash;
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(hash.update("a").update("").update("bc").finish(), sha256("abc"));
  }
  EXPECT_EQ(hash.finish(), sha256(""));
}

TEST(Hmac, AgreesWithRfc4231AndKeepsItsKeyBetweenMessages) {
  HmacSha256 hmac(Secret("Jefe"));
  const auto expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(to_hex(view(hmac.mac("what do ya want for nothing?"))), expected);
    (void)hmac.mac("something else");
  }
  HmacSha256 other = hmac.clone();
  EXPECT_TRUE(other.verify("what do ya want for nothing?", from_hex(expected).value()));
  EXPECT_FALSE(other.verify("what do ya want for nothing!", from_hex(expected).value()));
  EXPECT_FALSE(other.verify("what do ya want for nothing?", ""));
}

TEST(Keys, EveryAlgorithmSignsAndVerifiesThroughPemDerAndParameters) {
  for (Algorithm algorithm : kAll) {
    const auto key = SigningKey::generate(algorithm).value();
    const auto again =
        SigningKey::from_der(algorithm, SigningKey::from_pem(algorithm, key.to_pem())->to_der())
            .value();
    const std::string signature = again.sign("message").value();
    auto published = VerifyingKey::create(algorithm, key.public_key()->parameters()).value();
    Verifier verifier(VerifyingKey::from_pem(algorithm, published->to_pem()).value());
    for (int i = 0; i < 3; ++i) {  // the context survives its use, also after a failure
      EXPECT_TRUE(verifier.verify("message", signature)) << to_string(algorithm);
      EXPECT_FALSE(verifier.verify("massage", signature)) << to_string(algorithm);
    }
    for (std::size_t at = 0; at < signature.size(); at += 7) {
      std::string changed = signature;
      changed[at] = static_cast<char>(changed[at] ^ 1);
      EXPECT_FALSE(verifier.verify("message", changed)) << to_string(algorithm) << " byte " << at;
    }
    EXPECT_FALSE(verifier.verify("message", signature + '\0'));
    EXPECT_FALSE(verifier.verify("message", signature.substr(1)));
    EXPECT_FALSE(verifier.verify("message", ""));
  }
}

TEST(Keys, PsychicAndDerEcdsaSignaturesAreRefused) {
  const auto key = SigningKey::generate(Algorithm::es256).value();
  Verifier verifier(key.public_key());
  const std::string zero(64, '\0');
  const std::string order =
      from_hex("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551").value();
  EXPECT_FALSE(verifier.verify("m", zero));           // CVE-2022-21449
  EXPECT_FALSE(verifier.verify("m", order + order));  // r = s = n
  EXPECT_FALSE(verifier.verify("m", zero.substr(32) + order));
  EXPECT_FALSE(verifier.verify("m", std::string(64, '\xff')));
  EXPECT_FALSE(verifier.verify("m", from_hex("3006020101020101").value()));
}

TEST(Keys, OneThatDoesNotFitItsAlgorithmIsRefused) {
  const auto es256 = SigningKey::generate(Algorithm::es256).value();
  const auto es384 = SigningKey::generate(Algorithm::es384).value();
  EXPECT_FALSE(VerifyingKey::from_pem(Algorithm::rs256, es256.public_key()->to_pem()));
  EXPECT_FALSE(VerifyingKey::from_pem(Algorithm::eddsa, es256.public_key()->to_pem()));
  EXPECT_FALSE(VerifyingKey::from_pem(Algorithm::es256, es384.public_key()->to_pem()));
  EXPECT_FALSE(SigningKey::from_pem(Algorithm::es384, es256.to_pem()));
  PublicParameters off_curve = es256.public_key()->parameters();
  off_curve.y[31] = static_cast<char>(off_curve.y[31] ^ 1);
  EXPECT_FALSE(VerifyingKey::create(Algorithm::es256, off_curve));
  EXPECT_FALSE(VerifyingKey::create(Algorithm::es256, {}));
  EXPECT_FALSE(VerifyingKey::create(Algorithm::eddsa, {.x = std::string(31, 'x')}));
}

TEST(Keys, WeakRsaIsRefused) {
  const auto good = SigningKey::generate(Algorithm::rs256)->public_key()->parameters();
  const auto with = [&](std::string n, std::string e) {
    return VerifyingKey::create(Algorithm::rs256, {.n = std::move(n), .e = std::move(e)});
  };
  const std::string f4("\x01\x00\x01", 3);
  EXPECT_TRUE(with(good.n, f4));
  EXPECT_FALSE(with(good.n, "\x01"));
  EXPECT_FALSE(with(good.n, "\x03"));
  EXPECT_FALSE(with(good.n, std::string("\x01\x00\x00", 3)));
  EXPECT_FALSE(with(good.n, ""));
  EXPECT_FALSE(with(good.n.substr(128), f4));                  // 1,024 bits
  EXPECT_FALSE(with(std::string(2048, '\xab') + '\x01', f4));  // 16,392 bits
}

TEST(Sealed, OpensOnlyUnderItsKeyAndContext) {
  const auto key = SealingKey::create(random_secret(32)).value();
  const std::string sealed = key.seal(Secret("private"), "signing-key:a");
  EXPECT_EQ(key.open(sealed, "signing-key:a")->reveal(), "private");
  EXPECT_NE(sealed, key.seal(Secret("private"), "signing-key:a"));
  EXPECT_EQ(key.open(sealed, "signing-key:b").error().code, Code::denied);
  EXPECT_FALSE(SealingKey::create(random_secret(32))->open(sealed, "signing-key:a"));
  EXPECT_FALSE(SealingKey::create(random_secret(31)));
  for (std::size_t at = 0; at < sealed.size(); ++at) {
    std::string changed = sealed;
    changed[at] = static_cast<char>(changed[at] ^ 0x80);
    EXPECT_FALSE(key.open(changed, "signing-key:a")) << at;
  }
  EXPECT_FALSE(key.open("", ""));
}

TEST(Random, TextIsBase64urlOfTheBytesAskedFor) {
  EXPECT_EQ(from_base64url(random_text(32))->size(), 32u);
  EXPECT_NE(random_text(16), random_text(16));
}

constexpr const char* kCertificate =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIB7TCCAZKgAwIBAgIUXynVKTqeR4XqDbmSCH5b4RuGyVkwCgYIKoZIzj0EAwIw\n"
    "MTEXMBUGA1UEAwwOY2EuZXhhbXBsZS5jb20xFjAUBgNVBAoMDURvbWljaWxlIHRl\n"
    "c3QwHhcNMjYxMTIyMjE0NDUzWhcNMzYxMTE5MjE0NDUzWjAxMRcwFQYDVQQDDA5j\n"
    "YS5leGFtcGxlLmNvbTEWMBQGA1UECgwNRG9taWNpbGUgdGVzdDBZMBMGByqGSM49\n"
    "AgEGCCqGSM49AwEHA0IABMbCVYHFr3MRkwZBrafzjHDXlzXgqLblZ2CpqWBkooNf\n"
    "6FT0cV2ldWsUzwtIVQGwsts5/H5AhFSdOyYxg0R9/bOjgYcwgYQwHQYDVR0OBBYE\n"
    "FDAEn7ppc6V9ZNpCg1yqK81LA+pIMB8GA1UdIwQYMBaAFDAEn7ppc6V9ZNpCg1yq\n"
    "K81LA+pIMA8GA1UdEwEB/wQFMAMBAf8wMQYDVR0RBCowKIIOY2EuZXhhbXBsZS5j\n"
    "b22CECouY2EuZXhhbXBsZS5jb22HBH8AAAEwCgYIKoZIzj0EAwIDSQAwRgIhAOsg\n"
    "ycsyDfuKV7oZiZYNgoeMcPABLW29iqacjOPdkegQAiEAxaLsnwR0RP2ajxJARpGd\n"
    "1s9U4DBzfEi0imaYV2MGNCk=\n"
    "-----END CERTIFICATE-----\n";

TEST(Certificate, TellsItsNamesTimesAndFingerprint) {
  const auto certificate = Certificate::from_pem(kCertificate).value();
  EXPECT_EQ(certificate.subject(), "O=Domicile test,CN=ca.example.com");
  EXPECT_EQ(certificate.dns_names(),
            (std::vector<std::string>{"ca.example.com", "*.ca.example.com"}));
  EXPECT_EQ(certificate.not_before(), 1795383893);
  EXPECT_EQ(certificate.not_after(), 2110743893);
  EXPECT_EQ(certificate.sha256_fingerprint(),
            "e0b90718f9ad60e0ebcbc486cb9d1fed4e1bc1746afc36cb0f931b6a9f3e9e7c");
}

TEST(Certificate, RefusesWhatIsNotOne) {
  EXPECT_FALSE(
      Certificate::from_pem("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"));
  EXPECT_FALSE(Certificate::from_pem(""));
}

}  // namespace
}  // namespace domicile::crypto
