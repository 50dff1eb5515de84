// One permitted request on its way: waits for its event, goes to the upstream, and comes back, with
// backpressure in both directions and bounded memory: at any time at most one side is behind, and
// the other is not read then. Reused for many requests of its loop, one at a time.
//
//   recording -> (body) -> connecting -> sent -> answering -> put back
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "domain/event.h"
#include "gateway/forwarding.h"
#include "gateway/tunnel.h"
#include "http/exchange.h"
#include "http/upstream_pool.h"
#include "policy/route.h"
#include "runtime/timer.h"
#include "wire/http1_chunked.h"

namespace domicile::gateway {

class GatewayLoop;

class ProxyExchange final : public http::Responder, private http::UpstreamConnection::User {
 public:
  explicit ProxyExchange(GatewayLoop& gateway);
  ~ProxyExchange();

  // The head to send: write it before start() or record().
  std::string& head() { return head_; }
  void prepare(http::Exchange& exchange, const wire::RequestHead& head, http::UpstreamPool& pool);
  // Everything a decision rests on, while its event is being made durable.
  struct Held {
    std::shared_ptr<const policy::RoutePolicy> policy;
    std::shared_ptr<const domain::RegistrySnapshot> snapshot;
    std::shared_ptr<const domain::Principal> principal;
    policy::Permit permit;
    domain::Event event;  // again, should the permit not hold
  };
  void hold(Held held) { held_.emplace(std::move(held)); }
  void wait_for_record();
  void recorded(bool durable);
  // A handshake: should the upstream switch protocols, a tunnel takes over.
  void offer(std::unique_ptr<TunnelRight> right) { tunnel_ = std::move(right); }
  bool active() const { return exchange_ != nullptr; }
  void start();
  void cancel();  // refused before it started

 private:
  void on_body(std::string_view bytes) override;
  void on_body_end() override;
  void on_drained() override;
  void on_gone() override;
  void on_upstream_connected() override;
  void on_upstream_readable() override;
  void on_upstream_drained() override;
  void on_upstream_broken() override;

  bool open(http::UpstreamPool::Want want);
  void send_request(std::string_view body);
  bool try_again();
  void upstream_ended();
  bool relay(std::string_view bytes);
  bool relay_head(std::string_view& bytes);
  bool malformed();
  bool begin_tunnel(const wire::ResponseHead& head, std::string_view rest);
  // `head` is to be sent first, or null once it was.
  bool relay_body(const wire::ResponseHead* head, std::string_view bytes);
  bool relay_chunked(const wire::ResponseHead* head, std::string_view bytes);
  void send_to_client(const wire::ResponseHead* head, std::string_view piece);
  bool complete(bool excess);
  void fail(int status, std::string_view reason, std::string_view detail,
            std::string_view fields = {});
  void refuse_upstream(http::UpstreamPool::Refused refused);
  void arm(std::chrono::milliseconds delay);
  void disarm();
  void on_deadline();
  void put_back();

  GatewayLoop& gateway_;
  runtime::Timer timer_;
  http::Exchange* exchange_ = nullptr;
  http::UpstreamPool* pool_ = nullptr;
  http::UpstreamConnection* upstream_ = nullptr;
  std::optional<Held> held_;
  std::unique_ptr<TunnelRight> tunnel_;
  std::string head_;
  std::string trailers_;  // of a chunked answer that is taken apart
  std::string in_;        // of the upstream's head, while it is not complete
  wire::HeadScanner scanner_;
  wire::ChunkedDecoder decoder_;
  wire::Method method_ = wire::Method::other;
  wire::BodyKind body_ = wire::BodyKind::none;  // of the response
  std::uint64_t left_ = 0;
  unsigned connects_ = 0;
  std::uint64_t failed_ = 0;              // addresses to which no connection came up, as bits
  SteadyTime until_ = SteadyTime::max();  // the whole exchange's deadline
  bool recording_ = false;
  bool chunked_request_ = false;
  bool has_body_ = false;
  bool head_sent_ = false;
  bool request_done_ = false;
  bool connected_ = false;
  bool heard_ = false;      // the upstream has said something: no more second tries
  bool answering_ = false;  // the client has been sent the head
  bool paused_ = false;     // the client is slow: the upstream is not read
  bool reusable_ = false;
  bool decode_ = false;  // the upstream's chunks are taken apart
  bool retried_ = false;
};

}  // namespace domicile::gateway
