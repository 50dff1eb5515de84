#include "runtime/client_certificate.h"

#include <algorithm>
#include <array>
#include <ctime>

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "base/encoding.h"
#include "base/file.h"

namespace domicile::runtime {
namespace {

constexpr int kChainDepthMax = 4;

template <auto Free>
struct Deleter {
  template <typename T>
  void operator()(T* object) const {
    Free(object);
  }
};
using Certificate = std::unique_ptr<X509, Deleter<X509_free>>;
using RevocationList = std::unique_ptr<X509_CRL, Deleter<X509_CRL_free>>;
using Bio = std::unique_ptr<BIO, Deleter<BIO_free_all>>;
using Digest = std::array<unsigned char, 32>;

// Whose authority is whose. Lives as long as the SSL_CTX: connections outlive a reload.
struct Anchors {
  std::vector<Digest> clients;
  std::vector<Digest> peers;
};

int anchors_index() {
  static const int index = SSL_CTX_get_ex_new_index(
      0, nullptr, nullptr, nullptr, [](void*, void* anchors, CRYPTO_EX_DATA*, int, long, void*) {
        delete static_cast<Anchors*>(anchors);
      });
  return index;
}

Digest digest_of(const X509* certificate) {
  Digest digest{};
  unsigned size = 0;
  X509_digest(certificate, EVP_sha256(), digest.data(), &size);
  return digest;
}

// Reads every object of a PEM file.
template <typename Object, auto Read>
Result<std::vector<Object>> read_all(const std::string& path, std::string_view what) {
  const std::string text = TRY(read_file(path, 4u << 20));
  const Bio bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
  std::vector<Object> out;
  while (bio != nullptr) {
    Object object(Read(bio.get(), nullptr, nullptr, nullptr));
    if (object == nullptr) break;
    out.push_back(std::move(object));
  }
  const unsigned long error = ERR_peek_last_error();
  ERR_clear_error();
  const bool ended =
      ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
  if (out.empty() || !ended) {
    return fail(Code::invalid,
                fmt::format("{}: must hold {} in PEM, and nothing damaged", path, what));
  }
  return out;
}

Result<std::vector<Digest>> trust(SSL_CTX* context, const std::string& path) {
  std::vector<Digest> out;
  const auto authorities = TRY((read_all<Certificate, PEM_read_bio_X509>(path, "authorities")));
  for (const Certificate& authority : authorities) {
    if (X509_check_ca(authority.get()) == 0) {
      return fail(Code::invalid,
                  fmt::format("{}: holds a certificate that is no authority's (CA:TRUE)", path));
    }
    X509_STORE_add_cert(SSL_CTX_get_cert_store(context), authority.get());
    SSL_CTX_add_client_CA(context, authority.get());
    out.push_back(digest_of(authority.get()));
  }
  return out;
}

Result<void> look_at(SSL_CTX* context, const std::string& path) {
  const auto lists =
      TRY((read_all<RevocationList, PEM_read_bio_X509_CRL>(path, "revocation lists")));
  X509_STORE* store = SSL_CTX_get_cert_store(context);
  for (const RevocationList& list : lists) X509_STORE_add_crl(store, list.get());
  X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK);
  return {};
}

std::vector<std::string> regions_of(X509* certificate) {
  std::vector<std::string> out;
  auto* names = static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  for (int i = 0; i < sk_GENERAL_NAME_num(names); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names, i);
    if (name->type != GEN_URI) continue;
    const std::string_view uri(
        reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.uniformResourceIdentifier)),
        static_cast<std::size_t>(ASN1_STRING_length(name->d.uniformResourceIdentifier)));
    if (uri.starts_with(ClientCertificate::kRegionUri)) {
      out.emplace_back(uri.substr(ClientCertificate::kRegionUri.size()));
    }
  }
  GENERAL_NAMES_free(names);
  return out;
}

std::int64_t end_of(const X509* certificate) {
  std::tm end{};
  if (ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &end) != 1) return 0;
  return timegm(&end);
}

ClientCertificate describe(X509* certificate) {
  const Digest digest = digest_of(certificate);
  ClientCertificate out;
  out.fingerprint = to_hex({reinterpret_cast<const char*>(digest.data()), digest.size()});
  out.valid_until_s = end_of(certificate);
  out.regions = regions_of(certificate);
  return out;
}

}  // namespace

