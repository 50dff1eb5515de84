#include "http/server_connection.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "http/http2_connection.h"

namespace domicile::http {
namespace {

// Reads in a row before other connections get their turn.
constexpr int kReadsPerTurn = 16;
// What looks like a request's head in the bytes that an HTTP/2 client begins with (RFC 9113
// section 3.4); over TLS, ALPN alone decides.
constexpr std::string_view kHttp2PrefaceHead = "PRI * HTTP/2.0\r\n\r\n";

}  // namespace

ServerConnection::ServerConnection(ServerContext& context, runtime::Fd fd, runtime::SslPtr tls,
                                   std::string peer_ip)
    : context_(context),
      connection_(context.loop, std::move(fd), std::move(tls), false, *this),
      timer_(context.loop, [this] { on_deadline(); }),
      peer_ip_(std::move(peer_ip)) {
  enter(connection_.encrypted() ? Phase::handshake : Phase::idle);
}

ServerConnection::~ServerConnection() { CHECK(responder_ == nullptr); }

void ServerConnection::enter(Phase phase) {
  phase_ = phase;
  const ServerLimits& limits = context_.limits;
  switch (phase) {
    case Phase::handshake: timer_.set_after(limits.handshake_ms); break;
    case Phase::head: timer_.set_after(limits.head_ms); break;
    case Phase::idle:
    case Phase::lingering:
      if (connection_.backlog() > 0) {
        set_write_deadline();  // the answer is on its way still
      } else {
        timer_.set_after(phase == Phase::lingering ? limits.linger_ms
                         : context_.draining       ? limits.drain_idle_ms
                                                   : limits.idle_ms);
      }
      break;
    case Phase::body:
    case Phase::answering:
    case Phase::tunnel:
    case Phase::closed: timer_.cancel(); break;
  }
}

void ServerConnection::on_connected() {
  if (connection_.alpn() == "h2") {
    become_http2({});
    return;
  }
  enter(Phase::idle);
}

void ServerConnection::become_http2(std::string_view read) {
  enter(Phase::closed);
  auto [fd, tls] = connection_.release();
  auto next = std::make_unique<Http2Connection>(context_, std::move(fd), std::move(tls), peer_ip_);
  Http2Connection& http2 = *next;
  context_.replace(*this, std::move(next));
  http2.begin(read);
}

void ServerConnection::on_readable() {
  for (int i = 0; i < kReadsPerTurn; ++i) {
    if (phase_ == Phase::lingering) {
      if (!connection_.discard_input() && connection_.backlog() == 0) gone();
      return;
    }
    const bool reading = phase_ == Phase::idle || phase_ == Phase::head ||
                         ((phase_ == Phase::body || phase_ == Phase::tunnel) && body_wanted_);
    // A client that sends requests and takes no answers gets no further.
    if (!reading || connection_.backlog() >= context_.limits.output_bytes_high) return;
    if (pending_) {
      pending_ = false;
      const std::string held = std::exchange(in_, {});
      take(held);
      continue;
    }
    if (!connection_.readable()) return;
    const auto read = connection_.read();
    switch (read.state) {
      case runtime::Connection::ReadState::data: take(read.bytes); break;
      case runtime::Connection::ReadState::again: return;
      case runtime::Connection::ReadState::end: end_of_input(); return;
      case runtime::Connection::ReadState::broken: gone(); return;
    }
  }
  connection_.resume_reading();
}

void ServerConnection::take(std::string_view bytes) {
  if (phase_ == Phase::tunnel) {
    responder_->on_body(bytes);
  } else if (phase_ == Phase::body) {
    feed_body(bytes);
  } else {
    take_head(bytes);
  }
}

void ServerConnection::take_head(std::string_view bytes) {
  const bool whole = in_.empty();  // nothing was held back: look at the bytes where they are
  if (!whole) in_.append(bytes);
  const std::string_view view = whole ? bytes : std::string_view(in_);
  switch (scanner_.scan(view, context_.limits.head.head_bytes_max)) {
    case wire::HeadScanner::State::more:
      if (whole) in_.assign(bytes);
      if (phase_ == Phase::idle) enter(Phase::head);
      return;
    case wire::HeadScanner::State::fault: refuse_fault(scanner_.fault()); return;
    case wire::HeadScanner::State::complete: break;
  }
  const std::size_t size = scanner_.head_size();
  scanner_.reset();
  const std::string held = std::exchange(in_, {});
  const std::string_view all = whole ? bytes : std::string_view(held);
  if (requests_ == 0 && all.substr(0, size) == kHttp2PrefaceHead && context_.limits.http2.offered &&
      !connection_.encrypted()) {
    become_http2(all);
    return;
  }
  begin(all.substr(0, size));
  keep_rest(all.substr(size));
}

void ServerConnection::keep_rest(std::string_view rest) {
  if (rest.empty() || phase_ == Phase::lingering || phase_ == Phase::closed) return;
  if (phase_ == Phase::body && body_wanted_) {
    feed_body(rest);
    return;
  }
  in_.assign(rest);
  pending_ = true;
  if (phase_ == Phase::idle) connection_.resume_reading();
}

void ServerConnection::begin(std::string_view head_bytes) {
  ++requests_;
  context_.ids.next(request_id_);
  begun_ = context_.loop.now();
  context_.counters.requests_total.add();
  wire::RequestHead& head = context_.head;
  const ServerLimits& limits = context_.limits;
  if (const auto fault = head.parse(head_bytes, limits.head); fault != wire::Fault::none) {
    refuse_fault(fault);
    return;
  }
  head_request_ = head.method == wire::Method::head;
  persistent_ = head.persistent;
  minor_version_ = head.minor_version;
  body_kind_ = head.section.body;
  body_left_ = head.section.content_length;
  body_bytes_ = 0;
  client_body_ = ClientBody::as_is;
  body_wanted_ = body_started_ = answer_begun_ = told_close_ = false;
  owes_continue_ = head.expect_continue && body_kind_ != wire::BodyKind::none;
  decoder_ = {};
  enter(body_done() ? Phase::answering : Phase::body);
  wire::CleanPath path;
  if (const auto fault = wire::clean_path(head.path, context_.path_scratch, path);
      fault != wire::Fault::none) {
    refuse_fault(fault);
    return;
  }
  if (body_left_ > limits.body_bytes_max) {
    refuse(413, "body_too_large", "The request's body is larger than this door takes.",
           AfterAnswer::close);
    return;
  }
  in_begin_ = true;
  Responder* responder = context_.service->begin(*this, head, path);
  in_begin_ = false;
  responder_ = responder;
  CHECK(responder == nullptr || phase_ == Phase::body || phase_ == Phase::answering);
}

void ServerConnection::refuse_fault(wire::Fault fault) {
  context_.counters.malformed_total.add();
  if (phase_ == Phase::idle || phase_ == Phase::head) {
    context_.ids.next(request_id_);
    begun_ = context_.loop.now();
    head_request_ = answer_begun_ = told_close_ = false;
  }
  refuse(wire::status_of(fault), wire::reason_of(fault),
         "The request could be understood in more than one way, or not at all.",
         AfterAnswer::close);
}

void ServerConnection::want_body() {
  if (phase_ == Phase::tunnel && !std::exchange(body_wanted_, true)) connection_.resume_reading();
  if (body_done() || body_wanted_ || phase_ != Phase::body) return;
  body_wanted_ = true;
  if (!std::exchange(body_started_, true)) {
    body_since_ = context_.loop.now();
    if (std::exchange(owes_continue_, false)) connection_.write("HTTP/1.1 100 Continue\r\n\r\n");
  }
  set_body_deadline();
  if (!in_begin_) connection_.resume_reading();
}

// Each byte buys time, but never more than the lowest accepted rate gives.
void ServerConnection::set_body_deadline() {
  const ServerLimits& limits = context_.limits;
  const auto by_rate = body_since_ + limits.body_idle_ms +
                       std::chrono::seconds(body_bytes_ / limits.body_bytes_per_second_min);
  timer_.set(std::min<SteadyTime>(context_.loop.now() + limits.body_idle_ms, by_rate));
}

void ServerConnection::feed_body(std::string_view bytes) {
  if (body_kind_ == wire::BodyKind::chunked) {
    feed_chunked(bytes);
    return;
  }
  const std::string_view piece =
      bytes.substr(0, static_cast<std::size_t>(std::min<std::uint64_t>(body_left_, bytes.size())));
  body_left_ -= piece.size();
  body_bytes_ += piece.size();
  set_body_deadline();
  responder_->on_body(piece);
  if (phase_ == Phase::body && body_left_ == 0) body_complete(bytes.substr(piece.size()));
}

void ServerConnection::feed_chunked(std::string_view bytes) {
  set_body_deadline();
  while (!bytes.empty() && phase_ == Phase::body) {
    if (!body_wanted_) {
      in_.assign(bytes);
      pending_ = true;
      return;
    }
    const auto step = decoder_.step(bytes);
    if (step.fault != wire::Fault::none) {
      context_.counters.malformed_total.add();
      body_failed(wire::status_of(step.fault), wire::reason_of(step.fault));
      return;
    }
    bytes.remove_prefix(step.consumed);
    body_bytes_ += step.data.size();
    if (body_bytes_ > context_.limits.body_bytes_max) {
      body_failed(413, "body_too_large");
      return;
    }
    if (!step.data.empty()) responder_->on_body(step.data);
    if (phase_ == Phase::body && decoder_.done()) {
      body_complete(bytes);
      return;
    }
  }
}

void ServerConnection::body_complete(std::string_view rest) {
  body_kind_ = wire::BodyKind::none;
  enter(Phase::answering);
  if (connection_.backlog() > 0) set_write_deadline();
  if (!rest.empty()) {
    in_.assign(rest);
    pending_ = true;
  }
  responder_->on_body_end();
}

void ServerConnection::body_failed(int status, std::string_view reason) {
  if (answer_begun_) {
    gone();
    return;
  }
  Responder* responder = std::exchange(responder_, nullptr);
  refuse(status, reason, "The request's body was not acceptable.", AfterAnswer::close);
  if (responder != nullptr) responder->on_gone();
}

// The client will send no more. Between requests that is good-bye; within one it is a half.
void ServerConnection::end_of_input() {
  if (phase_ == Phase::tunnel) {
    responder_->on_body_end();
  } else {
    gone();
  }
}

void ServerConnection::on_drained() {
  if (phase_ == Phase::lingering || phase_ == Phase::idle) {
    enter(phase_);
    connection_.resume_reading();
  } else if (phase_ == Phase::answering || phase_ == Phase::tunnel) {
    timer_.cancel();
    if (phase_ == Phase::tunnel) connection_.resume_reading();
  }
  if (responder_ != nullptr) responder_->on_drained();
}

// A client of TLS 1.3 is sending already when its certificate is refused: a reset, which a close with
// bytes unread would be, could cost it the alert that says why.
void ServerConnection::on_broken() {
  const std::string_view fault = connection_.certificate_fault();
  if (fault.empty() || phase_ == Phase::closed) {
    gone();
    return;
  }
  if (phase_ == Phase::handshake) {
    context_.counters.handshakes_failed.add();
    context_.service->certificate_refused(peer_ip_, fault);
    enter(Phase::lingering);
  }
  if (!connection_.discard_input()) gone();
}

void ServerConnection::gone() {
  if (phase_ == Phase::closed) return;
  if (phase_ == Phase::handshake) context_.counters.handshakes_failed.add();
  enter(Phase::closed);
  connection_.close();
  if (Responder* responder = std::exchange(responder_, nullptr)) responder->on_gone();
  context_.remove(*this);
}

void ServerConnection::check_certificate(const runtime::TlsContext& tls) {
  if (disbelieved_ || connection_.certificate_holds(tls)) return;
  disbelieved_ = true;
  if (phase_ == Phase::idle || phase_ == Phase::head || phase_ == Phase::tunnel) gone();
}

void ServerConnection::end_if_idle() {
  if (phase_ == Phase::handshake) {
    gone();
    return;
  }
  if (phase_ != Phase::idle) return;
  connection_.look_again();
  on_readable();
  if (phase_ != Phase::idle || pending_) return;
  connection_.finish_writing();
  enter(Phase::lingering);
  if (connection_.backlog() == 0) timer_.set_after(context_.limits.drain_idle_ms);
}

void ServerConnection::on_deadline() {
  switch (phase_) {
    case Phase::closed: return;
    case Phase::handshake:
      context_.counters.timeouts_total.add();
      gone();
      return;
    case Phase::head:
      context_.counters.timeouts_total.add();
      context_.ids.next(request_id_);
      begun_ = context_.loop.now();
      head_request_ = answer_begun_ = told_close_ = false;
      refuse(408, "head_timeout", "The request's head did not arrive in time.", AfterAnswer::close);
      return;
    case Phase::body:
      if (body_wanted_) {
        context_.counters.timeouts_total.add();
        body_failed(408, "body_timeout");
        return;
      }
      write_deadline_passed();
      return;
    case Phase::answering:
    case Phase::tunnel: write_deadline_passed(); return;
    case Phase::idle:
    case Phase::lingering:
      if (connection_.backlog() > 0) {
        write_deadline_passed();
      } else if (context_.draining && phase_ == Phase::idle) {
        end_if_idle();
      } else {
        gone();
      }
      return;
  }
}

void ServerConnection::write_deadline_passed() {
  if (connection_.backlog() == 0) return;
  if (connection_.sent_bytes() != sent_mark_) {
    set_write_deadline();
    return;
  }
  context_.counters.timeouts_total.add();
  connection_.reset();
  gone();
}

}  // namespace domicile::http
