#include "runtime/tls.h"

#include <filesystem>

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "base/file.h"

namespace domicile::runtime {
namespace {

std::string openssl_reason() {
  const unsigned long error = ERR_get_error();
  ERR_clear_error();
  const char* text = error == 0 ? nullptr : ERR_reason_error_string(error);
  return text == nullptr ? "unknown error" : text;
}

// The names in their wire form live as long as the SSL_CTX, which handshakes under way keep alive
// after a reload has let go of the TlsContext.
int alpn_index() {
  static const int index = SSL_CTX_get_ex_new_index(
      0, nullptr, nullptr, nullptr, [](void*, void* names, CRYPTO_EX_DATA*, int, long, void*) {
        delete static_cast<std::string*>(names);
      });
  return index;
}

int choose_alpn(SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* in,
                unsigned in_size, void* argument) {
  const auto& ours = *static_cast<const std::string*>(argument);
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, out_size, reinterpret_cast<const unsigned char*>(ours.data()),
                            static_cast<unsigned>(ours.size()), in,
                            in_size) != OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  }
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

void offer_alpn(SSL_CTX* context, const std::vector<std::string>& names) {
  auto wire = std::make_unique<std::string>();
  for (const std::string& name : names) {
    *wire += static_cast<char>(name.size());
    *wire += name;
  }
  SSL_CTX_set_alpn_select_cb(context, choose_alpn, wire.get());
  SSL_CTX_set_ex_data(context, alpn_index(), wire.release());
}

}  // namespace

void SslFree::operator()(ssl_st* ssl) const { SSL_free(ssl); }

TlsContext::~TlsContext() { SSL_CTX_free(context_); }

Result<std::shared_ptr<const TlsContext>> TlsContext::server(const std::string& certificate_path,
                                                             const std::string& key_path,
                                                             const std::vector<std::string>& alpn,
                                                             const ClientAuthorities& clients) {
  std::error_code ignored;
  for (const std::string& path : {certificate_path, key_path}) {
    if (!std::filesystem::is_regular_file(path, ignored)) {
      return fail(Code::invalid, fmt::format("{}: no such file, or not readable", path));
    }
  }
  SSL_CTX* native = SSL_CTX_new(TLS_server_method());
  if (native == nullptr) return fail(Code::internal, "SSL_CTX_new: " + openssl_reason());
  const std::shared_ptr<TlsContext> context(new TlsContext(native));
  SSL_CTX_set_min_proto_version(native, TLS1_2_VERSION);
  SSL_CTX_set_cipher_list(native, "ECDHE+AESGCM:ECDHE+CHACHA20");
  SSL_CTX_set_options(
      native, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  // Idle connections give their buffers back; reads take a whole flight in one call.
  SSL_CTX_set_mode(native, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                               SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_read_ahead(native, 1);
  SSL_CTX_set_session_cache_mode(native, SSL_SESS_CACHE_OFF);  // tickets only: no shared state
  SSL_CTX_set_num_tickets(native, 1);
  offer_alpn(native, alpn);
  if (SSL_CTX_use_certificate_chain_file(native, certificate_path.c_str()) != 1) {
    return fail(Code::invalid, fmt::format("{}: not a PEM certificate chain: {}", certificate_path,
                                           openssl_reason()));
  }
  if (SSL_CTX_use_PrivateKey_file(native, key_path.c_str(), SSL_FILETYPE_PEM) != 1) {
    return fail(Code::invalid, fmt::format("{}: not the PEM private key of {}: {}", key_path,
                                           certificate_path, openssl_reason()));
  }
  // A key of another kind than the certificate's is taken by the call above without a word.
  if (SSL_CTX_check_private_key(native) != 1) {
    return fail(Code::invalid, fmt::format("{}: not the private key of {}: {}", key_path,
                                           certificate_path, openssl_reason()));
  }
  if (clients.any()) TRY(ask_for_certificates(native, clients));
  return context;
}

bool TlsContext::believes(ssl_st& ssl) const { return certificate_believed(context_, &ssl); }

SslPtr TlsContext::accept(int fd) const {
  SslPtr ssl(SSL_new(context_));
  if (ssl == nullptr || SSL_set_fd(ssl.get(), fd) != 1) return nullptr;
  SSL_set_accept_state(ssl.get());
  return ssl;
}

}  // namespace domicile::runtime
