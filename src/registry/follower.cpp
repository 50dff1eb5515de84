#include "registry/follower.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/encoding.h"
#include "base/file.h"
#include "base/log.h"
#include "registry/feed_codec.h"
#include "registry/snapshot_file.h"

namespace domicile::registry {
namespace {

constexpr const char* kComponent = "registry";

// "domicile registry mark 1\n<registry id>\n<revision>\n<chain>\n"
constexpr std::string_view kMarkHead = "domicile registry mark 1";

std::string encode_mark(const RegistryHead& mark) {
  return fmt::format("{}\n{}\n{}\n{}\n", kMarkHead, mark.registry_id, mark.revision,
                     to_hex(domain_bytes(mark.chain)));
}

std::optional<RegistryHead> decode_mark(const std::string& text) {
  RegistryHead mark;
  std::vector<std::string> lines;
  std::size_t from = 0;
  for (std::size_t end = text.find('\n'); end != std::string::npos; end = text.find('\n', from)) {
    lines.push_back(text.substr(from, end - from));
    from = end + 1;
  }
  if (lines.size() != 4 || lines[0] != kMarkHead || lines[2].empty() || lines[2].size() > 19 ||
      !std::ranges::all_of(lines[2], [](char c) { return c >= '0' && c <= '9'; })) {
    return std::nullopt;
  }
  const auto chain = parse_hash(lines[3]);
  if (!chain) return std::nullopt;
  mark.registry_id = lines[1];
  mark.revision = std::stoull(lines[2]);
  mark.chain = *chain;
  return mark;
}

bool is_other_history(const Error& error) {
  return error.reason == "registry_went_back" || error.reason == "registry_diverged" ||
         error.code == Code::invalid;
}

}  // namespace

std::string_view to_string(FollowerState state) {
  switch (state) {
    case FollowerState::starting: return "starting";
    case FollowerState::following: return "following";
    case FollowerState::unreachable: return "unreachable";
    case FollowerState::refused: return "refused";
  }
  return "refused";
}

Follower::Follower(RegistrySource& source, const Clock& clock, Options options)
    : source_(source),
      clock_(clock),
      options_(std::move(options)),
      current_(domain::RegistrySnapshot::empty()) {
  load();
}

Follower::~Follower() { stop(); }

void Follower::load() {
  if (auto snapshot = load_snapshot(options_.directory / "registry.snapshot")) {
    current_ = std::move(*snapshot);
    saved_revision_ = current_->revision();
  } else if (snapshot.error().code != Code::not_found) {
    log_error(kComponent,
              fmt::format("{}; it is left aside, and fetched anew", snapshot.error().message));
  }
  status_.revision = current_->revision();
  status_.organizations = current_->size();
  mark_ = position();
  const auto text = read_file(options_.directory / "registry.mark", 4096);
  if (!text) return;
  if (const auto mark = decode_mark(*text)) {
    if (mark->revision > mark_.revision) mark_ = *mark;
  } else {
    log_error(kComponent, "registry.mark is damaged; it is left aside");
  }
}

RegistryHead Follower::position() const {
  return {.registry_id = current_->registry_id(),
          .revision = current_->revision(),
          .chain = current_->chain()};
}

void Follower::subscribe(Subscriber subscriber) {
  subscriber(current());
  subscribers_.push_back(std::move(subscriber));
}

void Follower::start() {
  thread_ = std::thread([this] { run(); });
}

void Follower::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
  save(true);
}

void Follower::release_waiting() {
  {
    const std::lock_guard lock(mutex_);
    released_ = true;
  }
  changed_.notify_all();
}

Follower::Snapshot Follower::current() const {
  const std::lock_guard lock(mutex_);
  return current_;
}

FollowerStatus Follower::status() const {
  const std::lock_guard lock(mutex_);
  return status_;
}

bool Follower::wait_past(std::uint64_t revision, std::chrono::milliseconds at_most) const {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, at_most,
                    [&] { return stopping_ || released_ || current_->revision() > revision; });
  return current_->revision() > revision;
}

// The snapshot file may be older than what this node has seen, or gone: the source must still know
// the furthest position we remember.
Result<void> Follower::check_mark() {
  if (mark_checked_ || mark_.revision <= current_->revision()) return {};
  TRY(source_.changes(mark_, 0, std::chrono::milliseconds(0)));
  mark_checked_ = true;
  return {};
}