Result<void> ask_for_certificates(ssl_ctx_st* context, const ClientAuthorities& authorities) {
  auto anchors = std::make_unique<Anchors>();
  if (authorities.clients != ClientCertificates::off) {
    anchors->clients = TRY(trust(context, authorities.client_ca));
  }
  if (!authorities.peer_ca.empty()) anchors->peers = TRY(trust(context, authorities.peer_ca));
  for (const std::string& list : {authorities.client_crl, authorities.peer_crl}) {
    if (!list.empty()) TRY(look_at(context, list));
  }
  ERR_clear_error();  // the same authority or list twice is no error
  int mode = SSL_VERIFY_PEER;
  if (authorities.clients == ClientCertificates::required) mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
  SSL_CTX_set_verify(context, mode, nullptr);
  SSL_CTX_set_verify_depth(context, kChainDepthMax);
  SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
  SSL_CTX_set_num_tickets(context, 0);
  SSL_CTX_set_ex_data(context, anchors_index(), anchors.release());
  return {};
}

std::unique_ptr<const ClientCertificate> client_certificate_of(ssl_st* ssl) {
  X509* shown = SSL_get0_peer_certificate(ssl);
  const auto* anchors =
      static_cast<Anchors*>(SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), anchors_index()));
  if (shown == nullptr || anchors == nullptr || SSL_get_verify_result(ssl) != X509_V_OK) {
    return nullptr;
  }
  STACK_OF(X509)* chain = SSL_get0_verified_chain(ssl);
  if (sk_X509_num(chain) < 1) return nullptr;
  const Digest anchor = digest_of(sk_X509_value(chain, sk_X509_num(chain) - 1));
  const auto among = [&](const std::vector<Digest>& known) {
    return std::ranges::find(known, anchor) != known.end();
  };
  auto out = std::make_unique<ClientCertificate>(describe(shown));
  out->of_client = among(anchors->clients);
  out->of_peer = among(anchors->peers);
  return out;
}

Result<ClientCertificate> own_certificate(const std::string& certificate_path,
                                          const std::string& key_path) {
  const auto chain =
      TRY((read_all<Certificate, PEM_read_bio_X509>(certificate_path, "certificates")));
  const std::unique_ptr<SSL_CTX, Deleter<SSL_CTX_free>> context(SSL_CTX_new(TLS_client_method()));
  X509* own = chain.front().get();
  const bool fits =
      context != nullptr && SSL_CTX_use_certificate(context.get(), own) == 1 &&
      SSL_CTX_use_PrivateKey_file(context.get(), key_path.c_str(), SSL_FILETYPE_PEM) == 1 &&
      SSL_CTX_check_private_key(context.get()) == 1;
  ERR_clear_error();
  if (!fits) {
    return fail(Code::invalid,
                fmt::format("{}: not the private key of {}", key_path, certificate_path));
  }
  return describe(own);
}

bool certificate_believed(ssl_ctx_st* context, ssl_st* ssl) {
  X509* shown = SSL_get0_peer_certificate(ssl);
  if (shown == nullptr || SSL_CTX_get_ex_data(context, anchors_index()) == nullptr) return false;
  const std::unique_ptr<X509_STORE_CTX, Deleter<X509_STORE_CTX_free>> verifying(
      X509_STORE_CTX_new());
  return verifying != nullptr &&
         X509_STORE_CTX_init(verifying.get(), SSL_CTX_get_cert_store(context), shown,
                             SSL_get_peer_cert_chain(ssl)) == 1 &&
         X509_STORE_CTX_set_default(verifying.get(), "ssl_client") == 1 &&
         X509_verify_cert(verifying.get()) == 1;
}

std::string_view certificate_fault_of(ssl_st* ssl) {
  switch (SSL_get_verify_result(ssl)) {
    case X509_V_OK: break;
    case X509_V_ERR_CERT_HAS_EXPIRED: return "client_certificate_expired";
    case X509_V_ERR_CERT_REVOKED: return "client_certificate_revoked";
    default: return "client_certificate_untrusted";
  }
  const unsigned long error = ERR_peek_last_error();
  const bool missing = ERR_GET_LIB(error) == ERR_LIB_SSL &&
                       ERR_GET_REASON(error) == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE;
  return missing ? "client_certificate_missing" : "";
}

}  // namespace domicile::runtime
