#include "audit/ledger.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "audit/event_line.h"
#include "audit/log_publisher.h"
#include "audit/ocsf.h"
#include "audit/personal_vault.h"
#include "audit/segment_writer.h"
#include "audit/space_reserve.h"
#include "base/check.h"
#include "base/log.h"

namespace domicile::audit {
namespace {

using domain::Event;
using Completion = domain::EventSink::Completion;

constexpr std::size_t kBatchBytesMax = 4u << 20;
constexpr std::size_t kUnhurriedBytesMax = 1u << 20;  // more do not wait for others
constexpr std::size_t kFrameBytes = 140;              // both lines' frames: an upper bound

struct Pending {
  std::vector<OcsfRecord> records;
  std::size_t bytes = 0;
  bool administrative = false;
  Completion done;
};

struct Finished {
  Completion done;
  Result<std::uint64_t> result;
};

// Takes out of the batch what is no administrator's act.
std::vector<Pending> take_ordinary(std::vector<Pending>& batch) {
  std::vector<Pending> administrative, ordinary;
  for (auto& pending : batch) {
    (pending.administrative ? administrative : ordinary).push_back(std::move(pending));
  }
  batch = std::move(administrative);
  return ordinary;
}

}  // namespace

class Ledger::Impl {
 public:
  Impl(std::shared_ptr<Folder> folder, SegmentWriter writer,
       std::unique_ptr<LogPublisher> publisher, LedgerOptions options)
      : options_(std::move(options)),
        folder_(std::move(folder)),
        writer_(std::move(writer)),
        reserve_(*folder_, *options_.clock, options_.reserve_bytes),
        publisher_(std::move(publisher)) {
    stats_.last_sequence = writer_.next_sequence() - 1;
    stats_.torn_bytes = writer_.torn_bytes();
    notifier_ = std::thread([this] { notify_loop(); });
    writer_thread_ = std::thread([this] { write_loop(); });
  }

  ~Impl() {
    {
      const std::lock_guard lock(queue_mutex_);
      stopping_ = true;
    }
    queue_wake_.notify_one();
    writer_thread_.join();
    {
      const std::lock_guard lock(finished_mutex_);
      finished_stopping_ = true;
    }
    finished_wake_.notify_one();
    notifier_.join();
  }

  LogPublisher& publisher() { return *publisher_; }
  const LedgerOptions& options() const { return options_; }

  enum class Wait { nobody, somebody };
  void submit(Event event, Completion done, Wait wait);
  LedgerStats stats() const;

 private:
  void refuse(Completion done, Error error);
  void write_loop();
  std::vector<Pending> take_batch();  // empty: stopping, and nothing waits
  void write(std::vector<Pending> batch);
  Result<void> append(const std::vector<Pending>& batch);
  void note_outcome(const Result<void>& written, std::size_t failed, const std::string& message);
  void tell(std::vector<Finished> finished);
  void notify_loop();

  const LedgerOptions options_;
  std::shared_ptr<Folder> folder_;
  SegmentWriter writer_;  // the writer thread's alone
  SpaceReserve reserve_;  // likewise
  std::unique_ptr<LogPublisher> publisher_;
  std::string buffer_;  // likewise

  mutable std::mutex queue_mutex_;
  std::condition_variable queue_wake_;
  std::deque<Pending> queue_;
  std::size_t queue_bytes_ = 0;
  bool writer_waits_ = false;    // there is nothing to do
  bool writer_lingers_ = false;  // nobody waits for what there is
  bool hurry_ = false;           // somebody waits for what is in the queue
  bool stopping_ = false;
  LedgerStats stats_;

  std::mutex finished_mutex_;
  std::condition_variable finished_wake_;
  std::vector<Finished> finished_;
  bool finished_stopping_ = false;

