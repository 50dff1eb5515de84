#include "http/http2_connection.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "http/http2_fields.h"
#include "http/http2_stream.h"

namespace domicile::http {
namespace {

constexpr int kReadsPerTurn = 16;
// What a DATA frame of some size, or an answer's end, lets the client send of windows and the like.
constexpr double kFramesEarned = 4;

}  // namespace

Http2Connection::Http2Connection(ServerContext& context, runtime::Fd fd, runtime::SslPtr tls,
                                 std::string peer_ip)
    : context_(context),
      connection_(context.loop, std::move(fd), std::move(tls), false, *this),
      timer_(context.loop, [this] { on_deadline(); }),
      peer_ip_(std::move(peer_ip)),
      session_(new_session(*this)),
      resets_(context.limits.http2.resets_burst, context.limits.http2.resets_per_second,
              context.loop.now()),
      idle_frames_(context.limits.http2.idle_frames_burst,
                   context.limits.http2.idle_frames_per_second, context.loop.now()),
      idle_since_(context.loop.now()) {}

Http2Connection::~Http2Connection() { nghttp2_session_del(session_); }

void Http2Connection::begin(std::string_view read) {
  context_.counters.http2_connections.add();
  const ServerLimits& limits = context_.limits;
  // A client counts 32 bytes more for each field than this door does.
  const auto list_max = limits.head.head_bytes_max + 32 * limits.head.fields_max;
  const nghttp2_settings_entry settings[] = {
      {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, limits.http2.streams_max},
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, limits.http2.stream_window_bytes},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, static_cast<std::uint32_t>(list_max)},
      {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1}};
  nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings, std::size(settings));
  nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0,
                                        static_cast<int>(limits.http2.connection_window_bytes));
  head_deadline_ = context_.loop.now() + limits.head_ms;
  if (context_.draining) nghttp2_submit_shutdown_notice(session_);
  if (!read.empty()) take(read);
  settle();
  connection_.look_again();
  connection_.resume_reading();
}

void Http2Connection::on_readable() {
  settle();
  for (int i = 0; i < kReadsPerTurn; ++i) {
    if (state_ == State::lingering) {
      if (!connection_.discard_input() && connection_.backlog() == 0) gone();
      return;
    }
    // A client that sends requests and takes no answers gets no further.
    if (state_ == State::closed || crowded() || !connection_.readable()) return;
    const auto read = connection_.read();
    switch (read.state) {
      case runtime::Connection::ReadState::data:
        take(read.bytes);
        settle();
        break;
      case runtime::Connection::ReadState::again: return;
      case runtime::Connection::ReadState::end: end_of_input(); return;
      case runtime::Connection::ReadState::broken: gone(); return;
    }
  }
  connection_.resume_reading();
}

