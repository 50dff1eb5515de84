#include "issuer/remote_keys.h"

#include <algorithm>
#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>

#include <fmt/format.h>

#include "base/log.h"

namespace domicile::issuer {

class RemoteKeys::Worker {
 public:
  Worker(RemoteKeysOptions options, const Clock& clock, Sources sources, Deliver deliver)
      : options_(std::move(options)),
        clock_(clock),
        sources_(std::move(sources)),
        deliver_(std::move(deliver)),
        client_(options_.client),
        thread_([this] { run(); }) {}

  ~Worker() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_one();
    thread_.join();
  }

  void wake() {
    {
      const std::lock_guard lock(mutex_);
      woken_ = true;
    }
    wake_.notify_one();
  }

  void unknown_key(std::string_view issuer) {
    {
      const std::lock_guard lock(mutex_);
      // Bounded: whoever floods us with unknown keys names issuers that we know, or is ignored
      // later.
      if (asked_.size() < 64 && std::ranges::find(asked_, issuer) == asked_.end())
        asked_.emplace_back(issuer);
      woken_ = true;
    }
    wake_.notify_one();
  }

 private:
  struct Peer {
    std::string url;
    SteadyTime due{};      // next fetch
    SteadyTime fetched{};  // last success
    SteadyTime last_try{};
    std::string document;  // the JWKS as it was; empty: none
  };

  void run() {
    for (;;) {
      follow_sources();
      fetch_due();
      std::unique_lock lock(mutex_);
      const auto due = next_due();
      wake_.wait_for(lock, std::max(due - clock_.steady(), std::chrono::nanoseconds(0)),
                     [this] { return stopping_ || woken_; });
      if (stopping_) return;
      woken_ = false;
      const auto asked = std::exchange(asked_, {});
      lock.unlock();
      for (const std::string& issuer : asked) {
        const auto peer = peers_.find(issuer);
        if (peer == peers_.end()) continue;
        peer->second.due = std::min(peer->second.due, peer->second.last_try + options_.penalty);
      }
    }
  }

  SteadyTime next_due() const {
    SteadyTime due = clock_.steady() + options_.refresh;
    for (const auto& [issuer, peer] : peers_) due = std::min(due, peer.due);
    return due;
  }

  void follow_sources() {
    std::map<std::string, Peer, std::less<>> now;
    for (const KeySource& source : sources_()) {
      const auto known = peers_.find(source.issuer);
      if (known != peers_.end() && known->second.url == source.url)
        now[source.issuer] = known->second;
      else
        now[source.issuer] = Peer{.url = source.url, .due = clock_.steady()};
    }
    for (const auto& [issuer, peer] : peers_) {
      if (!now.contains(issuer) && !peer.document.empty()) deliver_(issuer, nullptr);
    }
    peers_ = std::move(now);
  }

  void fetch_due() {
    for (auto& [issuer, peer] : peers_) {
      if (peer.due > clock_.steady()) continue;
      peer.last_try = clock_.steady();
      const Result<void> done = fetch(issuer, peer);
      peer.due = clock_.steady() + (done ? options_.refresh : options_.retry);
      if (done) continue;
      log_warning("remote-keys", done.error().message);
      if (!peer.document.empty() && clock_.steady() - peer.fetched > options_.keep) {
        peer.document.clear();
        deliver_(issuer, nullptr);
      }
    }
  }

  Result<void> fetch(const std::string& issuer, Peer& peer) {
    const auto answer = TRY(client_.send({.url = peer.url}));
    if (answer.status != 200) {
      return fail(Code::unavailable, fmt::format("{}: the keys of {} answered with status {}",
                                                 peer.url, issuer, answer.status));
    }
    peer.fetched = clock_.steady();
    if (answer.body == peer.document) return {};
    auto keys = TRY(token::KeySet::parse(answer.body));
    peer.document = answer.body;
    deliver_(issuer, std::move(keys));
    return {};
  }

  const RemoteKeysOptions options_;
  const Clock& clock_;
  const Sources sources_;
  const Deliver deliver_;
  http::Client client_;
  std::map<std::string, Peer, std::less<>> peers_;  // by issuer; the worker's own

  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<std::string> asked_;
  bool woken_ = false;
  bool stopping_ = false;
  std::thread thread_;  // last: starts when everything is there
};

RemoteKeys::RemoteKeys(RemoteKeysOptions options, const Clock& clock, Sources sources,
                       Deliver deliver)
    : worker_(std::make_unique<Worker>(std::move(options), clock, std::move(sources),
                                       std::move(deliver))) {}
RemoteKeys::~RemoteKeys() = default;
void RemoteKeys::sources_changed() { worker_->wake(); }
void RemoteKeys::unknown_key(std::string_view issuer) { worker_->unknown_key(issuer); }

}  // namespace domicile::issuer
