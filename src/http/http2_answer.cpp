// The answering half of an HTTP/2 stream.
#include <algorithm>
#include <utility>

#include "base/check.h"
#include "http/answer_head.h"
#include "http/http2_connection.h"
#include "http/http2_fields.h"
#include "http/http2_stream.h"

namespace domicile::http {
namespace {

// RFC 9110 section 6.5.1: nothing that says how the message itself is to be read.
bool passes_as_trailer(const wire::Field& field) {
  return passes_to_client(field) &&
         (field.kind == wire::FieldKind::other || field.kind == wire::FieldKind::alias);
}

}  // namespace

void Http2Stream::submit(Http2Fields& fields, bool has_body) {
  answer_begun_ = true;
  const nghttp2_data_provider provider = body_of(*this);
  auto& native = fields.native();
  const int error = nghttp2_submit_response(connection_.session(), id_, native.data(),
                                            native.size(), has_body ? &provider : nullptr);
  CHECK(error == 0 || error == NGHTTP2_ERR_DATA_EXIST || error == NGHTTP2_ERR_NOMEM);
}

void Http2Stream::answer(int status, std::string_view lines, std::string_view content_type,
                         std::string_view body, AfterAnswer) {
  responder_ = nullptr;
  if (closed_ || aborted_) return;
  const bool bodyless = status == 204 || status == 304;
  Http2Fields fields(context().head_buffer);
  fields.add_status(status);
  fields.add("date", context().date());
  fields.add("domicile-request-id", request_id());
  fields.add_lines(lines);
  if (!bodyless) {
    if (!content_type.empty()) fields.add("content-type", content_type);
    fields.add("content-length", std::to_string(body.size()));
  }
  context().counters.count_answer(status, context().loop.now() - begun_);
  const bool has_body = !bodyless && !head_request_ && !body.empty();
  submit(fields, has_body);
  answer_ended_ = true;
  timer_.cancel();
  if (has_body) {
    push(body);
  } else {
    connection_.flush();
  }
}

bool Http2Stream::begin_answer(const wire::ResponseHead& head, std::string_view first) {
  if (closed_ || aborted_) return true;
  Http2Fields fields(context().head_buffer);
  fields.add_status(head.status);
  for (const wire::Field& field : head.section.fields()) {
    if (passes_to_client(field)) fields.add(field.name, field.value);
  }
  fields.add("domicile-request-id", request_id());
  context().counters.count_answer(head.status, context().loop.now() - begun_);
  const bool has_body = head.section.body != wire::BodyKind::none;
  submit(fields, has_body);
  if (!has_body) {
    answer_ended_ = true;
    connection_.flush();
    return true;
  }
  if (head.section.body == wire::BodyKind::length) answer_left_ = head.section.content_length;
  return push(first);
}

bool Http2Stream::send(std::string_view bytes) { return push(bytes); }

// Sent from where the bytes are, as far as the windows allow; the rest is copied.
bool Http2Stream::push(std::string_view bytes) {
  if (closed_ || aborted_) return true;
  if (out_taken_ == out_.size()) {
    out_ = std::string();
    out_taken_ = 0;
    direct_ = bytes;
  } else {
    out_.append(bytes);
  }
  if (!bytes.empty()) nghttp2_session_resume_data(connection_.session(), id_);
  connection_.flush();
  out_.append(std::exchange(direct_, {}));
  if (pending() == 0 && !connection_.crowded()) return true;
  waiting_ = true;
  connection_.wait_for_room();
  if (pending() > 0 && !timer_.armed()) set_write_deadline();
  return false;
}

void Http2Stream::finish(std::span<const wire::Field> trailers) {
  responder_ = nullptr;
  if (closed_ || aborted_ || answer_ended_) return;
  answer_ended_ = true;
  for (const wire::Field& field : trailers) {
    if (!passes_as_trailer(field)) continue;
    trailers_.append(field.name).append(": ").append(field.value).append("\r\n");
  }
  if (end_sent_) return;
  nghttp2_session_resume_data(connection_.session(), id_);
  connection_.flush();
  timer_.cancel();
  if (pending() > 0) set_write_deadline();
}

void Http2Stream::abort() {
  responder_ = nullptr;
  if (!closed_ && !aborted_) reset(NGHTTP2_INTERNAL_ERROR);
}

// wire::Http2Head refuses every field that could ask for it.
void Http2Stream::switch_protocols(const wire::ResponseHead&, Responder&) {
  CHECK(false && "an HTTP/2 request has no upgrade");
}

Http2Stream::Piece Http2Stream::next_piece(std::size_t size) const {
  const std::size_t count = std::min(size, pending());
  const bool last = (answer_ended_ && count == pending()) || answer_left_ == count;
  return {count, last, count == 0 && !last};
}

std::string_view Http2Stream::take_piece(std::size_t size) {
  taken_bytes_ += size;
  if (answer_left_ != kUnknown) answer_left_ -= size;
  if (out_taken_ < out_.size()) {
    const std::string_view piece = std::string_view(out_).substr(out_taken_, size);
    out_taken_ += size;
    return piece;
  }
  const std::string_view piece = direct_.substr(0, size);
  direct_.remove_prefix(size);
  return piece;
}

void Http2Stream::submit_trailers() {
  std::string text;
  Http2Fields fields(text);
  fields.add_lines(trailers_);
  auto& native = fields.native();
  nghttp2_submit_trailer(connection_.session(), id_, native.data(), native.size());
}

// An answer that does not wait for the request's end lets go of the rest of it (RFC 9113 8.1).
void Http2Stream::end_sent() {
  end_sent_ = true;
  if (!request_complete_) {
    nghttp2_submit_rst_stream(connection_.session(), NGHTTP2_FLAG_NONE, id_, NGHTTP2_NO_ERROR);
  }
}

}  // namespace domicile::http
