// A client's HTTP/2 connection (RFC 9113): nghttp2 reads and writes the frames, each request is an
// Http2Stream, and what a request may look like is decided by wire::Http2Head, not by the library.
//
//   open -> going away (GOAWAY is out, what is under way goes on) -> lingering -> closed
//
// Memory is bounded by the windows that we open (bodies nobody has asked for yet), by pausing the
// sources of answers, and by the number of streams. What carries no request - pings, settings,
// resets, empty frames - is counted against a budget, and a client over it is sent away. Everything
// that a stream does is sent at the end of the loop's turn, in one piece.
//
// nghttp2 calls back in the middle of its work: nothing is destroyed there, and that a stream was
// closed its Responder hears from settle(), which runs outside of it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "http/http2_budget.h"
#include "http/server_context.h"
#include "runtime/connection.h"
#include "runtime/timer.h"

struct nghttp2_session;

namespace domicile::http {

class Http2Stream;

class Http2Connection final : public ClientConnection, private runtime::Connection::Owner {
 public:
  Http2Connection(ServerContext& context, runtime::Fd fd, runtime::SslPtr tls, std::string peer_ip);
  ~Http2Connection() override;

  // `read` was read by another owner of the socket already.
  void begin(std::string_view read);
  void drain_begun() override;
  void end_if_idle() override;
  void cut() override { gone(); }
  void check_certificate(const runtime::TlsContext& tls) override;

  // For its streams.
  ServerContext& context() { return context_; }
  nghttp2_session* session() { return session_; }
  const std::string& peer_ip() const { return peer_ip_; }
  bool encrypted() const { return connection_.encrypted(); }
  const runtime::ClientCertificate* client_certificate() const {
    return connection_.client_certificate();
  }
  bool crowded() const { return connection_.backlog() >= context_.limits.output_bytes_high; }
  void queue(std::string_view first, std::string_view second);
  void flush();        // takes what the session has to send, as far as the client keeps up
  void settle_soon();  // settle() from the loop, later in this turn
  void wait_for_room() { waiting_for_room_ = true; }

 private:
  friend struct Http2Callbacks;
  enum class State { open, going_away, lingering, closed };

  void on_readable() override;
  void on_drained() override;
  void on_broken() override { gone(); }
  void take(std::string_view bytes);
  void settle();
  void end_of_input();
  void gone();
  void go_away(std::uint32_t error);
  void end_when_done();
  void linger();
  void update_deadline();
  void on_deadline();

  // What the session tells, in the middle of its work.
  void begin_head();
  void head_field(std::string_view name, std::string_view value);
  void begin_request(std::int32_t id, bool ends);
  void trailers_came(Http2Stream* stream, bool ends);
  void greeted();
  void stream_closed(Http2Stream& stream);
  void idle_frame();
  void did_useful_work();
  void abused();

  ServerContext& context_;
  runtime::Connection connection_;
  runtime::Timer timer_;
  std::string peer_ip_;
  nghttp2_session* session_ = nullptr;
  std::unique_ptr<wire::Http2Head> head_;  // of the block that is arriving
  std::vector<std::unique_ptr<Http2Stream>> streams_;
  std::vector<std::unique_ptr<Http2Stream>> closed_;  // the session has let go of them
  Http2Budget resets_;
  Http2Budget idle_frames_;

  State state_ = State::open;
  bool in_session_ = false;
  bool broken_ = false;  // to be ended as soon as nobody is in the middle of anything
  bool waiting_for_room_ = false;
  bool input_ended_ = false;
  bool abused_ = false;
  bool greeted_ = false;  // the client's SETTINGS have come
  std::uint64_t requests_ = 0;
  std::uint64_t sent_mark_ = 0;
  SteadyTime idle_since_;
  SteadyTime head_deadline_ = SteadyTime::max();
  SteadyTime write_deadline_ = SteadyTime::max();
};

}  // namespace domicile::http
