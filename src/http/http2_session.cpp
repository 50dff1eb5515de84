// How nghttp2 is set up and what it calls. The library keeps the frames, the streams' states, the
// windows and the header compression; the rules of HTTP itself are switched off in it, because
// wire::Http2Head has them, with a reason for each refusal.
#include <memory>
#include <new>

#include "http/http2_connection.h"
#include "http/http2_fields.h"
#include "http/http2_stream.h"

namespace domicile::http {

// Each returns 0: what has to end the connection is remembered and done when the library is out.
struct Http2Callbacks {
  static Http2Connection& connection(void* user) { return *static_cast<Http2Connection*>(user); }
  static Http2Stream* stream(nghttp2_session* session, std::int32_t id) {
    return static_cast<Http2Stream*>(nghttp2_session_get_stream_user_data(session, id));
  }
  static std::string_view text(const std::uint8_t* bytes, std::size_t size) {
    return {reinterpret_cast<const char*>(bytes), size};
  }

  static bool carries_nothing(const nghttp2_frame_hd& frame) {
    constexpr std::size_t kPaddingMax = 256;
    switch (frame.type) {
      case NGHTTP2_HEADERS:
      case NGHTTP2_CONTINUATION: return false;
      case NGHTTP2_DATA:
        return (frame.flags & NGHTTP2_FLAG_END_STREAM) == 0 &&
               (frame.length == 0 ||
                ((frame.flags & NGHTTP2_FLAG_PADDED) != 0 && frame.length <= kPaddingMax));
      default: return true;
    }
  }
  static int begin_frame(nghttp2_session*, const nghttp2_frame_hd* frame, void* user) {
    if (carries_nothing(*frame)) connection(user).idle_frame();
    return 0;
  }
  static int begin_headers(nghttp2_session*, const nghttp2_frame*, void* user) {
    connection(user).begin_head();
    return 0;
  }
  // Frames of unknown types mean nothing here; they are received only so that they are counted.
  static int unknown_frame(nghttp2_session*, void**, const nghttp2_frame_hd*, void*) {
    return NGHTTP2_ERR_CANCEL;
  }
  static int unknown_bytes(nghttp2_session*, const nghttp2_frame_hd*, const std::uint8_t*,
                           std::size_t, void*) {
    return 0;
  }
  static int header(nghttp2_session*, const nghttp2_frame*, const std::uint8_t* name,
                    std::size_t name_size, const std::uint8_t* value, std::size_t value_size,
                    std::uint8_t, void* user) {
    connection(user).head_field(text(name, name_size), text(value, value_size));
    return 0;
  }
  static int frame_received(nghttp2_session* session, const nghttp2_frame* frame, void* user) {
    const bool ends = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    if (frame->hd.type == NGHTTP2_HEADERS) {
      if (frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
        connection(user).begin_request(frame->hd.stream_id, ends);
      } else {
        connection(user).trailers_came(stream(session, frame->hd.stream_id), ends);
      }
    } else if (frame->hd.type == NGHTTP2_DATA && ends) {
      if (auto* of = stream(session, frame->hd.stream_id)) of->body_ended();
    } else if (frame->hd.type == NGHTTP2_SETTINGS) {
      connection(user).greeted();
    }
    return 0;
  }
  static int data(nghttp2_session* session, std::uint8_t, std::int32_t id,
                  const std::uint8_t* bytes, std::size_t size, void*) {
    if (auto* of = stream(session, id)) {
      of->take_body(text(bytes, size));
    } else {
      nghttp2_session_consume_connection(session, size);
    }
    return 0;
  }
  static int frame_sent(nghttp2_session* session, const nghttp2_frame* frame, void* user) {
    constexpr std::size_t kUsefulBytes = 1024;
    const bool ends = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    if (frame->hd.type != NGHTTP2_DATA && frame->hd.type != NGHTTP2_HEADERS) return 0;
    if (ends || frame->hd.length >= kUsefulBytes) connection(user).did_useful_work();
    if (!ends) return 0;
    if (auto* of = stream(session, frame->hd.stream_id)) of->end_sent();
    return 0;
  }
  static int stream_closed(nghttp2_session* session, std::int32_t id, std::uint32_t, void* user) {
    if (auto* of = stream(session, id)) connection(user).stream_closed(*of);
    return 0;
  }
  static ssize_t read_body(nghttp2_session*, std::int32_t, std::uint8_t*, std::size_t size,
                           std::uint32_t* flags, nghttp2_data_source* source, void*) {
    auto& of = *static_cast<Http2Stream*>(source->ptr);
    const Http2Stream::Piece piece = of.next_piece(size);
    if (piece.later) return NGHTTP2_ERR_DEFERRED;
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (piece.last) {
      *flags |= NGHTTP2_DATA_FLAG_EOF;
      if (of.has_trailers()) {
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        of.submit_trailers();
      }
    }
    return static_cast<ssize_t>(piece.size);
  }
  static int send_body(nghttp2_session*, nghttp2_frame*, const std::uint8_t* head, std::size_t size,
                       nghttp2_data_source* source, void* user) {
    constexpr std::size_t kFrameHeadBytes = 9;
    Http2Connection& to = connection(user);
    if (to.crowded()) return NGHTTP2_ERR_WOULDBLOCK;
    to.queue(text(head, kFrameHeadBytes), static_cast<Http2Stream*>(source->ptr)->take_piece(size));
    return 0;
  }
};

nghttp2_data_provider body_of(Http2Stream& stream) {
  nghttp2_data_provider provider{};
  provider.source.ptr = &stream;
  provider.read_callback = Http2Callbacks::read_body;
  return provider;
}

nghttp2_session* new_session(Http2Connection& connection) {
  nghttp2_session_callbacks* callbacks = nullptr;
  nghttp2_option* option = nullptr;
  if (nghttp2_session_callbacks_new(&callbacks) != 0) throw std::bad_alloc();
  const std::unique_ptr<nghttp2_session_callbacks, Http2SessionFree> owned(callbacks);
  if (nghttp2_option_new(&option) != 0) throw std::bad_alloc();
  const std::unique_ptr<nghttp2_option, Http2SessionFree> owned_option(option);
  using C = Http2Callbacks;
  nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, C::begin_frame);
  nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, C::begin_headers);
  nghttp2_session_callbacks_set_on_header_callback(callbacks, C::header);
  nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, C::frame_received);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, C::data);
  nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, C::frame_sent);
  nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, C::stream_closed);
  nghttp2_session_callbacks_set_send_data_callback(callbacks, C::send_body);
  nghttp2_session_callbacks_set_unpack_extension_callback(callbacks, C::unknown_frame);
  nghttp2_session_callbacks_set_on_extension_chunk_recv_callback(callbacks, C::unknown_bytes);
  for (unsigned type = NGHTTP2_CONTINUATION + 1; type <= 0xff; ++type) {
    nghttp2_option_set_user_recv_extension_type(option, static_cast<std::uint8_t>(type));
  }
  // Above the budget for frames that carry nothing, which speaks first.
  nghttp2_option_set_max_outbound_ack(option,
                                      2 * connection.context().limits.http2.idle_frames_burst);
  nghttp2_option_set_no_http_messaging(option, 1);
  nghttp2_option_set_no_auto_window_update(option, 1);
  nghttp2_option_set_no_closed_streams(option, 1);
  nghttp2_session* session = nullptr;
  if (nghttp2_session_server_new2(&session, callbacks, &connection, option) != 0) {
    throw std::bad_alloc();
  }
  return session;
}

}  // namespace domicile::http
