#include "http/mounts.h"

#include <algorithm>
#include <exception>

#include <fmt/format.h>

#include "base/log.h"
#include "http/server_context.h"
#include "wire/http1_chars.h"

namespace domicile::http {
namespace {

// Lives on the loop until its answer is posted back; only `request` and `response` are touched by
// the worker, and only in between.
class HandlerCall final : public Responder {
 public:
  HandlerCall(const Handler& handler, Exchange& exchange, runtime::WorkerPool& pool,
              std::size_t body_bytes_max)
      : handler_(handler), exchange_(&exchange), pool_(pool), body_bytes_max_(body_bytes_max) {}

  static Responder* start(std::unique_ptr<HandlerCall> call) {
    HandlerCall* self = call.get();
    self->self_ = std::move(call);
    if (self->exchange_->body_done()) return submit(*self) ? self : nullptr;
    self->exchange_->want_body();
    return self;
  }

  void on_body(std::string_view bytes) override {
    if (request.body.size() + bytes.size() <= body_bytes_max_) {
      request.body += bytes;
      return;
    }
    const auto self = std::move(self_);
    exchange_->refuse(413, "body_too_large", "The body is larger than this endpoint takes.",
                      AfterAnswer::close);
  }
  void on_body_end() override { submit(*this); }
  void on_gone() override {
    exchange_ = nullptr;
    if (self_) const auto self = std::move(self_);  // not submitted yet: nobody else needs it
  }

  Request request;
  Response response;

 private:
  static bool submit(HandlerCall& call) {
    Exchange& exchange = *call.exchange_;
    auto mailbox = exchange.context().loop.mailbox();
    const bool accepted =
        call.pool_.submit([self = std::move(call.self_), mailbox = std::move(mailbox)]() mutable {
          self->run();
          mailbox->post([self = std::move(self)] { self->deliver(); });
        });
    // A refused task took the call with it: `call` is gone.
    if (!accepted) {
      exchange.refuse(503, "overloaded", "Too many requests are waiting; try again shortly.",
                      AfterAnswer::keep, "Retry-After: 1\r\n");
    }
    return accepted;
  }

  void run() {
    try {
      response = handler_(request);
    } catch (const std::exception& error) {
      log_error("http", fmt::format("handler of {} threw: {}", request.path, error.what()));
      response = problem(500, "internal", "", request);
    } catch (...) {
      log_error("http", fmt::format("handler of {} threw", request.path));
      response = problem(500, "internal", "", request);
    }
  }

  void deliver() {
    if (exchange_ == nullptr) return;
    std::string fields;
    std::string_view content_type;
    for (const auto& [name, value] : response.headers) {
      if (!wire::all_of_class(name, wire::kTokenChar) || !wire::all_field_value(value)) {
        log_error("http", fmt::format("handler of {} gave a malformed header", request.path));
        exchange_->refuse(500, "internal", "");
        return;
      }
      if (name == "content-type") {
        content_type = value;
      } else if (name != "content-length" && name != "connection" && name != "transfer-encoding") {
        fields += fmt::format("{}: {}\r\n", name, value);
      }
    }
    exchange_->answer(response.status, fields, content_type, response.body);
  }

  const Handler& handler_;
  Exchange* exchange_;  // null: the client is gone
  runtime::WorkerPool& pool_;
  std::size_t body_bytes_max_;
  std::unique_ptr<HandlerCall> self_;
};

std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), wire::to_lower);
  return out;
}

}  // namespace

Mounts::Mounts(runtime::WorkerPool& pool, std::size_t body_bytes_max)
    : pool_(pool), body_bytes_max_(body_bytes_max) {}

void Mounts::add(std::string prefix, Handler handler) {
  const auto place = std::ranges::find_if(
      entries_, [&](const auto& entry) { return entry.first.size() < prefix.size(); });
  entries_.emplace(place, std::move(prefix), std::move(handler));
}

const Handler* Mounts::find(std::string_view path) const {
  for (const auto& [prefix, handler] : entries_) {
    if (prefix.ends_with('/') ? path.starts_with(prefix) : path == prefix) return &handler;
  }
  return nullptr;
}

Responder* Mounts::begin(const Handler& handler, Exchange& exchange, const wire::RequestHead& head,
                         const wire::CleanPath& path) const {
  if (head.section.content_length > body_bytes_max_) {
    exchange.refuse(413, "body_too_large", "The body is larger than this endpoint takes.",
                    AfterAnswer::close);
    return nullptr;
  }
  auto call = std::make_unique<HandlerCall>(handler, exchange, pool_, body_bytes_max_);
  call->request.method = head.method_name;
  call->request.path = path.decoded;
  call->request.query = head.query;
  for (const wire::Field& field : head.section.fields()) {
    call->request.headers.emplace_back(lower(field.name), field.value);
  }
  call->request.peer_ip = exchange.peer_ip();
  call->request.request_id = exchange.request_id();
  call->request.tls = exchange.encrypted();
  if (const auto* shown = exchange.client_certificate()) call->request.certificate = *shown;
  return HandlerCall::start(std::move(call));
}

Responder* MountsService::begin(Exchange& exchange, const wire::RequestHead& head,
                                const wire::CleanPath& path) {
  if (const Handler* handler = mounts_.find(path.decoded)) {
    return mounts_.begin(*handler, exchange, head, path);
  }
  exchange.refuse(404, "not_found", "Nothing is served under this path.");
  return nullptr;
}

}  // namespace domicile::http
