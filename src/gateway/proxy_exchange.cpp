#include "gateway/proxy_exchange.h"

#include <algorithm>
#include <utility>

#include "gateway/gateway_loop.h"
#include "gateway/refusal.h"

namespace domicile::gateway {
namespace {

using http::AfterAnswer;
using http::UpstreamPool;
using runtime::Connection;
using wire::BodyKind;
using wire::Fault;

constexpr int kReadsPerTurn = 16;
constexpr std::size_t kKeptBytes = 16 * 1024;  // larger buffers are given back after a request

}  // namespace

ProxyExchange::ProxyExchange(GatewayLoop& gateway)
    : gateway_(gateway), timer_(gateway.context().loop, [this] { on_deadline(); }) {}

ProxyExchange::~ProxyExchange() = default;

void ProxyExchange::prepare(http::Exchange& exchange, const wire::RequestHead& head,
                            UpstreamPool& pool) {
  exchange_ = &exchange;
  pool_ = &pool;
  method_ = head.method;
  has_body_ = head.section.body != BodyKind::none;
  chunked_request_ = head.section.body == BodyKind::chunked;
  request_done_ = !has_body_;
  scanner_.reset();
  decoder_ = {};
  decode_ = false;
  body_ = BodyKind::none;
  left_ = 0;
  connects_ = 0;
  failed_ = 0;
  recording_ = head_sent_ = connected_ = heard_ = answering_ = paused_ = false;
  reusable_ = retried_ = false;
  const auto total = gateway_.options().total_ms;
  until_ = total.count() == 0 ? SteadyTime::max() : gateway_.context().loop.now() + total;
}

void ProxyExchange::put_back() {
  timer_.cancel();
  exchange_ = nullptr;
  upstream_ = nullptr;
  held_.reset();
  tunnel_.reset();
  for (std::string* buffer : {&head_, &in_, &trailers_}) {
    if (buffer->capacity() > kKeptBytes) {
      *buffer = std::string();
    } else {
      buffer->clear();
    }
  }
  gateway_.put_back(*this);
}

void ProxyExchange::cancel() { put_back(); }

void ProxyExchange::wait_for_record() {
  recording_ = true;
  timer_.set_after(gateway_.options().record_ms);
}

// The event is durable, or will not be. Between the decision and now the organization may have
// moved.
void ProxyExchange::recorded(bool durable) {
  if (exchange_ == nullptr) {
    put_back();
    return;
  }
  recording_ = false;
  disarm();
  http::Exchange& exchange = *exchange_;
  if (!durable) {
    put_back();
    refuse_unrecorded(exchange);
    return;
  }
  if (held_->snapshot != gateway_.snapshot()) {
    if (const auto route = policy::route(held_->permit, *gateway_.snapshot()); !route) {
      const auto snapshot = gateway_.snapshot();
      domain::Event event = std::move(held_->event);
      put_back();
      gateway_.refuse_late(exchange, route.error(), std::move(event));
      return;
    }
  }
  start();
}

void ProxyExchange::start() {
  held_.reset();
  if (has_body_) {
    disarm();
    exchange_->want_body();  // the upstream is bothered once there is something to give
  } else if (open(UpstreamPool::Want::any)) {
    send_request({});
  }
}

bool ProxyExchange::open(UpstreamPool::Want want) {
  ++connects_;
  const auto taken = pool_->take(*this, want, failed_);
  if (taken.connection == nullptr) {
    refuse_upstream(taken.refused);
    return false;
  }
  upstream_ = taken.connection;
  connected_ = upstream_->io().ready();
  arm(connected_ ? gateway_.options().upstream_response_ms : gateway_.options().connect_ms);
  return true;
}

void ProxyExchange::send_request(std::string_view body) {
  if (!std::exchange(head_sent_, true)) {
    upstream_->io().write(head_, body);
  } else {
    upstream_->io().write(body);
  }
}

void ProxyExchange::on_body(std::string_view bytes) {
  if (upstream_ == nullptr && !open(UpstreamPool::Want::any)) return;
  if (chunked_request_) {
    std::array<char, 20> size;
    std::string& out = gateway_.head_buffer();
    out.assign(wire::chunk_head(bytes.size(), size)).append(bytes).append("\r\n");
    send_request(out);
  } else {
    send_request(bytes);
  }
  if (connected_) arm(gateway_.options().upstream_response_ms);
  if (upstream_->io().backlog() > gateway_.options().limits.output_bytes_high) {
    exchange_->pause_body();
  }
}

void ProxyExchange::on_body_end() {
  request_done_ = true;
  if (upstream_ == nullptr && !open(UpstreamPool::Want::any)) return;
  if (chunked_request_) send_request("0\r\n\r\n");
}

void ProxyExchange::on_upstream_connected() {
  connected_ = true;
  arm(gateway_.options().upstream_response_ms);
}

void ProxyExchange::on_upstream_drained() {
  if (!request_done_) exchange_->want_body();
}

void ProxyExchange::on_drained() {
  if (!std::exchange(paused_, false)) return;
  arm(gateway_.options().upstream_idle_ms);
  upstream_->io().resume_reading();
}

void ProxyExchange::on_gone() {
  exchange_ = nullptr;
  if (recording_) return;  // recorded() will come, and finds nobody
  if (upstream_ != nullptr) std::exchange(upstream_, nullptr)->discard();
  put_back();
}

void ProxyExchange::on_upstream_readable() {
  for (int i = 0; i < kReadsPerTurn; ++i) {
    if (paused_ || !upstream_->io().readable()) return;
    const auto read = upstream_->io().read();
    switch (read.state) {
      case Connection::ReadState::data:
        heard_ = true;
        if (!relay(read.bytes)) return;
        break;
      case Connection::ReadState::again: return;
      case Connection::ReadState::end: upstream_ended(); return;
      case Connection::ReadState::broken: on_upstream_broken(); return;
    }
  }
  upstream_->io().resume_reading();
}

void ProxyExchange::upstream_ended() {
  if (answering_ && body_ == BodyKind::until_close) {
    complete(true);
    return;
  }
  on_upstream_broken();
}

// A kept connection may have been closed by the upstream just when it was chosen: one more try, on
// a new one, and only if doing it twice cannot matter. One that never came up was never used: what
// waited to be sent on it, also of a body, goes to the next address.
bool ProxyExchange::try_again() {
  if (heard_) return false;
  if (!connected_) {
    failed_ |= std::uint64_t{1} << upstream_->address();
    if (connects_ >= pool_->address_count()) return false;
    const std::string unsent = upstream_->io().take_unsent();
    std::exchange(upstream_, nullptr)->discard();
    if (open(UpstreamPool::Want::any)) {
      upstream_->io().write(unsent);
      // A kept connection may have taken all of it: then nobody tells that there is room again.
      if (!request_done_ && upstream_->io().backlog() == 0) exchange_->want_body();
    }
    return true;
  }
  if (!upstream_->reused() || retried_ || has_body_ || !wire::is_idempotent(method_)) return false;
  retried_ = true;
  std::exchange(upstream_, nullptr)->discard();
  head_sent_ = false;
  if (open(UpstreamPool::Want::fresh)) send_request({});
  return true;
}

void ProxyExchange::on_upstream_broken() {
  if (try_again()) return;
  if (!connected_) {
    fail(502, "upstream_unreachable", "The application cannot be reached.");
  } else {
    fail(502, "upstream_closed", "The application closed the connection before its answer ended.");
  }
}

// False once the exchange is over.
bool ProxyExchange::relay(std::string_view bytes) {
  if (answering_) return relay_body({}, bytes);
  if (!in_.empty()) {
    in_.append(bytes);
    const std::string held = std::exchange(in_, {});
    std::string_view view = held;
    return relay_head(view);
  }
  return relay_head(bytes);
}

bool ProxyExchange::relay_head(std::string_view& bytes) {
  wire::ResponseHead& head = gateway_.response_head();
  const auto& limits = gateway_.options().limits.head;
  while (true) {
    const auto state = scanner_.scan(bytes, limits.head_bytes_max);
    if (state == wire::HeadScanner::State::more) {
      in_.assign(bytes);
      return true;
    }
    if (state == wire::HeadScanner::State::fault) return malformed();
    const std::size_t size = scanner_.head_size();
    scanner_.reset();
    if (head.parse(bytes.substr(0, size), method_, limits) != Fault::none) return malformed();
    bytes.remove_prefix(size);
    if (!head.interim()) break;
    if (head.status == 101) {  // when somebody asked for another protocol, and for this one
      const bool ours = tunnel_ != nullptr && wire::accepts_websocket(head, tunnel_->accept) &&
                        !head.section.has_content_length;
      return ours ? begin_tunnel(head, bytes) : malformed();
    }
    if (bytes.empty()) return true;
  }
  body_ = head.section.body;
  left_ = head.section.content_length;
  reusable_ = head.persistent;
  decode_ = body_ == BodyKind::chunked && !exchange_->takes_chunks();
  return relay_body(&head, bytes);
}

bool ProxyExchange::malformed() {
  fail(502, "upstream_malformed", "The application's answer cannot be understood in one way.");
  return false;
}

bool ProxyExchange::begin_tunnel(const wire::ResponseHead& head, std::string_view rest) {
  http::Exchange& client = *exchange_;
  http::UpstreamConnection& upstream = *std::exchange(upstream_, nullptr);
  TunnelRight right = std::move(*tunnel_);
  put_back();
  gateway_.tunnels().start(client, upstream, std::move(right), head, rest);
  return false;
}

bool ProxyExchange::relay_body(const wire::ResponseHead* head, std::string_view bytes) {
  arm(gateway_.options().upstream_idle_ms);
  switch (body_) {
    case BodyKind::none: send_to_client(head, {}); return complete(!bytes.empty());
    case BodyKind::length: {
      const std::string_view piece =
          bytes.substr(0, static_cast<std::size_t>(std::min<std::uint64_t>(left_, bytes.size())));
      left_ -= piece.size();
      send_to_client(head, piece);
      return left_ > 0 || complete(bytes.size() > piece.size());
    }
    case BodyKind::chunked: return relay_chunked(head, bytes);
    case BodyKind::until_close: send_to_client(head, bytes); return true;
  }
  return false;
}

// Checked chunk by chunk; forwarded as it came, or taken apart for clients that take no chunks.
bool ProxyExchange::relay_chunked(const wire::ResponseHead* head, std::string_view bytes) {
  std::size_t used = 0;
  while (used < bytes.size() && !decoder_.done()) {
    const auto step = decoder_.step(bytes.substr(used));
    if (step.fault != Fault::none) return malformed();
    used += step.consumed;
    if (!decode_) continue;
    if (!step.data.empty()) send_to_client(std::exchange(head, nullptr), step.data);
    trailers_.append(step.trailers);
  }
  if (!decode_) {
    send_to_client(head, bytes.substr(0, used));
  } else if (head != nullptr) {
    send_to_client(head, {});
  }
  return !decoder_.done() || complete(used < bytes.size());
}

void ProxyExchange::send_to_client(const wire::ResponseHead* head, std::string_view piece) {
  answering_ = true;
  if (head == nullptr && piece.empty()) return;
  const bool more =
      head != nullptr ? exchange_->begin_answer(*head, piece) : exchange_->send(piece);
  if (!more) {
    paused_ = true;
    disarm();  // the client's own deadline counts now
  }
}

bool ProxyExchange::complete(bool excess) {
  http::Exchange& exchange = *exchange_;
  // The section's last line is empty; without any other there are no trailers.
  const std::string trailers = std::move(trailers_);
  wire::FieldSection& section = gateway_.response_head().section;
  section.count = 0;
  if (trailers.size() > 2 &&
      section.parse(std::string_view(trailers).substr(0, trailers.size() - 2),
                    gateway_.options().limits.head) != Fault::none) {
    return malformed();
  }
  http::UpstreamConnection* upstream = std::exchange(upstream_, nullptr);
  // A server that leaves a body unread, since its method gives it no meaning, takes it for the next
  // request: what it answers then must meet nobody's question.
  const bool told_apart = !has_body_ || wire::gives_body_meaning(method_);
  const bool reusable = reusable_ && request_done_ && !excess && told_apart;
  if (reusable) {
    upstream->release();
  } else {
    upstream->discard();
  }
  put_back();
  exchange.finish(section.fields());
  return false;
}

void ProxyExchange::refuse_upstream(UpstreamPool::Refused refused) {
  switch (refused) {
    case UpstreamPool::Refused::circuits_open:
      fail(503, "upstream_unavailable", "The application cannot be reached: try again shortly.",
           retry_after(pool_->health().next_trial(gateway_.context().loop.now())));
      return;
    case UpstreamPool::Refused::too_many:
      fail(503, "upstream_overloaded", "The application has too much to do: try again shortly.",
           "Retry-After: 1\r\n");
      return;
    case UpstreamPool::Refused::system:
    case UpstreamPool::Refused::no:
      fail(502, "upstream_unreachable", "The application cannot be reached.");
      return;
  }
}

void ProxyExchange::fail(int status, std::string_view reason, std::string_view detail,
                         std::string_view fields) {
  http::Exchange& exchange = *exchange_;
  const bool answering = answering_;
  if (upstream_ != nullptr) std::exchange(upstream_, nullptr)->discard();
  gateway_.count_upstream_failure(reason);
  put_back();
  if (answering) {
    exchange.abort();
  } else {
    exchange.refuse(status, reason, detail, AfterAnswer::keep, fields);
  }
}

// Each phase has its deadline, and the exchange has one that no phase can put off.
void ProxyExchange::arm(std::chrono::milliseconds delay) {
  timer_.set(std::min<SteadyTime>(gateway_.context().loop.now() + delay, until_));
}

void ProxyExchange::disarm() {
  if (until_ == SteadyTime::max()) {
    timer_.cancel();
  } else {
    timer_.set(until_);
  }
}

void ProxyExchange::on_deadline() {
  if (recording_) {
    refuse_unrecorded(*std::exchange(exchange_, nullptr));  // recorded() comes when it comes
    return;
  }
  if (gateway_.context().loop.now() >= until_) {
    fail(504, "request_timeout", "The request took longer than this door allows.");
    return;
  }
  if (!connected_) {
    upstream_->connect_failed();
    if (try_again()) return;
    fail(504, "upstream_connect_timeout", "The application does not accept connections.");
  } else {
    fail(504, "upstream_timeout", "The application did not answer in time.");
  }
}

}  // namespace domicile::gateway
