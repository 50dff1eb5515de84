// A client's HTTP/1 connection: reads request heads strictly, hands each to the Service, feeds the body
// with backpressure, sends the answer, and keeps the connection or closes it so that the answer
// arrives (a short, bounded linger that throws away what the client still sends).
//
//   handshake -> head -> [body] -> answering -> head ... -> lingering -> closed
//
// A phase has one deadline. While an answer is under way nothing more is read: pipelined requests
// wait in the kernel, answered in order. An idle connection holds no buffer. A client that turns
// out to speak HTTP/2, by ALPN or by its first bytes, is handed to an Http2Connection.
#pragma once

#include <string>
#include <string_view>

#include "http/answer_head.h"
#include "http/exchange.h"
#include "http/server_context.h"
#include "runtime/connection.h"
#include "runtime/timer.h"
#include "wire/http1_chunked.h"

namespace domicile::http {

class ServerConnection final : public ClientConnection,
                               public Exchange,
                               private runtime::Connection::Owner {
 public:
  ServerConnection(ServerContext& context, runtime::Fd fd, runtime::SslPtr tls,
                   std::string peer_ip);
  ~ServerConnection() override;

  const std::string& peer_ip() const override { return peer_ip_; }
  bool encrypted() const override { return connection_.encrypted(); }
  const runtime::ClientCertificate* client_certificate() const override {
    return connection_.client_certificate();
  }
  ServerContext& context() override { return context_; }

  void want_body() override;
  void pause_body() override { body_wanted_ = false; }
  bool body_done() const override { return body_kind_ == wire::BodyKind::none; }

  void answer(int status, std::string_view fields, std::string_view content_type,
              std::string_view body, AfterAnswer after) override;
  bool takes_chunks() const override { return minor_version_ == 1; }
  bool begin_answer(const wire::ResponseHead& head, std::string_view first) override;
  bool send(std::string_view bytes) override;
  void finish(std::span<const wire::Field> trailers) override;  // knows no trailers of their own
  void abort() override;
  void switch_protocols(const wire::ResponseHead& head, Responder& next) override;

  void end_if_idle() override;
  void cut() override { gone(); }
  void check_certificate(const runtime::TlsContext& tls) override;

 private:
  enum class Phase { handshake, idle, head, body, answering, tunnel, lingering, closed };

  void on_connected() override;
  void on_readable() override;
  void on_drained() override;
  void on_broken() override;
  void on_deadline();

  void take(std::string_view bytes);
  void take_head(std::string_view bytes);
  void become_http2(std::string_view read);
  void begin(std::string_view head_bytes);
  void keep_rest(std::string_view rest);
  void body_complete(std::string_view rest);
  void refuse_fault(wire::Fault fault);
  void feed_body(std::string_view bytes);
  void feed_chunked(std::string_view bytes);
  void body_failed(int status, std::string_view reason);
  void end_of_input();
  bool write(std::string_view first, std::string_view second);
  // Whether the answer's head must say `Connection: close`; what was said is then done.
  bool will_close();
  void enter(Phase phase);
  void set_body_deadline();
  void set_write_deadline();
  void write_deadline_passed();
  void gone();

  ServerContext& context_;
  runtime::Connection connection_;
  runtime::Timer timer_;
  std::string peer_ip_;
  Responder* responder_ = nullptr;

  Phase phase_ = Phase::idle;
  wire::BodyKind body_kind_ = wire::BodyKind::none;  // none: all of it was read
  bool pending_ = false;                             // in_ holds bytes nobody has looked at
  bool body_wanted_ = false;
  bool body_started_ = false;
  bool owes_continue_ = false;
  bool head_request_ = false;
  bool persistent_ = true;
  bool in_begin_ = false;
  bool answer_begun_ = false;
  bool disbelieved_ = false;
  bool told_close_ = false;  // this answer's head says that the connection closes
  int minor_version_ = 1;
  ClientBody client_body_ = ClientBody::as_is;  // of the answer under way
  wire::HeadScanner scanner_;
  wire::ChunkedDecoder decoder_;
  std::uint64_t body_left_ = 0;
  std::uint64_t body_bytes_ = 0;
  std::uint64_t requests_ = 0;
  std::uint64_t sent_mark_ = 0;  // bytes sent when the write deadline was set
  SteadyTime body_since_{};
  std::string in_;
};

}  // namespace domicile::http
