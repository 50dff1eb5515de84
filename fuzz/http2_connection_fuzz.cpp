// Any bytes, or any frames, from an HTTP/2 client to a server's connection on a real socket: never a
// crash, no more of a body than was sent, and every responder that was begun ends exactly once.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "http/http2_connection.h"
#include "http/http2_test_client.h"
#include "http/problem.h"

using namespace domicile;
using Client = http::Http2TestClient;

namespace {

// Answers each request in a way that its path's length chooses: at once, or at the body's end in
// pieces, with trailers, with a reset, or by a pause in the middle of the body.
class Answering final : public http::Responder {
 public:
  Answering(http::Exchange& exchange, unsigned way, std::size_t& open, std::size_t& bytes)
      : exchange_(exchange), way_(way), open_(open), bytes_(bytes) {
    ++open_;
  }
  void start() {
    if (exchange_.body_done()) {
      answer();
    } else {
      exchange_.want_body();
    }
  }
  void on_body(std::string_view bytes) override {
    CHECK(!over_);
    bytes_ += bytes.size();
    if (way_ == 3) {
      exchange_.pause_body();
      exchange_.want_body();
    }
    if (way_ == 4) {
      end();
      exchange_.refuse(413, "body_too_large", "", http::AfterAnswer::close);
    }
  }
  void on_body_end() override {
    CHECK(!over_);
    answer();
  }
  void on_gone() override { end(); }
  bool over() const { return over_; }

 private:
  void end() {
    CHECK(!over_);
    over_ = true;
    --open_;
  }
  void answer() {
    end();
    if (way_ == 1) {
      exchange_.abort();
      return;
    }
    if (way_ == 0) {
      exchange_.answer(200, "X-A: b\r\n", "text/plain", std::string(3000, 'a'),
                       http::AfterAnswer::keep);
      return;
    }
    static wire::ResponseHead head;
    constexpr std::string_view text = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    CHECK(head.parse(text, wire::Method::post, {}) == wire::Fault::none);
    exchange_.begin_answer(head, "first");
    exchange_.send(std::string(2000, 'b'));
    const wire::Field trailer{.name = "X-Sum", .value = "1"};
    exchange_.finish({&trailer, way_ == 2 ? 1u : 0u});
  }

  http::Exchange& exchange_;
  unsigned way_;
  std::size_t& open_;
  std::size_t& bytes_;
  bool over_ = false;
};

class FuzzService final : public http::Service {
 public:
  http::Responder* begin(http::Exchange& exchange, const wire::RequestHead&,
                         const wire::CleanPath& path) override {
    all.push_back(std::make_unique<Answering>(exchange, path.decoded.size() % 5, open, bytes));
    all.back()->start();
    return all.back()->over() ? nullptr : all.back().get();
  }
  std::vector<std::unique_ptr<Answering>> all;
  std::size_t open = 0;
  std::size_t bytes = 0;
};

// Frames whose heads are right and whose contents are anything.
std::string frames_of(std::string_view bytes) {
  std::string out = std::string(Client::kPreface) + Client::bytes_of(Client::kSettings, 0, 0, "");
  while (bytes.size() >= 4) {
    const int type = static_cast<unsigned char>(bytes[0]) % 11;
    const int flags = static_cast<unsigned char>(bytes[1]) & 0x2d;
    const std::uint32_t stream = static_cast<unsigned char>(bytes[2]) % 8;
    const std::size_t size =
        std::min<std::size_t>(static_cast<unsigned char>(bytes[3]) % 64, bytes.size() - 4);
    std::string payload(bytes.substr(4, size));
    bytes.remove_prefix(4 + size);
    if (type == Client::kHeaders && size % 4 != 3) {
      payload = Client::block(Client::request("POST", "/" + std::string(size % 7, 'p'))) + payload;
    }
    out += Client::bytes_of(type, flags, stream, payload);
  }
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0 || size > 8192) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data + 1), size - 1);
  const std::string input =
      (data[0] & 1) != 0 ? frames_of(bytes) : std::string(Client::kPreface).append(bytes);

  int ends[2];
  CHECK(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0);
  const runtime::Fd client(ends[0]);
  SystemClock clock;
  http::Metrics metrics;
  http::ServerLimits limits;
  limits.body_bytes_max = 300;
  limits.idle_ms = limits.linger_ms = limits.write_idle_ms = std::chrono::milliseconds(1);
  limits.body_idle_ms = limits.head_ms = std::chrono::milliseconds(2);
  limits.http2.resets_burst = 5;
  limits.http2.idle_frames_burst = 50;
  FuzzService service;
  auto loop = runtime::Loop::create(clock).value();
  {
    http::ServerContext context(*loop, limits, metrics);
    context.service = &service;
    context.on_empty = [&] { loop->stop(); };
    auto owned = std::make_unique<http::Http2Connection>(context, runtime::Fd(ends[1]), nullptr,
                                                         "127.0.0.1");
    http::Http2Connection& connection = *owned;
    context.add(std::move(owned));
    const std::size_t at_once = input.size() / (1 + data[0] % 3);
    connection.begin(std::string_view(input).substr(0, at_once));
    (void)!::write(client.get(), input.data() + at_once, input.size() - at_once);
    ::shutdown(client.get(), SHUT_WR);
    loop->run();
    CHECK(context.size() == 0);
  }
  CHECK(service.open == 0);
  CHECK(service.bytes <= input.size());
  return 0;
}
