#include "audit/ledger.h"

#include <atomic>
#include <csignal>
#include <future>
#include <map>
#include <thread>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "audit/event_reader.h"
#include "audit/segment.h"
#include "audit/simulated_folder.h"
#include "base/file.h"

extern char** environ;

namespace domicile::audit {
namespace {

using domain::Event;
using domain::EventKind;

class Scratch {
 public:
  Scratch() {
    char name[] = "/tmp/domicile-ledger-XXXXXX";
    path_ = ::mkdtemp(name);
  }
  ~Scratch() { std::filesystem::remove_all(path_); }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

const SystemClock kClock;

LedgerOptions options_for(const std::filesystem::path& directory) {
  LedgerOptions options;
  options.directory = directory;
  options.region = domain::RegionId("us-east-1");
  options.clock = &kClock;
  return options;
}

Event request(const std::string& id) {
  Event event;
  event.outcome = domain::Outcome::allowed;
  event.operation = "courses.list";
  event.request_id = id;
  return event;
}

std::map<std::uint64_t, std::string> records_in(const std::filesystem::path& directory) {
  std::map<std::uint64_t, std::string> records;
  const auto folder = open_disk_folder_read_only(directory).value();
  const auto report = read_events(*folder, [&](const EventRecord& record) {
    records[record.sequence] = std::string(record.line);
    return true;
  });
  EXPECT_TRUE(report->problems.empty());
  return records;
}

TEST(Ledger, GoesOnCountingAfterARestart) {
  const Scratch scratch;
  for (std::uint64_t run = 0; run < 3; ++run) {
    auto ledger = Ledger::open(options_for(scratch.path() / "a" / "b")).value();
    EXPECT_EQ(ledger->record(request("x")).value(), 2 * run + 1);
    EXPECT_EQ(ledger->record(request("y")).value(), 2 * run + 2);
    EXPECT_EQ(ledger->stats().last_sequence, 2 * run + 2);
  }
  EXPECT_EQ(records_in(scratch.path() / "a" / "b").size(), 6u);
}

TEST(Ledger, StartsANewSegmentWhenOneIsLong) {
  const Scratch scratch;
  auto options = options_for(scratch.path());
  options.segment_bytes = 2000;
  auto ledger = Ledger::open(std::move(options)).value();
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(ledger->record(request(std::to_string(i))));
  ledger.reset();
  int segments = 0;
  for (const auto& entry : std::filesystem::directory_iterator(scratch.path())) {
    segments += parse_segment_name(entry.path().filename().string()) ? 1 : 0;
  }
  EXPECT_GE(segments, 5);
  EXPECT_EQ(records_in(scratch.path()).size(), 20u);
}

TEST(Ledger, RefusesASecondWriter) {
  const Scratch scratch;
  auto first = Ledger::open(options_for(scratch.path())).value();
  const auto second = Ledger::open(options_for(scratch.path()));
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().reason, "audit_folder_in_use");
  first.reset();
  EXPECT_TRUE(Ledger::open(options_for(scratch.path())));
}

TEST(Ledger, RefusesAnEventOfAnotherRegion) {
  const Scratch scratch;
  auto ledger = Ledger::open(options_for(scratch.path())).value();
  Event event = request("r");
  event.region = domain::RegionId("ca-central-1");
  const auto done = ledger->record(std::move(event));
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().reason, "wrong_ledger");
  EXPECT_EQ(ledger->record(request("own")).value(), 1u);
}

TEST(Ledger, ACrossRegionEventTakesTwoSequences) {
  const Scratch scratch;
  auto ledger = Ledger::open(options_for(scratch.path())).value();
  Event event = request("r");
  event.kind = EventKind::cross_region;
  event.outcome = domain::Outcome::denied;
  EXPECT_EQ(ledger->record(std::move(event)).value(), 1u);
  EXPECT_EQ(ledger->record(request("next")).value(), 3u);
}

TEST(Ledger, OneFlushServesAllThatWait) {
  SimulatedDisk disk;
  std::promise<void> go;
  std::shared_future<void> gate = go.get_future().share();
  std::atomic<int> flushes = 0;
  disk.on_flush = [&] {
    ++flushes;
    gate.wait();
  };
  auto options = options_for("simulated");
  options.folder = disk.folder();
  options.keys = test_keys();
  options.reserve_bytes = 0;
  auto ledger = Ledger::open(std::move(options)).value();
  std::atomic<int> done = 0;
  const auto count = [&](Result<std::uint64_t> result) { done += result ? 1 : 0; };
  ledger->submit(request("first"), count);
  while (flushes == 0) std::this_thread::yield();
  for (int i = 0; i < 500; ++i) ledger->submit(request(std::to_string(i)), count);
  EXPECT_EQ(done, 0);  // nothing is acknowledged before its flush
  go.set_value();
  ledger.reset();
  EXPECT_EQ(done, 501);
  EXPECT_EQ(flushes, 2);
}

TEST(Ledger, UnhurriedEventsWaitForOneThatSomebodyWaitsFor) {
  const Scratch scratch;
  auto options = options_for(scratch.path());
  options.unhurried_ms = std::chrono::hours(1);
  auto ledger = Ledger::open(std::move(options)).value();
  std::atomic<int> durable = 0;
  for (int i = 0; i < 5; ++i) {
    ledger->submit_unhurried(request("u"), [&](auto result) { durable += result.has_value(); });
  }
  EXPECT_EQ(ledger->stats().last_sequence, 0u);
  EXPECT_EQ(ledger->record(request("h")).value(), 6u);
  EXPECT_EQ(durable, 5);  // completions come in order
  EXPECT_EQ(ledger->stats().batches, 1u);
  ledger->submit_unhurried(request("u"), [&](auto result) { durable += result.has_value(); });
  ledger.reset();
  EXPECT_EQ(durable, 6);
  EXPECT_EQ(records_in(scratch.path()).size(), 7u);
}

TEST(Ledger, UnhurriedEventsBecomeDurableByThemselves) {
  const Scratch scratch;
  auto ledger = Ledger::open(options_for(scratch.path())).value();
  std::promise<std::uint64_t> sequence;
  ledger->submit_unhurried(request("u"), [&](auto result) { sequence.set_value(result.value()); });
  EXPECT_EQ(sequence.get_future().get(), 1u);
}

TEST(Ledger, AFullQueueRefusesAtOnce) {
  SimulatedDisk disk;
  std::promise<void> go;
  std::shared_future<void> gate = go.get_future().share();
  std::atomic<int> flushes = 0;
  disk.on_flush = [&] {
    ++flushes;
    gate.wait();
  };
  auto options = options_for("simulated");
  options.folder = disk.folder();
  options.keys = test_keys();
  options.reserve_bytes = 0;
  options.queue_events_max = 3;
  auto ledger = Ledger::open(std::move(options)).value();
  std::atomic<int> stored = 0;
  const auto count = [&](Result<std::uint64_t> result) { stored += result ? 1 : 0; };
  ledger->submit(request("in flight"), count);
  while (flushes == 0) std::this_thread::yield();
  for (int i = 0; i < 3; ++i) ledger->submit(request("queued"), count);
  const auto refused = ledger->record(request("too many"));  // returns while the disk still hangs
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::unavailable);
  EXPECT_EQ(refused.error().reason, "audit_queue_full");
  go.set_value();
  ledger.reset();
  EXPECT_EQ(stored, 4);
}