void Http2Connection::take(std::string_view bytes) {
  in_session_ = true;
  const ssize_t used = nghttp2_session_mem_recv(
      session_, reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
  in_session_ = false;
  if (used < 0) {
    (used == NGHTTP2_ERR_FLOODED ? context_.counters.http2_abuses
                                 : context_.counters.malformed_total)
        .add();
    broken_ = true;
  }
}

// The client will send no more: what it has asked for in full is still answered.
void Http2Connection::end_of_input() {
  input_ended_ = true;
  const bool all_asked =
      std::ranges::all_of(streams_, [](const auto& stream) { return stream->request_complete(); });
  if (streams_.empty() || !all_asked) gone();
}

// What had to wait until nobody was in the middle of anything.
void Http2Connection::settle() {
  if (state_ == State::closed) return;
  if (broken_) {
    gone();
    return;
  }
  // Backwards, because a stream that closes gives its place to the last one.
  for (std::size_t i = streams_.size(); i-- > 0;) {
    if (i < streams_.size()) streams_[i]->deliver_held();
  }
  flush();
  if (std::exchange(waiting_for_room_, false)) {
    for (std::size_t i = streams_.size(); i-- > 0;) {
      if (i >= streams_.size()) continue;
      streams_[i]->tell_room();
      if (i < streams_.size() && streams_[i]->wants_room()) waiting_for_room_ = true;
    }
  }
  while (!closed_.empty()) {
    for (auto& stream : std::exchange(closed_, {})) {
      stream->tell_gone();
      context_.loop.destroy_later(std::move(stream));
    }
  }
  if (requests_ >= context_.limits.requests_per_connection_max && state_ == State::open) {
    go_away(NGHTTP2_NO_ERROR);
    return;
  }
  end_when_done();
  update_deadline();
}

void Http2Connection::settle_soon() { connection_.resume_reading(); }

void Http2Connection::queue(std::string_view first, std::string_view second) {
  connection_.queue(first, second);
}

void Http2Connection::flush() {
  if (in_session_ || state_ == State::closed || state_ == State::lingering) return;
  in_session_ = true;
  ssize_t size = 1;
  while (size > 0 && !crowded()) {
    const std::uint8_t* bytes = nullptr;
    size = nghttp2_session_mem_send(session_, &bytes);
    if (size > 0) {
      queue({reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(size)}, {});
    }
  }
  in_session_ = false;
  if (size < 0) {
    broken_ = true;
    settle_soon();
  }
  if (connection_.backlog() > 0 && write_deadline_ == SteadyTime::max()) {
    sent_mark_ = connection_.sent_bytes();
    write_deadline_ = context_.loop.now() + context_.limits.write_idle_ms;
    update_deadline();
  }
}

void Http2Connection::on_drained() {
  write_deadline_ = SteadyTime::max();
  if (state_ == State::lingering) {
    timer_.set_after(context_.limits.linger_ms);
  } else {
    settle();
  }
  connection_.resume_reading();
}

void Http2Connection::end_when_done() {
  if (state_ == State::closed || state_ == State::lingering) return;
  const bool session_over =
      nghttp2_session_want_read(session_) == 0 && nghttp2_session_want_write(session_) == 0;
  if (session_over || (input_ended_ && streams_.empty())) linger();
}

void Http2Connection::linger() {
  state_ = State::lingering;
  for (auto& stream : std::exchange(streams_, {})) {
    stream->tell_gone();
    context_.loop.destroy_later(std::move(stream));
  }
  head_.reset();
  connection_.finish_writing();
  timer_.set_after(connection_.backlog() > 0 ? context_.limits.write_idle_ms
                                             : context_.limits.linger_ms);
  connection_.resume_reading();
}

void Http2Connection::go_away(std::uint32_t error) {
  if (state_ != State::open) return;
  state_ = State::going_away;
  nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE,
                        nghttp2_session_get_last_proc_stream_id(session_), error, nullptr, 0);
  settle();
}

void Http2Connection::drain_begun() {
  if (state_ != State::open) return;
  nghttp2_submit_shutdown_notice(session_);
  settle();
}

void Http2Connection::end_if_idle() {
  if (state_ != State::open) return;
  connection_.look_again();
  on_readable();
  go_away(NGHTTP2_NO_ERROR);
}

void Http2Connection::check_certificate(const runtime::TlsContext& tls) {
  if (!connection_.certificate_holds(tls)) go_away(NGHTTP2_NO_ERROR);
}

void Http2Connection::gone() {
  if (state_ == State::closed) return;
  state_ = State::closed;
  timer_.cancel();
  connection_.close();
  for (auto* list : {&streams_, &closed_}) {
    for (auto& stream : std::exchange(*list, {})) {
      stream->tell_gone();
      context_.loop.destroy_later(std::move(stream));
    }
  }
  context_.remove(*this);
}

void Http2Connection::update_deadline() {
  if (state_ == State::closed || state_ == State::lingering) return;
  const ServerLimits& limits = context_.limits;
  SteadyTime next = std::min(head_deadline_, write_deadline_);
  if (streams_.empty()) {
    next = std::min<SteadyTime>(
        next, idle_since_ + (context_.draining ? limits.drain_idle_ms : limits.idle_ms));
  }
  if (next == SteadyTime::max()) {
    timer_.cancel();
  } else {
    timer_.set(next);
  }
}

