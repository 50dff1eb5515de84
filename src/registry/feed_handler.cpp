#include "registry/feed_handler.h"

#include <algorithm>
#include <atomic>
#include <charconv>

#include <fmt/format.h>

#include "base/log.h"
#include "registry/feed_codec.h"

namespace domicile::registry {
namespace {

struct Question {
  RegistryHead known;
  unsigned limit = 5000;
  std::chrono::milliseconds wait{0};
};

std::optional<std::uint64_t> number(std::string_view text, std::uint64_t most) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.begin(), text.end(), value);
  if (error != std::errc{} || end != text.end() || value > most) return std::nullopt;
  return value;
}

std::optional<Question> parse(std::string_view query) {
  Question question;
  const auto pairs = http::parse_form(query);
  if (!pairs) return std::nullopt;
  for (const auto& [name, value] : *pairs) {
    std::optional<std::uint64_t> parsed = 0;
    if (name == "since") {
      parsed = number(value, INT64_MAX);
      question.known.revision = parsed.value_or(0);
    } else if (name == "limit") {
      parsed = number(value, 10'000);
      question.limit = static_cast<unsigned>(parsed.value_or(0));
    } else if (name == "wait") {
      parsed = number(value, 10'000);
      question.wait = std::chrono::milliseconds(parsed.value_or(0));
    } else if (name == "registry") {
      question.known.registry_id = value;
    } else if (name == "chain") {
      const auto chain = parse_hash(value);
      if (!chain) return std::nullopt;
      question.known.chain = *chain;
    } else {
      return std::nullopt;
    }
    if (!parsed) return std::nullopt;
  }
  return question;
}

class Waiting {
 public:
  Waiting(std::atomic<unsigned>& count, unsigned most)
      : count_(count), admitted_(count_.fetch_add(1) < most) {}
  ~Waiting() { count_.fetch_sub(1); }
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;
  bool admitted() const { return admitted_; }

 private:
  std::atomic<unsigned>& count_;
  bool admitted_;
};

http::Response refusal(const Error& error, const http::Request& request) {
  if (error.code == Code::conflict && error.reason.starts_with("registry_")) {
    return http::problem(409, error.reason, "this is not the history that the caller has followed",
                         request);
  }
  log_error("registry", fmt::format("the feed cannot be read: {}", error.message));
  return http::problem(503, "registry_unavailable", "the registry cannot be read now", request);
}

}  // namespace

http::Handler feed_handler(RegistryStore& store, FeedOptions options) {
  auto waiting = std::make_shared<std::atomic<unsigned>>(0);
  return [&store, options = std::move(options),
          waiting](const http::Request& request) -> http::Response {
    if (auto refused = options.gate.refuse(request)) return *std::move(refused);
    if (request.method != "GET") {
      auto refused = http::problem(405, "method_not_allowed", "use GET", request);
      refused.headers.emplace_back("allow", "GET");
      return refused;
    }
    const auto question = parse(request.query);
    if (!question)
      return http::problem(400, "invalid_query", "see docs/registry.md for the parameters",
                           request);

    auto delta = store.changes(question->known, question->limit);
    const bool nothing_new =
        delta && delta->head.revision == question->known.revision && !delta->more;
    if (nothing_new && question->wait.count() > 0 && options.wait_past) {
      const Waiting turn(*waiting, options.max_waiting);
      if (turn.admitted() &&
          options.wait_past(question->known.revision, std::min(question->wait, options.wait_max))) {
        delta = store.changes(question->known, question->limit);
      }
    }
    if (!delta) return refusal(delta.error(), request);
    return http::json_response(200, encode_delta(*delta));
  };
}

}  // namespace domicile::registry
