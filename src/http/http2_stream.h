// One request over HTTP/2. What of its body nobody has asked for yet waits here, bounded by the
// window that the client was given; what the client has no room for yet waits here too, and then
// the source is paused. The body and the answer have a deadline each, as over HTTP/1.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "http/exchange.h"
#include "runtime/loop.h"
#include "runtime/timer.h"

namespace domicile::http {

class Http2Connection;
class Http2Fields;

class Http2Stream final : public Exchange, public runtime::Disposable {
 public:
  Http2Stream(Http2Connection& connection, std::int32_t id);
  ~Http2Stream() override;

  // The request, or why it is none. `head` holds during the call.
  void begin(const wire::RequestHead& head, wire::Fault fault, bool ends);
  // What the connection hears of it.
  void take_body(std::string_view bytes);
  void body_ended();
  void trailers_came(wire::Fault fault, bool ends);
  void deliver_held();  // outside of the session's work, as the next two
  void tell_room();
  void tell_gone();
  void session_closed();
  // For the session: up to `size` bytes of the answer's body.
  struct Piece {
    std::size_t size;
    bool last;
    bool later;
  };
  Piece next_piece(std::size_t size) const;
  std::string_view take_piece(std::size_t size);
  bool has_trailers() const { return !trailers_.empty(); }
  void submit_trailers();
  void end_sent();

  std::size_t index() const { return index_; }  // among its connection's streams
  void set_index(std::size_t index) { index_ = index; }
  bool wants_room() const { return waiting_; }
  // The client let go of it before its answer was complete.
  bool was_cut() const { return !end_sent_ && !aborted_; }
  bool request_complete() const { return request_complete_; }

  const std::string& peer_ip() const override;
  bool encrypted() const override;
  const runtime::ClientCertificate* client_certificate() const override;
  ServerContext& context() override;
  void want_body() override;
  void pause_body() override { body_wanted_ = false; }
  bool body_done() const override { return body_kind_ == wire::BodyKind::none; }
  void answer(int status, std::string_view fields, std::string_view content_type,
              std::string_view body, AfterAnswer after) override;
  bool takes_chunks() const override { return false; }
  bool begin_answer(const wire::ResponseHead& head, std::string_view first) override;
  bool send(std::string_view bytes) override;
  void finish(std::span<const wire::Field> trailers) override;
  void abort() override;
  void switch_protocols(const wire::ResponseHead& head, Responder& next) override;

 private:
  std::size_t pending() const { return out_.size() - out_taken_ + direct_.size(); }
  void submit(Http2Fields& fields, bool has_body);
  bool push(std::string_view bytes);
  void body_fault(wire::Fault fault);
  void body_failed(int status, std::string_view reason);
  void refuse_fault(wire::Fault fault);
  void consume(std::size_t size);
  void end_body_if_complete();
  void reset(std::uint32_t error);
  void set_body_deadline();
  void set_write_deadline();
  void on_deadline();

  Http2Connection& connection_;
  runtime::Timer timer_;
  Responder* responder_ = nullptr;
  std::int32_t id_;
  std::size_t index_ = 0;

  wire::BodyKind body_kind_ = wire::BodyKind::none;  // none: all of it was handed on
  bool head_request_ = false;
  bool has_length_ = false;
  bool body_wanted_ = false;
  bool body_started_ = false;
  bool owes_continue_ = false;
  bool request_complete_ = false;  // END_STREAM has come
  bool answer_begun_ = false;
  bool answer_ended_ = false;  // nothing is added to it any more
  bool end_sent_ = false;      // END_STREAM is out
  bool aborted_ = false;
  bool closed_ = false;   // the session knows it no more
  bool waiting_ = false;  // the source was told to wait for room
  std::uint64_t body_left_ = 0;
  std::uint64_t body_bytes_ = 0;
  std::uint64_t answer_left_ = kUnknown;  // of the answer's stated length
  std::uint64_t taken_bytes_ = 0;
  std::uint64_t taken_mark_ = 0;
  SteadyTime body_since_{};
  std::string in_;
  std::string out_;
  std::size_t out_taken_ = 0;
  std::string_view direct_;  // during push(): sent from where they are, or copied behind out_
  std::string trailers_;     // "name: value\r\n" lines

  static constexpr std::uint64_t kUnknown = ~std::uint64_t{0};
};

}  // namespace domicile::http