void Http2Connection::on_deadline() {
  const SteadyTime now = context_.loop.now();
  if (state_ == State::lingering) {
    gone();
    return;
  }
  if (now >= write_deadline_) {
    if (connection_.backlog() > 0 && connection_.sent_bytes() == sent_mark_) {
      context_.counters.timeouts_total.add();
      connection_.reset();
      gone();
      return;
    }
    sent_mark_ = connection_.sent_bytes();
    write_deadline_ =
        connection_.backlog() > 0 ? now + context_.limits.write_idle_ms : SteadyTime::max();
  }
  if (now >= head_deadline_) {
    context_.counters.timeouts_total.add();
    nghttp2_session_terminate_session(session_, NGHTTP2_NO_ERROR);
    head_deadline_ = SteadyTime::max();
    settle();
    return;
  }
  if (streams_.empty() && now >= idle_since_ + (context_.draining ? context_.limits.drain_idle_ms
                                                                  : context_.limits.idle_ms)) {
    if (state_ == State::going_away) {
      linger();
    } else if (context_.draining) {
      end_if_idle();
    } else {
      go_away(NGHTTP2_NO_ERROR);
    }
    return;
  }
  update_deadline();
}

void Http2Connection::begin_head() {
  if (head_ == nullptr) {
    head_ = context_.spare_http2_head != nullptr ? std::move(context_.spare_http2_head)
                                                 : std::make_unique<wire::Http2Head>();
  }
  head_->begin();
  head_deadline_ = context_.loop.now() + context_.limits.head_ms;
}

void Http2Connection::head_field(std::string_view name, std::string_view value) {
  if (head_ == nullptr) return;
  head_->add(name, value, context_.limits.head);
  if (head_->excessive(context_.limits.head)) abused();
}

void Http2Connection::begin_request(std::int32_t id, bool ends) {
  if (head_ == nullptr) return;
  ++requests_;
  context_.counters.requests_total.add();
  head_deadline_ = SteadyTime::max();
  auto fields = std::move(head_);
  const auto fault =
      fields->finish(context_.head, context_.limits.head, {.ends = ends, .encrypted = encrypted()});
  auto owned = std::make_unique<Http2Stream>(*this, id);
  Http2Stream& stream = *owned;
  stream.set_index(streams_.size());
  streams_.push_back(std::move(owned));
  nghttp2_session_set_stream_user_data(session_, id, &stream);
  const nghttp2_extpri fair{NGHTTP2_EXTPRI_DEFAULT_URGENCY, 1};
  nghttp2_session_change_extpri_stream_priority(session_, id, &fair, 1);
  stream.begin(context_.head, fault, ends);
  context_.spare_http2_head = std::move(fields);
}

void Http2Connection::trailers_came(Http2Stream* stream, bool ends) {
  head_deadline_ = SteadyTime::max();
  const auto fields = std::exchange(head_, nullptr);
  if (stream != nullptr && fields != nullptr) stream->trailers_came(fields->check_trailers(), ends);
}

void Http2Connection::greeted() {
  if (std::exchange(greeted_, true)) return;
  if (head_ == nullptr) head_deadline_ = SteadyTime::max();
}

void Http2Connection::stream_closed(Http2Stream& stream) {
  const bool cut = stream.was_cut();
  stream.session_closed();
  const std::size_t index = stream.index();
  CHECK(index < streams_.size() && streams_[index].get() == &stream);
  closed_.push_back(std::move(streams_[index]));
  if (index + 1 != streams_.size()) {
    streams_[index] = std::move(streams_.back());
    streams_[index]->set_index(index);
  }
  streams_.pop_back();
  if (streams_.empty()) idle_since_ = context_.loop.now();
  if (cut && !resets_.take(context_.loop.now())) abused();
  settle_soon();
}

void Http2Connection::idle_frame() {
  if (!idle_frames_.take(context_.loop.now())) abused();
}

void Http2Connection::did_useful_work() { idle_frames_.give(kFramesEarned); }

void Http2Connection::abused() {
  if (std::exchange(abused_, true)) return;
  context_.counters.http2_abuses.add();
  nghttp2_session_terminate_session(session_, NGHTTP2_ENHANCE_YOUR_CALM);
}

}  // namespace domicile::http
