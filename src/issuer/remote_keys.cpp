#include "issuer/remote_keys.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <thread>

#include <fmt/format.h>

#include "base/log.h"

namespace domicile::issuer {

using std::chrono::milliseconds;

class RemoteKeys::Source {
 public:
  Source(RemoteKeys& owner, KeySource source)
      : owner_(owner),
        source_(std::move(source)),
        client_(owner.options_.client),
        due_(owner.clock_.steady()),
        thread_([this] { run(); }) {}

  ~Source() {
    stop();
    thread_.join();
  }

  const std::string& url() const { return source_.url; }
  bool ended() const { return ended_.load(); }

  void stop() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_one();
  }

  // Nothing of it is delivered any more; what was is taken back.
  void withdraw() {
    const std::lock_guard lock(owner_.delivering_);
    withdrawn_ = true;
    if (delivered_) owner_.deliver_(source_.issuer, nullptr);
  }

  void look_again() {
    {
      const std::lock_guard lock(mutex_);
      woken_ = true;
    }
    wake_.notify_one();
  }

  void unknown_key() {
    {
      const std::lock_guard lock(mutex_);
      if (asked_) return;  // until the fetch that it leads to: a flood wakes the thread once
      asked_ = woken_ = true;
    }
    wake_.notify_one();
  }

 private:
  void run() {
    std::unique_lock lock(mutex_);
    while (!stopping_) {
      woken_ = false;
      if (asked_) due_ = std::min(due_, last_try_ + owner_.options_.penalty);
      if (owner_.clock_.steady() >= due_) {
        asked_ = false;
        lock.unlock();
        fetch_and_deliver();
        lock.lock();
        continue;
      }
      const SteadyTime next = document_.empty() ? due_ : std::min(due_, give_up_at());
      wake_.wait_for(lock,
                     std::max(next - owner_.clock_.steady(), std::chrono::nanoseconds(1'000'000)),
                     [this] { return stopping_ || woken_; });
      if (!document_.empty() && owner_.clock_.steady() >= give_up_at()) {
        lock.unlock();
        give_up();
        lock.lock();
      }
    }
    ended_ = true;
  }

  SteadyTime give_up_at() const { return fetched_ + owner_.options_.keep; }

  void fetch_and_deliver() {
    last_try_ = owner_.clock_.steady();
    const Result<void> done = fetch();
    if (done) {
      failures_ = 0;
      due_ = last_try_ + owner_.options_.refresh;
      return;
    }
    log_warning("remote-keys", done.error().message);
    const SteadyTime now = owner_.clock_.steady();
    due_ = now + std::min(owner_.options_.penalty,
                          owner_.options_.retry * (1 << std::min(failures_++, 10)));
    if (!document_.empty() && now >= give_up_at()) give_up();
  }

  Result<void> fetch() {
    http::ClientRequest request{.url = source_.url};
    if (!document_.empty()) {  // a fetch that hangs must not outlast the keys that it would renew
      const auto left = std::chrono::ceil<milliseconds>(give_up_at() - owner_.clock_.steady());
      request.total_ms = std::clamp(left, milliseconds(1), owner_.options_.client.total_ms);
    }
    const auto answer = TRY(client_.send(request));
    if (answer.status != 200) {
      return fail(Code::unavailable, fmt::format("{}: the keys of {} answered with status {}",
                                                 source_.url, source_.issuer, answer.status));
    }
    if (answer.body != document_) {
      auto keys = token::KeySet::parse(answer.body);
      if (!keys) {
        return fail(Code::invalid, fmt::format("{}: {}", source_.url, keys.error().message));
      }
      document_ = answer.body;
      deliver(std::move(*keys));
    }
    fetched_ = last_try_;  // it is at least as old as the question
    return {};
  }

  void give_up() {
    log_warning("remote-keys",
                fmt::format("{}: the keys of {} could not be fetched for {} s and no longer count",
                            source_.url, source_.issuer, owner_.options_.keep.count()));
    document_.clear();
    deliver(nullptr);
  }

  void deliver(std::shared_ptr<const token::KeySet> keys) {
    const std::lock_guard lock(owner_.delivering_);
    if (withdrawn_) return;
    delivered_ = keys != nullptr;
    owner_.deliver_(source_.issuer, std::move(keys));
  }

  RemoteKeys& owner_;
  const KeySource source_;
  // The thread's own.
  http::Client client_;
  SteadyTime due_;        // next fetch
  SteadyTime fetched_{};  // last success
  SteadyTime last_try_{};
  std::string document_;  // the JWKS as it was; empty: none
  int failures_ = 0;

  bool delivered_ = false;  // these two under owner_.delivering_
  bool withdrawn_ = false;

  std::atomic<bool> ended_ = false;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool asked_ = false;
  bool woken_ = false;
  bool stopping_ = false;
  std::thread thread_;  // last: starts when everything is there
};

RemoteKeys::RemoteKeys(RemoteKeysOptions options, const Clock& clock, Sources sources,
                       Deliver deliver)
    : options_(std::move(options)),
      clock_(clock),
      list_(std::move(sources)),
      deliver_(std::move(deliver)) {
  sources_changed();
}

RemoteKeys::~RemoteKeys() {
  const std::lock_guard lock(mutex_);
  for (auto& [issuer, source] : sources_) source->stop();  // all at once, then one by one
}

void RemoteKeys::sources_changed() {
  const std::lock_guard one_at_a_time(changing_);
  std::map<std::string, std::string> wanted;
  for (KeySource& source : list_()) wanted[std::move(source.issuer)] = std::move(source.url);
  const auto stays = [&](const auto& known) {
    const auto at = wanted.find(known.first);
    return at != wanted.end() && at->second == known.second->url();
  };
  std::vector<std::unique_ptr<Source>> leaving;
  {
    const std::lock_guard lock(mutex_);
    for (auto& known : sources_) {
      if (stays(known)) {
        known.second->look_again();
      } else {
        leaving.push_back(std::move(known.second));
      }
    }
    std::erase_if(sources_, [](const auto& known) { return known.second == nullptr; });
  }
  for (auto& source :
       leaving) {  // calls `deliver`, hence without the lock that unknown_key() takes
    source->withdraw();
    source->stop();
    retired_.push_back(std::move(source));
  }
  std::erase_if(retired_, [](const auto& source) { return source->ended(); });
  const std::lock_guard lock(mutex_);
  for (auto& [issuer, url] : wanted) {
    auto& source = sources_[issuer];
    if (source == nullptr) source = std::make_unique<Source>(*this, KeySource{issuer, url});
  }
}

void RemoteKeys::unknown_key(std::string_view issuer) {
  const std::lock_guard lock(mutex_);
  if (const auto source = sources_.find(issuer); source != sources_.end())
    source->second->unknown_key();
}

}  // namespace domicile::issuer
