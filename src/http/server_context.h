// What all connections of one loop share: the parsed head of the request that is being looked at,
// ids, the date, counters, limits. Belongs to the loop's thread.
#pragma once

#include <array>
#include <cstdint>
#include <ctime>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "http/exchange.h"
#include "http/metrics.h"
#include "http/server_options.h"
#include "runtime/loop.h"
#include "runtime/tls.h"
#include "wire/http2_request.h"

namespace domicile::http {

// 32 hex digits: 64 random bits of this loop, then a scrambled count. Unique, cheap, and no secret.
class RequestIds {
 public:
  static constexpr std::size_t kSize = Exchange::kRequestIdSize;
  RequestIds();
  void next(std::array<char, kSize>& out);

 private:
  std::uint64_t base_;
  std::uint64_t count_;
};

struct ServerCounters {
  explicit ServerCounters(Metrics& metrics);
  Counter& connections_total;
  Counter& connections_open;
  Counter& connections_refused;
  Counter& handshakes_failed;
  Counter& requests_total;
  Counter& malformed_total;
  Counter& timeouts_total;
  Counter& http2_connections;
  Counter& http2_abuses;
  std::array<Counter*, 6> answers;  // by hundreds of the status; [0] unused
  Histogram& answer_seconds;
  void count_answer(int status, SteadyTime::duration after);  // its request's head
};

// A client's connection, of whichever protocol, as the list of a loop's connections knows it.
class ClientConnection : public runtime::Disposable {
 public:
  virtual void drain_begun() {}    // no new requests, once the client knows
  virtual void end_if_idle() = 0;  // draining: with a last look at what the client may have sent
  virtual void cut() = 0;          // now
  // Ends, with what is under way at the latest, when this context does not believe the certificate.
  virtual void check_certificate(const runtime::TlsContext& tls) = 0;

 private:
  friend class ServerContext;
  std::size_t index_ = 0;
};

class ServerContext {
 public:
  ServerContext(runtime::Loop& loop, const ServerLimits& limits, Metrics& metrics);

  runtime::Loop& loop;
  const ServerLimits& limits;
  ServerCounters counters;
  RequestIds ids;
  wire::RequestHead head;
  std::vector<char> path_scratch;
  std::string head_buffer;  // of the head that is being written
  std::unique_ptr<wire::Http2Head> spare_http2_head;
  Service* service = nullptr;
  bool draining = false;
  std::function<void()> on_empty;  // while draining, when the last connection is gone

  std::string_view date();  // IMF-fixdate of now

  void add(std::unique_ptr<ClientConnection> connection);
  void remove(ClientConnection& connection);  // destroyed at the end of the turn
  // The same client goes on in another protocol.
  void replace(ClientConnection& connection, std::unique_ptr<ClientConnection> next);
  std::size_t size() const { return connections_.size(); }
  void tell_drain();
  void close_idle();
  // New authorities or revocation lists: whose certificate they do not believe ends.
  void check_certificates(const runtime::TlsContext& tls);
  void destroy_all();
  ~ServerContext();

 private:
  std::vector<std::unique_ptr<ClientConnection>> connections_;  // each knows its index
  std::time_t date_second_ = -1;
  std::array<char, 30> date_{};
};

}  // namespace domicile::http