  std::thread writer_thread_;
  std::thread notifier_;
};

void Ledger::Impl::submit(Event event, Completion done, Wait wait) {
  if (event.region.empty()) event.region = options_.region;
  if (event.region != options_.region) {
    refuse(std::move(done),
           Error{Code::invalid,
                 fmt::format("an event of region {} does not belong in the log of {}",
                             event.region.text(), options_.region.text()),
                 "wrong_ledger"});
    return;
  }
  if (event.time == WallTime{}) event.time = options_.clock->now();
  const bool administrative = is_administrative(event.kind);
  auto records = to_ocsf(std::move(event), options_.vault);
  if (!records) {
    refuse(std::move(done),
           Error{Code::unavailable,
                 "the personal fields of an event could not be sealed: " + records.error().message,
                 "audit_unavailable"});
    return;
  }
  Pending pending{.records = std::move(*records),
                  .bytes = 0,
                  .administrative = administrative,
                  .done = std::move(done)};
  for (const auto& record : pending.records) {
    pending.bytes += record.text.size() + record.sealed.size() + kFrameBytes;
  }
  bool wake = false;
  {
    const std::lock_guard lock(queue_mutex_);
    const bool full = queue_.size() >= options_.queue_events_max ||
                      queue_bytes_ + pending.bytes > options_.queue_bytes_max;
    if (!full && !stopping_) {
      queue_bytes_ += pending.bytes;
      queue_.push_back(std::move(pending));
      hurry_ = hurry_ || wait == Wait::somebody || queue_bytes_ > kUnhurriedBytesMax;
      wake = writer_waits_ || (writer_lingers_ && hurry_);
      writer_waits_ = false;
    }
  }
  if (wake) queue_wake_.notify_one();
  if (pending.done) {
    refuse(std::move(pending.done),
           Error{Code::unavailable,
                 "the audit queue is full: the disk does not keep up with the events",
                 "audit_queue_full"});
  }
}

void Ledger::Impl::refuse(Completion done, Error error) {
  {
    const std::lock_guard lock(queue_mutex_);
    ++stats_.refused;
  }
  {
    const std::lock_guard lock(finished_mutex_);
    finished_.push_back({std::move(done), std::unexpected(std::move(error))});
  }
  finished_wake_.notify_one();
}

LedgerStats Ledger::Impl::stats() const {
  const std::lock_guard lock(queue_mutex_);
  LedgerStats copy = stats_;
  copy.queued = queue_.size();
  const LogPublisher::State published = publisher_->state();
  copy.published = published.size;
  copy.unpublished_since = published.behind_since;
  copy.publish_error = published.error;
  return copy;
}

std::vector<Pending> Ledger::Impl::take_batch() {
  std::unique_lock lock(queue_mutex_);
  while (queue_.empty() && !stopping_) {
    writer_waits_ = true;
    queue_wake_.wait(lock);
  }
  writer_waits_ = false;
  writer_lingers_ = true;
  queue_wake_.wait_for(lock, options_.unhurried_ms, [this] { return hurry_ || stopping_; });
  writer_lingers_ = false;
  std::vector<Pending> batch;
  std::size_t bytes = 0;
  while (!queue_.empty() && (batch.empty() || bytes + queue_.front().bytes <= kBatchBytesMax)) {
    bytes += queue_.front().bytes;
    batch.push_back(std::move(queue_.front()));
    queue_.pop_front();
  }
  queue_bytes_ -= bytes;
  hurry_ = !queue_.empty();  // they waited already
  return batch;
}

void Ledger::Impl::write_loop() {
  for (auto batch = take_batch(); !batch.empty(); batch = take_batch()) write(std::move(batch));
}

Result<void> Ledger::Impl::append(const std::vector<Pending>& batch) {
  if (batch.empty()) return {};
  const std::uint64_t first = writer_.next_sequence();
  std::uint64_t next = first;
  buffer_.clear();
  for (const auto& pending : batch) {
    for (const auto& record : pending.records) append_line(buffer_, record, next++, first);
  }
  // A key that something is sealed under is durable before that is.
  if (options_.vault != nullptr) TRY(options_.vault->flush());
  TRY(writer_.append(buffer_, next - first));
  const std::lock_guard lock(queue_mutex_);
  stats_.last_sequence = next - 1;
  stats_.batches += 1;
  stats_.records += next - first;
  return {};
}

void Ledger::Impl::write(std::vector<Pending> batch) {
  std::vector<Pending> ordinary;
  const bool room = reserve_.ordinary_events();
  publisher_->hold(!room);
  if (!room) ordinary = take_ordinary(batch);
  const std::uint64_t first = writer_.next_sequence();
  auto written = append(batch);
  const bool full = !written && written.error().code == Code::unavailable;
  if (full && std::ranges::any_of(batch, &Pending::administrative) && reserve_.spend()) {
    publisher_->hold(true);
    ordinary = take_ordinary(batch);
    written = append(batch);
  }
  const Error refusal{Code::unavailable,
                      written ? "the log's disk is full: only administrators' acts are recorded"
                              : "the event could not be stored: " + written.error().message,
                      "audit_unavailable"};
  std::vector<Finished> finished;
  finished.reserve(batch.size() + ordinary.size());
  std::uint64_t next = first;
  for (auto& pending : batch) {
    const std::uint64_t sequence = std::exchange(next, next + pending.records.size());
    finished.push_back({std::move(pending.done), sequence});
    if (!written) finished.back().result = std::unexpected(refusal);
  }
  for (auto& pending : ordinary) {
    finished.push_back({std::move(pending.done), std::unexpected(refusal)});
  }
  note_outcome(written, written ? ordinary.size() : finished.size(), refusal.message);
  if (written && next > first) publisher_->durable(next - 1);
  tell(std::move(finished));
}

void Ledger::Impl::note_outcome(const Result<void>& written, std::size_t failed,
                                const std::string& message) {
  bool newly_failing = false;
  {
    const std::lock_guard lock(queue_mutex_);
    newly_failing = failed > 0 && stats_.last_error.empty();
    stats_.failed += failed;
    stats_.administrators_only = reserve_.spent();
    if (failed > 0) {
      stats_.last_error = message;
    } else if (written && !reserve_.spent()) {
      stats_.last_error.clear();
    }
  }
  if (newly_failing) log_error("audit", "events cannot be stored: " + message);
}

void Ledger::Impl::tell(std::vector<Finished> finished) {
  {
    const std::lock_guard lock(finished_mutex_);
    if (finished_.empty()) {
      finished_ = std::move(finished);
    } else {
      finished_.insert(finished_.end(), std::make_move_iterator(finished.begin()),
                       std::make_move_iterator(finished.end()));
    }
  }
  finished_wake_.notify_one();
}

void Ledger::Impl::notify_loop() {
  for (;;) {
    std::vector<Finished> batch;
    {
      std::unique_lock lock(finished_mutex_);
      finished_wake_.wait(lock, [&] { return !finished_.empty() || finished_stopping_; });
      if (finished_.empty()) return;
      batch.swap(finished_);
    }
    for (auto& item : batch) item.done(std::move(item.result));
  }
}

namespace {

std::filesystem::path key_folder(const LedgerOptions& options) {
  return options.key_directory.empty() ? options.directory / "keys" : options.key_directory;
}

std::string origin_of(const LedgerOptions& options) {
  return options.origin.empty() ? "domicile/" + options.region.text() : options.origin;
}

Result<LogKeys> open_keys(const LedgerOptions& options) {
  if (options.keys) return *options.keys;
  return LogKeys::open(key_folder(options), origin_of(options));
}

}  // namespace

Ledger::Ledger(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Ledger::~Ledger() = default;

Result<std::unique_ptr<Ledger>> Ledger::open(LedgerOptions options) {
  CHECK(options.clock != nullptr && options.queue_events_max > 0 && options.segment_bytes > 0);
  if (options.region.empty())
    return fail(Code::invalid, "the event log needs the name of its region");
  std::shared_ptr<Folder> folder = std::move(options.folder);
  if (!folder) folder = TRY(open_disk_folder(options.directory));
  const auto here = [&](Error error) {
    return std::unexpected(std::move(error).within(options.directory.string()));
  };
  auto keys = open_keys(options);
  if (!keys) return here(std::move(keys.error()));
  auto integrator = LogIntegrator::open(*folder, std::move(*keys));
  if (!integrator) return here(std::move(integrator.error()));
  auto writer = SegmentWriter::open(folder, {.segment_bytes = options.segment_bytes,
                                             .flush = options.durability == Durability::flush,
                                             .needed_from = integrator->needed_from(),
                                             .at_least = integrator->published()});
  if (!writer) return here(std::move(writer.error()));
  const std::uint64_t torn_bytes = writer->torn_bytes();
  const std::string torn_file = writer->torn_file();
  const std::uint64_t next = writer->next_sequence();
  auto publisher =
      std::make_unique<LogPublisher>(folder, std::move(*integrator),
                                     LogPublisher::Options{.clock = options.clock,
                                                           .interval = options.checkpoint_ms,
                                                           .on_checkpoint = options.on_checkpoint});
  publisher->durable(next - 1);
  std::unique_ptr<Ledger> ledger(new Ledger(std::make_unique<Impl>(
      folder, std::move(*writer), std::move(publisher), std::move(options))));
  if (torn_bytes > 0) {
    Event event;
    event.kind = domain::EventKind::log_changed;
    event.outcome = domain::Outcome::allowed;
    event.operation = "log.recovered";
    event.details = {{"cut_bytes", std::to_string(torn_bytes)},
                     {"kept_in", torn_file},
                     {"next_sequence", std::to_string(next)}};
    TRY(ledger->record(std::move(event)));
  }
  return ledger;
}

void Ledger::submit(Event event, Completion done) {
  impl_->submit(std::move(event), std::move(done), Impl::Wait::somebody);
}
void Ledger::submit_unhurried(Event event, Completion done) {
  impl_->submit(std::move(event), std::move(done), Impl::Wait::nobody);
}
LedgerStats Ledger::stats() const { return impl_->stats(); }
Result<void> Ledger::publish_witnessed(std::uint64_t size, const std::string& note) {
  return impl_->publisher().publish_witnessed(size, note);
}
Result<void> Ledger::reload_keys() {
  return impl_->publisher().sign_with(TRY(open_keys(impl_->options())));
}

}  // namespace domicile::audit