Result<void> Follower::follow_once(std::chrono::milliseconds wait) {
  TRY(check_mark());
  RegistryHead at = position();
  domain::RegistrySnapshot::Builder builder(current_);
  std::vector<domain::Region> regions;
  bool first = true;
  for (;;) {
    RegistryDelta delta =
        TRY(source_.changes(at, options_.page, first ? wait : std::chrono::milliseconds(0)));
    if (at.revision != 0 && delta.head.registry_id != at.registry_id) {
      return fail(Code::conflict, "the source serves another registry", "registry_diverged");
    }
    if (delta.head.revision < at.revision) {
      return fail(Code::conflict, "the source's revision went back", "registry_went_back");
    }
    if (first || delta.regions != regions)
      builder.registry_id(delta.head.registry_id).regions(delta.regions);
    regions = std::move(delta.regions);
    for (const RegistryEntry& entry : delta.organizations)
      TRY(builder.put(entry.organization, entry.domains));
    if (delta.more && delta.head.revision == at.revision)
      return fail(Code::invalid, "the source makes no progress");
    at = delta.head;
    first = false;
    if (!delta.more) break;
  }
  last_was_news_ = at.revision != current_->revision();
  if (last_was_news_) publish(TRY(builder.build(at.revision, at.chain)));
  return {};
}

void Follower::publish(Snapshot next) {
  {
    const std::lock_guard lock(mutex_);
    current_ = next;
    status_.revision = next->revision();
    status_.organizations = next->size();
  }
  for (const Subscriber& subscriber : subscribers_) subscriber(next);
  changed_.notify_all();
  save(false);
}

void Follower::save(bool now) {
  const Snapshot snapshot = current();
  if (snapshot->revision() == saved_revision_) return;
  const bool small = snapshot->memory_bytes() <= options_.save_at_once_bytes;
  if (!now && !small && saved_revision_ != 0 && clock_.steady() - saved_at_ < options_.save_every)
    return;
  const RegistryHead at{.registry_id = snapshot->registry_id(),
                        .revision = snapshot->revision(),
                        .chain = snapshot->chain()};
  // The mark may be ahead of the snapshot, never behind it.
  Result<void> done =
      write_file_atomic(options_.directory / "registry.mark", encode_mark(at), 0600);
  if (done) done = save_snapshot(options_.directory / "registry.snapshot", *snapshot);
  if (!done) {
    log_error(kComponent, fmt::format("the registry snapshot cannot be kept on disk: {}",
                                      done.error().message));
    return;
  }
  saved_revision_ = snapshot->revision();
  saved_at_ = clock_.steady();
}

void Follower::report(FollowerState state, const std::string& problem) {
  bool changed = false;
  {
    const std::lock_guard lock(mutex_);
    changed = status_.state != state;
    status_.state = state;
    status_.problem = problem;
    if (state == FollowerState::following) status_.contact = clock_.now();
  }
  if (!changed) return;
  if (state == FollowerState::following) {
    log_info(kComponent, "following the registry");
  } else if (state == FollowerState::refused) {
    log_error(kComponent,
              fmt::format("the registry's changes are refused, the last good snapshot stays: {}",
                          problem));
  } else {
    log_warning(kComponent,
                fmt::format("the registry is away, the last good snapshot stays: {}", problem));
  }
}

void Follower::run() {
  auto pause = options_.poll;
  for (;;) {
    const SteadyTime asked = clock_.steady();
    Result<void> done = fail(Code::internal, "");
    try {
      done = follow_once(options_.wait);
    } catch (const std::exception& error) {
      done = fail(Code::internal, error.what());
    }
    if (done) {
      report(FollowerState::following, "");
      // A source that has waited for news needs no pause of ours, and neither does one that had
      // some.
      const bool waited = clock_.steady() - asked > options_.poll;
      pause = waited || last_was_news_ ? std::chrono::milliseconds(0) : options_.poll;
    } else {
      report(is_other_history(done.error()) ? FollowerState::refused : FollowerState::unreachable,
             done.error().message);
      pause = std::clamp(pause * 2, options_.poll, options_.retry_max);
    }
    save(false);
    std::unique_lock lock(mutex_);
    if (changed_.wait_for(lock, pause, [this] { return stopping_; })) return;
  }
}

}  // namespace domicile::registry
