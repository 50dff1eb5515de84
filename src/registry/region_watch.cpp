#include "registry/region_watch.h"

#include <charconv>
#include <condition_variable>
#include <mutex>
#include <thread>

#include <fmt/format.h>

#include "base/file.h"
#include "base/log.h"

namespace domicile::registry {
namespace {

// "<system identifier> <database id> <lsn>": the furthest this node has seen its database.
struct Mark {
  std::string system_identifier;
  std::string database_id;
  std::uint64_t lsn = 0;
};

Result<Mark> parse_mark(std::string_view text, const std::filesystem::path& path) {
  Mark mark;
  const auto first = text.find(' ');
  const auto second = first == std::string_view::npos ? first : text.find(' ', first + 1);
  if (second != std::string_view::npos) {
    mark.system_identifier = text.substr(0, first);
    mark.database_id = text.substr(first + 1, second - first - 1);
    const std::string_view lsn = text.substr(second + 1);
    const auto [end, error] = std::from_chars(lsn.begin(), lsn.end(), mark.lsn);
    if (error == std::errc{} && end != lsn.end() && *end == '\n') return mark;
  }
  return fail(Code::invalid,
              fmt::format("{} is damaged: it holds the furthest position seen of the regional "
                          "database. Run domicile region reconcile, then remove it",
                          path.string()));
}

}  // namespace

class RegionWatch::Worker {
 public:
  Worker(Options options, const Clock& clock) : options_(std::move(options)), clock_(clock) {}

  ~Worker() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_one();
    if (thread_.joinable()) thread_.join();
  }

  Result<void> look() {
    if (connection_ == nullptr) {
      connection_ = std::make_unique<pg::Connection>(
          TRY(pg::Connection::open(std::string(options_.dsn.reveal()))));
    }
    store::RegionStore store(*connection_, clock_);
    Result<void> looked = look_at(store);
    if (!looked && looked.error().code == Code::unavailable) connection_.reset();
    return looked;
  }

  const store::ContextKey& key() const { return key_; }

  void start(NewKey on_key) {
    on_key_ = std::move(on_key);
    thread_ = std::thread([this] { run(); });
  }

  Result<void> healthy() const {
    const std::lock_guard lock(mutex_);
    if (problem_.empty()) return {};
    return fail(Code::unavailable, problem_, "region_not_open");
  }

  void report(const Result<void>& looked) {
    const std::string problem = looked ? "" : looked.error().message;
    const std::lock_guard lock(mutex_);
    if (problem == problem_) return;
    problem_ = problem;
    if (problem.empty())
      log_info("region", "the regional database is open");
    else
      log_warning("region", problem);
  }

 private:
  void run() {
    std::unique_lock lock(mutex_);
    while (!wake_.wait_for(lock, options_.interval, [this] { return stopping_; })) {
      lock.unlock();
      report(look());
      lock.lock();
    }
  }

  Result<void> look_at(store::RegionStore& store) {
    const store::RegionStatus status = TRY(store.status());
    if (status.region != options_.region) {
      return fail(Code::invalid,
                  fmt::format("the database is region {}, this node serves {}: correct "
                              "node.region or database.dsn_file",
                              status.region.view(), options_.region.view()));
    }
    TRY(compare_with_mark(store, status));
    auto key = TRY(store.signing_key());
    if (key.kid != key_.kid || key.database_id != key_.database_id) {
      key_ = std::move(key);
      if (on_key_) on_key_(key_);
    }
    if (status.in_recovery) {
      return fail(Code::unavailable, "the regional database is a standby in recovery");
    }
    if (TRY(store.refresh())) return {};
    return fail(Code::unavailable,
                fmt::format("the region is closed ({}): run domicile region reconcile",
                            status.reason.empty() ? "another timeline" : status.reason),
                "region_closed");
  }

  Result<void> compare_with_mark(store::RegionStore& store, const store::RegionStatus& status) {
    const auto path = options_.directory / "database.mark";
    if (!mark_loaded_) {
      const auto text = read_file(path, 1024);
      if (text)
        mark_ = TRY(parse_mark(*text, path));
      else if (text.error().code != Code::not_found)
        return std::unexpected(text.error());
      mark_loaded_ = true;
    }
    const bool known = !mark_.system_identifier.empty();
    const bool same = mark_.system_identifier == status.system_identifier &&
                      mark_.database_id == status.database_id;
    // A closed region is being looked after: what reconcile approves is the new starting point.
    if (known && status.open && (!same || status.lsn < mark_.lsn)) {
      const std::string why =
          !same ? "another database stands where the region's was"
                : fmt::format(
                      "the database is behind what this node has seen of it (position {} "
                      "after {}): it was restored",
                      status.lsn, mark_.lsn);
      if (!closed_by_us_) {
        TRY(store.close(why));
        closed_by_us_ = true;
        return fail(Code::unavailable, why + "; closed until domicile region reconcile",
                    "region_closed");
      }
      closed_by_us_ = false;  // open again after we closed it: reconcile has approved it
    } else if (known && !status.open && (!same || status.lsn < mark_.lsn)) {
      closed_by_us_ = true;  // another node, or an earlier run of this one, closed it
      return {};
    } else if (same && status.lsn == mark_.lsn) {
      return {};
    }
    mark_ = {status.system_identifier, status.database_id, status.lsn};
    return write_file_atomic(
        path, fmt::format("{} {} {}\n", mark_.system_identifier, mark_.database_id, mark_.lsn));
  }

  const Options options_;
  const Clock& clock_;
  std::unique_ptr<pg::Connection> connection_;
  store::ContextKey key_;
  NewKey on_key_;
  Mark mark_;
  bool mark_loaded_ = false;
  bool closed_by_us_ = false;

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::string problem_;
  bool stopping_ = false;
  std::thread thread_;
};

RegionWatch::RegionWatch(std::unique_ptr<Worker> worker) : worker_(std::move(worker)) {}
RegionWatch::~RegionWatch() = default;

Result<std::unique_ptr<RegionWatch>> RegionWatch::create(Options options, const Clock& clock) {
  auto worker = std::make_unique<Worker>(std::move(options), clock);
  Result<void> looked = worker->look();
  // A closed region, or a standby, still starts: the node answers, and says so in /readyz.
  if (!looked && (worker->key().kid.empty() || looked.error().code == Code::invalid)) {
    return std::unexpected(std::move(looked).error());
  }
  worker->report(looked);
  return std::unique_ptr<RegionWatch>(new RegionWatch(std::move(worker)));
}

const store::ContextKey& RegionWatch::first_key() const { return worker_->key(); }
void RegionWatch::start(NewKey on_key) { worker_->start(std::move(on_key)); }
Result<void> RegionWatch::healthy() const { return worker_->healthy(); }

}  // namespace domicile::registry
