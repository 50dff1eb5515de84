#include "crypto/native_key.h"

#include <array>
#include <memory>

#include <fmt/format.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/params.h>

#include "base/check.h"
#include "crypto/weak_key.h"

namespace domicile::crypto {
namespace {

struct ParamFree {
  void operator()(OSSL_PARAM* p) const { OSSL_PARAM_free(p); }
  void operator()(OSSL_PARAM_BLD* p) const { OSSL_PARAM_BLD_free(p); }
};

const unsigned char* bytes_of(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

bool is_rsa(Algorithm algorithm) {
  return algorithm == Algorithm::rs256 || algorithm == Algorithm::rs384 ||
         algorithm == Algorithm::rs512 || algorithm == Algorithm::ps256;
}

const char* curve_of(Algorithm algorithm) {
  return algorithm == Algorithm::es256 ? "prime256v1" : "secp384r1";
}

Result<OpensslPtr<EVP_PKEY>> from_params(const char* type, OSSL_PARAM* params) {
  OpensslPtr<EVP_PKEY_CTX> context(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
  EVP_PKEY* key = nullptr;
  if (context == nullptr || EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, params) != 1) {
    return openssl_error(Code::invalid, fmt::format("a public key of type {}", type));
  }
  return OpensslPtr<EVP_PKEY>(key);
}

Result<OpensslPtr<EVP_PKEY>> make_rsa(const PublicParameters& p) {
  OpensslPtr<BIGNUM> n(BN_bin2bn(bytes_of(p.n), static_cast<int>(p.n.size()), nullptr));
  OpensslPtr<BIGNUM> e(BN_bin2bn(bytes_of(p.e), static_cast<int>(p.e.size()), nullptr));
  TRY(check_rsa(n.get(), e.get()));
  std::unique_ptr<OSSL_PARAM_BLD, ParamFree> builder(OSSL_PARAM_BLD_new());
  CHECK(OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, n.get()) == 1);
  CHECK(OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, e.get()) == 1);
  std::unique_ptr<OSSL_PARAM, ParamFree> params(OSSL_PARAM_BLD_to_param(builder.get()));
  return from_params("RSA", params.get());
}

Result<OpensslPtr<EVP_PKEY>> make_ec(Algorithm algorithm, const PublicParameters& p) {
  const std::size_t length = coordinate_bytes(algorithm);
  if (p.x.size() != length || p.y.size() != length) {
    return fail(Code::invalid,
                fmt::format("x and y of {} have {} bytes each", to_string(algorithm), length));
  }
  std::string point = "\x04" + p.x + p.y;
  std::string curve = curve_of(algorithm);
  std::array<OSSL_PARAM, 3> params = {
      OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, curve.data(), 0),
      OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size()),
      OSSL_PARAM_construct_end()};
  return from_params("EC", params.data());
}

}  // namespace

std::size_t coordinate_bytes(Algorithm algorithm) {
  return algorithm == Algorithm::es256 ? 32 : algorithm == Algorithm::es384 ? 48 : 0;
}

Result<OpensslPtr<EVP_PKEY>> make_public_key(Algorithm algorithm, const PublicParameters& p) {
  if (is_rsa(algorithm)) return make_rsa(p);
  if (algorithm != Algorithm::eddsa) return make_ec(algorithm, p);
  OpensslPtr<EVP_PKEY> key(
      EVP_PKEY_new_raw_public_key_ex(nullptr, "ED25519", nullptr, bytes_of(p.x), p.x.size()));
  if (key == nullptr) return openssl_error(Code::invalid, "an Ed25519 public key");
  return key;
}

Result<void> check_fits(Algorithm algorithm, EVP_PKEY* key) {
  const auto wrong = [&] {
    return fail(Code::invalid,
                fmt::format("the key's type or curve does not fit {}", to_string(algorithm)));
  };
  if (is_rsa(algorithm)) {
    if (EVP_PKEY_is_a(key, "RSA") != 1) return wrong();
    BIGNUM* n = nullptr;
    BIGNUM* e = nullptr;
    CHECK(EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_N, &n) == 1);
    CHECK(EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &e) == 1);
    const OpensslPtr<BIGNUM> own_n(n), own_e(e);
    return check_rsa(n, e);
  }
  if (algorithm == Algorithm::eddsa) {
    if (EVP_PKEY_is_a(key, "ED25519") != 1) return wrong();
    return {};
  }
  std::array<char, 64> group{};
  if (EVP_PKEY_is_a(key, "EC") != 1 ||
      EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_GROUP_NAME, group.data(), group.size(),
                                     nullptr) != 1 ||
      std::string_view(group.data()) != curve_of(algorithm)) {
    return wrong();
  }
  OpensslPtr<EVP_PKEY_CTX> context(EVP_PKEY_CTX_new_from_pkey(nullptr, key, nullptr));
  if (context == nullptr || EVP_PKEY_public_check(context.get()) != 1) {
    return openssl_error(Code::invalid, "the point is not on the curve");
  }
  return {};
}

