#include "http/http2_stream.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "http/answer_head.h"
#include "http/http2_connection.h"
#include "http/http2_fields.h"

namespace domicile::http {

Http2Stream::Http2Stream(Http2Connection& connection, std::int32_t id)
    : connection_(connection),
      timer_(connection.context().loop, [this] { on_deadline(); }),
      id_(id) {
  connection.context().ids.next(request_id_);
  begun_ = connection.context().loop.now();
}

Http2Stream::~Http2Stream() { CHECK(responder_ == nullptr); }

const std::string& Http2Stream::peer_ip() const { return connection_.peer_ip(); }
bool Http2Stream::encrypted() const { return connection_.encrypted(); }
const runtime::ClientCertificate* Http2Stream::client_certificate() const {
  return connection_.client_certificate();
}
ServerContext& Http2Stream::context() { return connection_.context(); }

void Http2Stream::begin(const wire::RequestHead& head, wire::Fault fault, bool ends) {
  request_complete_ = ends;
  head_request_ = head.method == wire::Method::head;
  if (fault != wire::Fault::none) {
    refuse_fault(fault);
    return;
  }
  body_kind_ = head.section.body;
  has_length_ = head.section.has_content_length;
  body_left_ = head.section.content_length;
  owes_continue_ = head.expect_continue && body_kind_ != wire::BodyKind::none;
  wire::CleanPath path;
  fault = wire::clean_path(head.path, context().path_scratch, path);
  if (fault != wire::Fault::none) {
    refuse_fault(fault);
    return;
  }
  if (body_left_ > context().limits.body_bytes_max) {
    refuse(413, "body_too_large", "The request's body is larger than this door takes.",
           AfterAnswer::close);
    return;
  }
  responder_ = context().service->begin(*this, head, path);
}

void Http2Stream::refuse_fault(wire::Fault fault) {
  context().counters.malformed_total.add();
  refuse(wire::status_of(fault), wire::reason_of(fault),
         "The request could be understood in more than one way, or not at all.",
         AfterAnswer::close);
}

void Http2Stream::want_body() {
  if (body_done() || body_wanted_ || closed_) return;
  body_wanted_ = true;
  if (!std::exchange(body_started_, true)) {
    body_since_ = context().loop.now();
    if (std::exchange(owes_continue_, false)) {
      Http2Fields fields(context().head_buffer);
      fields.add_status(100);
      nghttp2_submit_headers(connection_.session(), NGHTTP2_FLAG_NONE, id_, nullptr,
                             fields.native().data(), 1, nullptr);
      connection_.flush();
    }
  }
  set_body_deadline();
  if (!in_.empty() || request_complete_) connection_.settle_soon();
}

void Http2Stream::set_body_deadline() {
  const ServerLimits& limits = context().limits;
  const auto by_rate = body_since_ + limits.body_idle_ms +
                       std::chrono::seconds(body_bytes_ / limits.body_bytes_per_second_min);
  timer_.set(std::min<SteadyTime>(context().loop.now() + limits.body_idle_ms, by_rate));
}

void Http2Stream::take_body(std::string_view bytes) {
  if (responder_ == nullptr) {  // answered already: only the other streams need the room
    nghttp2_session_consume_connection(connection_.session(), bytes.size());
    return;
  }
  body_bytes_ += bytes.size();
  const bool over_length = has_length_ && bytes.size() > body_left_;
  if (over_length || body_bytes_ > context().limits.body_bytes_max) {
    nghttp2_session_consume_connection(connection_.session(), bytes.size());
    if (over_length) {
      body_fault(wire::Fault::length_mismatch);
    } else {
      body_failed(413, "body_too_large");
    }
    return;
  }
  if (has_length_) body_left_ -= bytes.size();
  if (!body_wanted_) {
    in_.append(bytes);
    return;
  }
  set_body_deadline();
  if (!in_.empty()) {  // wanted just now: what came before goes first
    in_.append(bytes);
    return;
  }
  responder_->on_body(bytes);
  consume(bytes.size());
}

void Http2Stream::consume(std::size_t size) {
  if (closed_ || responder_ == nullptr) {
    nghttp2_session_consume_connection(connection_.session(), size);
  } else {
    nghttp2_session_consume(connection_.session(), id_, size);
  }
}

void Http2Stream::body_ended() {
  request_complete_ = true;
  if (responder_ == nullptr) return;
  if (has_length_ && body_left_ != 0) {
    body_fault(wire::Fault::length_mismatch);
    return;
  }
  end_body_if_complete();
}

void Http2Stream::trailers_came(wire::Fault fault, bool ends) {
  if (!ends) fault = wire::Fault::bad_trailer;  // a second head in the middle of a body
  if (fault == wire::Fault::none) {
    body_ended();
    return;
  }
  request_complete_ = ends;
  body_fault(fault);
}

void Http2Stream::deliver_held() {
  if (!body_wanted_ || responder_ == nullptr) return;
  if (!in_.empty()) {
    const std::string held = std::exchange(in_, {});
    responder_->on_body(held);
    consume(held.size());
  }
  end_body_if_complete();
}

void Http2Stream::end_body_if_complete() {
  if (!request_complete_ || !body_wanted_ || !in_.empty() || body_done() || responder_ == nullptr) {
    return;
  }
  body_kind_ = wire::BodyKind::none;
  timer_.cancel();
  if (pending() > 0) set_write_deadline();
  responder_->on_body_end();
}

void Http2Stream::body_fault(wire::Fault fault) {
  context().counters.malformed_total.add();
  body_failed(wire::status_of(fault), wire::reason_of(fault));
}

void Http2Stream::body_failed(int status, std::string_view reason) {
  Responder* responder = std::exchange(responder_, nullptr);
  if (!answer_begun_) {
    refuse(status, reason, "The request's body was not acceptable.", AfterAnswer::close);
  } else if (!answer_ended_) {
    reset(NGHTTP2_PROTOCOL_ERROR);
  }
  if (responder != nullptr) responder->on_gone();
}

void Http2Stream::reset(std::uint32_t error) {
  aborted_ = true;
  timer_.cancel();
  nghttp2_submit_rst_stream(connection_.session(), NGHTTP2_FLAG_NONE, id_, error);
  connection_.flush();
}

void Http2Stream::session_closed() {
  closed_ = true;
  timer_.cancel();
  if (!in_.empty()) {
    nghttp2_session_consume_connection(connection_.session(), in_.size());
    in_ = std::string();
  }
}

void Http2Stream::tell_gone() {
  closed_ = true;
  timer_.cancel();
  if (Responder* responder = std::exchange(responder_, nullptr)) responder->on_gone();
}

void Http2Stream::tell_room() {
  if (!waiting_ || pending() > 0 || connection_.crowded()) return;
  waiting_ = false;
  if (!body_wanted_ || body_done()) timer_.cancel();
  if (responder_ != nullptr) responder_->on_drained();
}

void Http2Stream::set_write_deadline() {
  taken_mark_ = taken_bytes_;
  timer_.set_after(context().limits.write_idle_ms);
}

void Http2Stream::on_deadline() {
  if (closed_ || aborted_) return;
  if (body_wanted_ && !body_done() && !request_complete_ && responder_ != nullptr) {
    context().counters.timeouts_total.add();
    body_failed(408, "body_timeout");
    return;
  }
  if (pending() == 0) return;
  if (taken_bytes_ != taken_mark_) {
    set_write_deadline();
    return;
  }
  context().counters.timeouts_total.add();
  Responder* responder = std::exchange(responder_, nullptr);
  reset(NGHTTP2_CANCEL);
  if (responder != nullptr) responder->on_gone();
}

}  // namespace domicile::http
