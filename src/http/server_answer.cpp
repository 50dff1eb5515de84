// The answering half of an HTTP/1 connection.
#include <fmt/format.h>

#include "http/server_connection.h"

namespace domicile::http {

void ServerConnection::answer(int status, std::string_view fields, std::string_view content_type,
                              std::string_view body, AfterAnswer after) {
  if (after == AfterAnswer::close) persistent_ = false;
  const bool bodyless = status == 204 || status == 304;
  std::string head = fmt::format("HTTP/1.1 {} {}\r\nDate: {}\r\nDomicile-Request-Id: {}\r\n",
                                 status, wire::phrase_of(status), context_.date(), request_id());
  head += fields;
  if (!bodyless) {
    if (!content_type.empty()) head += fmt::format("Content-Type: {}\r\n", content_type);
    head += fmt::format("Content-Length: {}\r\n", body.size());
  }
  if (will_close()) {
    head += "Connection: close\r\n";
  } else if (minor_version_ == 0) {
    head += "Connection: keep-alive\r\n";
  }
  head += "\r\n";
  context_.counters.count_answer(status, context_.loop.now() - begun_);
  client_body_ = ClientBody::as_is;
  write(head, head_request_ || bodyless ? std::string_view{} : body);
  finish({});
}

bool ServerConnection::begin_answer(const wire::ResponseHead& head, std::string_view first) {
  client_body_ = plan_body(head, minor_version_);
  if (client_body_ == ClientBody::until_close) persistent_ = false;
  const auto field = will_close()          ? ConnectionField::close
                     : minor_version_ == 0 ? ConnectionField::keep_alive
                                           : ConnectionField::none;
  std::string& out = context_.head_buffer;
  out.clear();
  write_client_head(out, head, client_body_, field, request_id());
  context_.counters.count_answer(head.status, context_.loop.now() - begun_);
  if (client_body_ != ClientBody::chunked || first.empty()) return write(out, first);
  std::array<char, 20> size;
  out.append(wire::chunk_head(first.size(), size));
  write(out, first);
  return write("\r\n", {});
}

bool ServerConnection::send(std::string_view bytes) {
  if (client_body_ != ClientBody::chunked) return write(bytes, {});
  if (bytes.empty()) return true;  // an empty chunk would be the last one
  std::array<char, 20> size;
  write(wire::chunk_head(bytes.size(), size), bytes);
  return write("\r\n", {});
}

bool ServerConnection::write(std::string_view first, std::string_view second) {
  answer_begun_ = true;
  connection_.write(first, second);
  const std::size_t backlog = connection_.backlog();
  if (backlog == 0) return true;
  if (!timer_.armed()) set_write_deadline();
  return backlog < context_.limits.output_bytes_high;
}

void ServerConnection::set_write_deadline() {
  sent_mark_ = connection_.sent_bytes();
  timer_.set_after(context_.limits.write_idle_ms);
}

bool ServerConnection::will_close() {
  if (!persistent_ || !body_done() || context_.draining || disbelieved_ ||
      requests_ >= context_.limits.requests_per_connection_max) {
    told_close_ = true;
  }
  return told_close_;
}

void ServerConnection::finish(std::span<const wire::Field>) {
  if (client_body_ == ClientBody::chunked) write("0\r\n\r\n", {});
  responder_ = nullptr;
  if (phase_ == Phase::closed) return;
  // A drain that began after the answer's head leaves the client one more request: it was not told.
  if (told_close_ || !persistent_ || disbelieved_ || !body_done()) {
    in_ = std::string();
    pending_ = false;
    connection_.finish_writing();
    enter(Phase::lingering);
    connection_.resume_reading();
    return;
  }
  enter(Phase::idle);
  if (pending_ || connection_.readable()) connection_.resume_reading();
}

void ServerConnection::abort() {
  responder_ = nullptr;
  if (phase_ == Phase::closed) return;
  connection_.reset();
  gone();
}

void ServerConnection::switch_protocols(const wire::ResponseHead& head, Responder& next) {
  std::string& out = context_.head_buffer;
  out.clear();
  write_client_head(out, head, ClientBody::as_is, ConnectionField::websocket, request_id());
  context_.counters.count_answer(head.status, context_.loop.now() - begun_);
  write(out, {});
  responder_ = &next;
  persistent_ = false;
  body_wanted_ = true;
  enter(Phase::tunnel);
  connection_.resume_reading();
}

}  // namespace domicile::http