namespace {

std::string big_number(EVP_PKEY* key, const char* name, std::size_t length) {
  BIGNUM* number = nullptr;
  CHECK(EVP_PKEY_get_bn_param(key, name, &number) == 1);
  const OpensslPtr<BIGNUM> own(number);
  std::string out(length == 0 ? static_cast<std::size_t>(BN_num_bytes(number)) : length, '\0');
  CHECK(BN_bn2binpad(number, reinterpret_cast<unsigned char*>(out.data()),
                     static_cast<int>(out.size())) >= 0);
  return out;
}

}  // namespace

PublicParameters public_parameters(Algorithm algorithm, EVP_PKEY* key) {
  PublicParameters out;
  if (is_rsa(algorithm)) {
    out.n = big_number(key, OSSL_PKEY_PARAM_RSA_N, 0);
    out.e = big_number(key, OSSL_PKEY_PARAM_RSA_E, 0);
  } else if (algorithm == Algorithm::eddsa) {
    out.x.resize(32);
    std::size_t length = out.x.size();
    CHECK(EVP_PKEY_get_raw_public_key(key, reinterpret_cast<unsigned char*>(out.x.data()),
                                      &length) == 1);
  } else {
    out.x = big_number(key, OSSL_PKEY_PARAM_EC_PUB_X, coordinate_bytes(algorithm));
    out.y = big_number(key, OSSL_PKEY_PARAM_EC_PUB_Y, coordinate_bytes(algorithm));
  }
  return out;
}

namespace {

// A positive INTEGER without needless leading zeros; r and s of zero are no signature at all
// (CVE-2022-21449).
bool append_integer(std::string& out, std::string_view number) {
  while (!number.empty() && number.front() == '\0') number.remove_prefix(1);
  if (number.empty()) return false;
  const bool pad = (static_cast<unsigned char>(number.front()) & 0x80) != 0;
  out.push_back('\x02');
  out.push_back(static_cast<char>(number.size() + (pad ? 1 : 0)));
  if (pad) out.push_back('\0');
  out.append(number);
  return true;
}

bool take_integer(std::string_view& der, std::size_t coordinate, std::string& out) {
  if (der.size() < 2 || der[0] != '\x02') return false;
  const auto length = static_cast<unsigned char>(der[1]);
  if (length > 127 || der.size() < 2u + length) return false;
  std::string_view number = der.substr(2, length);
  der.remove_prefix(2u + length);
  while (!number.empty() && number.front() == '\0') number.remove_prefix(1);
  if (number.size() > coordinate) return false;
  out.append(coordinate - number.size(), '\0').append(number);
  return true;
}

}  // namespace

std::string ecdsa_to_der(std::string_view raw, std::size_t coordinate) {
  if (coordinate == 0 || raw.size() != 2 * coordinate) return {};
  std::string body;
  body.reserve(2 * coordinate + 8);
  body.assign("\x30\x00", 2);  // at most 2 * (48 + 3) bytes follow: a short length
  if (!append_integer(body, raw.substr(0, coordinate)) ||
      !append_integer(body, raw.substr(coordinate)))
    return {};
  body[1] = static_cast<char>(body.size() - 2);
  return body;
}

std::string ecdsa_from_der(std::string_view der, std::size_t coordinate) {
  if (der.size() < 2 || der[0] != '\x30' || static_cast<unsigned char>(der[1]) != der.size() - 2)
    return {};
  der.remove_prefix(2);
  std::string out;
  if (!take_integer(der, coordinate, out) || !take_integer(der, coordinate, out) || !der.empty())
    return {};
  return out;
}

}  // namespace domicile::crypto
