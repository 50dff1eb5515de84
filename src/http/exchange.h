// One request and its answer, as seen by whoever answers it on the loop. A Service looks at each
// request head and either answers at once through the Exchange, or gives a Responder that goes on:
// it is told of the body, and answers in one piece or in many. An HTTP/1 connection is the exchange
// of the request in hand; over HTTP/2 each stream is one.
//
// The exchange ends in exactly one of two ways, after which neither side touches the other again:
// the responder's answer is complete (answer(), finish(), abort()), or the exchange calls
// on_gone(). All on the loop's thread; nothing here may block, and nothing that the responder calls
// calls it back.
#pragma once

#include <array>
#include <span>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "runtime/client_certificate.h"
#include "wire/http1_path.h"
#include "wire/http1_request.h"
#include "wire/http1_response.h"

namespace domicile::http {

class ServerContext;

class Responder {
 public:
  // A piece of the decoded body; views hold during the call. May call pause_body().
  virtual void on_body(std::string_view bytes) = 0;
  virtual void on_body_end() = 0;
  virtual void on_drained() {}  // everything sent so far has left
  virtual void on_gone() = 0;   // the client is gone, or its body is faulty (and was answered so)

 protected:
  ~Responder() = default;
};

// What becomes of the connection. HTTP/2 reads `close` as: no more of this request is wanted.
enum class AfterAnswer { keep, close };

class Exchange {
 public:
  static constexpr std::size_t kRequestIdSize = 32;
  std::string_view request_id() const { return {request_id_.data(), request_id_.size()}; }
  virtual const std::string& peer_ip() const = 0;
  virtual bool encrypted() const = 0;
  // What the client proved in the TLS handshake; null: nothing.
  virtual const runtime::ClientCertificate* client_certificate() const = 0;
  virtual ServerContext& context() = 0;

  // The body starts to flow (after 100 Continue, if the client waits for that), or flows again.
  virtual void want_body() = 0;
  virtual void pause_body() = 0;
  virtual bool body_done() const = 0;

  // A whole answer. `fields` are complete lines ("Name: value\r\n"). HEAD requests get no body.
  virtual void answer(int status, std::string_view fields, std::string_view content_type,
                      std::string_view body, AfterAnswer after = AfterAnswer::keep) = 0;
  // problem+json with the request's id.
  void refuse(int status, std::string_view reason, std::string_view detail,
              AfterAnswer after = AfterAnswer::keep, std::string_view fields = {});

  // An answer in pieces, as an upstream gives it: the head with the body's first bytes, the rest,
  // finish(). False: the client is slow, wait for on_drained(). What names a hop or an identity in
  // the head is dropped. A chunked body is given in its coding, checked and as it came, to an
  // exchange that takes chunks; to any other as payload, and the trailers, if any, with finish().
  virtual bool takes_chunks() const = 0;
  virtual bool begin_answer(const wire::ResponseHead& head, std::string_view first) = 0;
  virtual bool send(std::string_view bytes) = 0;
  virtual void finish(std::span<const wire::Field> trailers = {}) = 0;
  // The answer cannot be completed: the client must notice.
  virtual void abort() = 0;

  // Sends an answer's head that switches protocols: from then on every byte of the client goes to
  // `next` as it comes (on_body(), on_body_end() for its half-close), and send() and finish() are
  // all that is sent. No deadline but the one for a client that takes nothing. Only for a request
  // whose head has an upgrade.
  virtual void switch_protocols(const wire::ResponseHead& head, Responder& next) = 0;

 protected:
  ~Exchange() = default;
  std::array<char, kRequestIdSize> request_id_{};
  SteadyTime begun_{};  // its head was whole
};

class Service {
 public:
  virtual ~Service() = default;
  // `head` and `path` hold during the call only. Null: the exchange was answered already.
  virtual Responder* begin(Exchange& exchange, const wire::RequestHead& head,
                           const wire::CleanPath& path) = 0;
  // The server has begun to drain: whatever would go on for ever must come to its end.
  virtual void drain() {}
  // A TLS handshake that failed for the client's certificate; certificate_fault_of() tells the reason.
  virtual void certificate_refused(const std::string& peer_ip, std::string_view reason) {
    (void)peer_ip, (void)reason;
  }
};

}  // namespace domicile::http