// A limit on the file's size is the full disk that a test can make without being root.
TEST(Ledger, RecoversOnARealFileThatCouldNotGrow) {
  const Scratch scratch;
  std::signal(SIGXFSZ, SIG_IGN);
  auto ledger = Ledger::open(options_for(scratch.path())).value();
  ASSERT_TRUE(ledger->record(request("first")));
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  rlimit small = before;
  small.rlim_cur = 1000;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const auto refused = ledger->record(request("refused"));
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::unavailable);
  EXPECT_EQ(ledger->record(request("second")).value(), 2u);
  ledger.reset();
  const auto records = records_in(scratch.path());
  EXPECT_EQ(records.size(), 2u);
  EXPECT_EQ(records.at(2).find("refused"), std::string::npos);
}

// Run by the test below in a process of its own: writes and says what was acknowledged, until
// killed.
TEST(LedgerChild, WritesUntilKilled) {
  const char* directory = std::getenv("DOMICILE_LEDGER_CHILD");
  if (directory == nullptr) return;
  auto options = options_for(directory);
  options.segment_bytes = 100'000;
  auto ledger = Ledger::open(std::move(options)).value();
  std::vector<std::jthread> writers;
  for (int w = 0; w < 4; ++w) {
    writers.emplace_back([&ledger, w] {
      for (int i = 0;; ++i) {
        const std::string id = "w" + std::to_string(w) + "-" + std::to_string(i);
        const auto done = ledger->record(request(id));
        const std::string line = "\nACK " + std::to_string(done.value()) + " " + id + "\n";
        if (::write(STDOUT_FILENO, line.data(), line.size()) < 0) return;
      }
    });
  }
}

TEST(Ledger, KillNineLosesNothingAcknowledged) {
  const Scratch scratch;
  std::size_t acknowledged = 0;
  for (int round = 0; round < 3; ++round) {
    int pipe_fds[2];
    ASSERT_EQ(::pipe2(pipe_fds, O_CLOEXEC), 0);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, pipe_fds[1], STDOUT_FILENO);
    const std::string variable = "DOMICILE_LEDGER_CHILD=" + scratch.path().string();
    std::vector<char*> env;
    for (char** at = environ; *at != nullptr; ++at) env.push_back(*at);
    env.push_back(const_cast<char*>(variable.c_str()));
    env.push_back(nullptr);
    std::string program = "/proc/self/exe", filter = "--gtest_filter=LedgerChild.*";
    char* argv[] = {program.data(), filter.data(), nullptr};
    pid_t child = 0;
    ASSERT_EQ(::posix_spawn(&child, program.c_str(), &actions, nullptr, argv, env.data()), 0);
    posix_spawn_file_actions_destroy(&actions);
    ::close(pipe_fds[1]);
    std::string output;
    char buffer[4096];
    ssize_t n = 0;
    while ((n = ::read(pipe_fds[0], buffer, sizeof buffer)) > 0) {
      output.append(buffer, static_cast<std::size_t>(n));
      if (output.size() > 30'000) ::kill(child, SIGKILL);
    }
    ::close(pipe_fds[0]);
    ::waitpid(child, nullptr, 0);
    ASSERT_TRUE(Ledger::open(options_for(scratch.path()))) << "round " << round;
    const auto records = records_in(scratch.path());
    for (std::size_t at = output.find("\nACK "); at != output.npos;
         at = output.find("\nACK ", at + 1)) {
      const std::size_t space = output.find(' ', at + 5);
      const std::size_t end = output.find('\n', at + 5);
      if (space == output.npos || end == output.npos) break;
      const auto sequence = std::stoull(output.substr(at + 5, space - at - 5));
      const std::string id = output.substr(space + 1, end - space - 1);
      ASSERT_TRUE(records.contains(sequence)) << "lost " << sequence;
      EXPECT_NE(records.at(sequence).find("\"" + id + "\""), std::string::npos);
      ++acknowledged;
    }
  }
  EXPECT_GT(acknowledged, 1000u);
}

}  // namespace
}  // namespace domicile::audit
