#include <algorithm>
#include <atomic>
#include <future>
#include <thread>

#include <gtest/gtest.h>
#include <poll.h>

#include "runtime/connection.h"
#include "runtime/cores.h"
#include "runtime/loop.h"
#include "runtime/socket.h"
#include "runtime/timer.h"
#include "runtime/worker_pool.h"

namespace domicile::runtime {
namespace {

using std::chrono::milliseconds;

// A loop on its own thread; run() executes on it and waits.
class LoopThread {
 public:
  LoopThread() : loop_(Loop::create(clock_).value()), thread_([this] { loop_->run(); }) {}
  ~LoopThread() { stop(); }
  void stop() {
    loop_->stop();
    if (thread_.joinable()) thread_.join();
  }
  Loop& loop() { return *loop_; }
  void run(std::function<void()> task) {
    std::promise<void> done;
    loop_->mailbox()->post([&] {
      task();
      done.set_value();
    });
    done.get_future().wait();
  }

 private:
  SystemClock clock_;
  std::unique_ptr<Loop> loop_;
  std::thread thread_;
};

TEST(Port, IsSharedByLoopsAndNeverWithAnotherWhoAsksForItAlone) {
  const auto first = listen_tcp(numeric_address("127.0.0.1", 0).value()).value();
  const auto address = bound_address(first).value();
  EXPECT_FALSE(listen_tcp(address, Port::shared));
  ASSERT_TRUE(share_port(first));
  const auto second = listen_tcp(address, Port::shared);
  ASSERT_TRUE(second);
  const auto other = listen_tcp(address);
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().reason, "port_in_use");
}

TEST(Port, TakesNoNewConnectionsOnceItIsToldSoAndKeepsThoseThatWait) {
  const auto listener = listen_tcp(numeric_address("127.0.0.1", 0).value()).value();
  const auto address = bound_address(listener).value();
  const auto connected = [&] {
    auto fd = connect_tcp(address).value();
    pollfd poller{fd.get(), POLLOUT, 0};
    return ::poll(&poller, 1, 200) == 1 ? std::move(fd) : Fd();
  };
  const Fd waits = connected();
  ASSERT_TRUE(waits.valid());
  ASSERT_TRUE(stop_new_connections(listener));
  EXPECT_FALSE(connected().valid());
  const Fd accepted(::accept(listener.get(), nullptr, nullptr));
  ASSERT_TRUE(accepted.valid());
  EXPECT_EQ(::send(waits.get(), "a", 1, 0), 1);
  pollfd poller{accepted.get(), POLLIN, 0};
  EXPECT_EQ(::poll(&poller, 1, 5000), 1);
}

TEST(Cores, FollowTheQuotaOfTheControlGroup) {
  EXPECT_EQ(cores_of_quota("200000 100000"), 2u);
  EXPECT_EQ(cores_of_quota("150000 100000"), 2u);
  EXPECT_EQ(cores_of_quota("1000 100000"), 1u);
  for (const char* text : {"max 100000", "", "200000", "200000 ", "200000 0", "-1 100000", "0 1"}) {
    EXPECT_EQ(cores_of_quota(text), std::nullopt) << text;
  }
  EXPECT_GE(available_cores(), 1u);
}

TEST(Loop, RunsPostedTasksInOrder) {
  LoopThread thread;
  std::vector<int> seen;
  for (int i = 0; i < 100; ++i) thread.loop().mailbox()->post([&seen, i] { seen.push_back(i); });
  thread.run([] {});
  ASSERT_EQ(seen.size(), 100u);
  EXPECT_TRUE(std::ranges::is_sorted(seen));
}

TEST(Loop, TakesPostsFromManyThreadsWhileItStops) {
  std::atomic<int> ran = 0;
  std::atomic<bool> more = true;
  std::vector<std::thread> posters;
  auto thread = std::make_unique<LoopThread>();
  const auto mailbox = thread->loop().mailbox();
  for (int i = 0; i < 4; ++i) {
    posters.emplace_back([&, mailbox] {
      while (more) mailbox->post([&ran] { ++ran; });
    });
  }
  while (ran < 1000) std::this_thread::yield();
  thread.reset();
  EXPECT_FALSE(mailbox->post([] {}));
  more = false;
  for (auto& poster : posters) poster.join();
}

TEST(Timer, FiresInOrderOfDeadlinesAndOnlyOnce) {
  LoopThread thread;
  std::vector<int> fired;
  std::promise<void> done;
  std::vector<std::unique_ptr<Timer>> timers;
  thread.run([&] {
    for (const int ms : {30, 10, 20, 5, 25}) {
      timers.push_back(std::make_unique<Timer>(thread.loop(), [&, ms] { fired.push_back(ms); }));
      timers.back()->set_after(milliseconds(ms));
    }
    timers.push_back(std::make_unique<Timer>(thread.loop(), [&] { done.set_value(); }));
    timers.back()->set_after(milliseconds(40));
    timers[2]->cancel();
  });
  done.get_future().wait();
  thread.run([&] { timers.clear(); });
  EXPECT_EQ(fired, (std::vector{5, 10, 25, 30}));
}

TEST(Timer, MovesBothWaysAndSurvivesRemovalInAnyOrder) {
  LoopThread thread;
  std::promise<int> fired;
  std::vector<std::unique_ptr<Timer>> timers;
  thread.run([&] {
    for (int i = 0; i < 200; ++i) {
      timers.push_back(std::make_unique<Timer>(thread.loop(), [&fired, i] { fired.set_value(i); }));
      timers.back()->set_after(milliseconds(60'000 + (i * 7919) % 200));
    }
    for (int i = 0; i < 200; i += 3) timers[i]->set_after(milliseconds(120'000));
    timers[77]->set_after(milliseconds(5));
    for (int i = 199; i > 100; --i) timers[i].reset();
  });
  EXPECT_EQ(fired.get_future().get(), 77);
  thread.run([&] { timers.clear(); });
}

// Accepts one connection and shows what happens to it.
struct Peer final : Connection::Owner {
  explicit Peer(Loop& event_loop) : loop(event_loop) {}
  void on_connected() override { connected = true; }
  void on_readable() override {
    while (reading) {
      const auto read = connection->read();
      if (read.state == Connection::ReadState::data) {
        received += read.bytes;
        if (echo) connection->write(read.bytes);
        continue;
      }
      if (read.state == Connection::ReadState::end) ended = true;
      if (read.state == Connection::ReadState::broken) broken = true;
      return;
    }
  }
  void on_drained() override { ++drained; }
  void on_broken() override {
    broken = true;
    connection->close();
  }
  Loop& loop;
  std::unique_ptr<Connection> connection;
  std::string received;
  bool reading = true, echo = false, connected = false, ended = false, broken = false;
  int drained = 0;
};

// A listening socket and a blocking client's side of one accepted connection.
struct Pair {
  explicit Pair(LoopThread& thread) : peer(thread.loop()) {
    const Fd listener = listen_tcp(numeric_address("127.0.0.1", 0).value()).value();
    const Address address = bound_address(listener).value();
    client = Fd(::socket(AF_INET, SOCK_STREAM, 0));
    EXPECT_EQ(::connect(client.get(), address.get(), address.size), 0);
    const int fd = ::accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK);
    thread.run([&] {
      peer.connection = std::make_unique<Connection>(thread.loop(), Fd(fd), nullptr, false, peer);
    });
  }
  std::string read_exactly(std::size_t size) {
    std::string out(size, '\0');
    EXPECT_EQ(::recv(client.get(), out.data(), size, MSG_WAITALL), static_cast<ssize_t>(size));
    return out;
  }
  Peer peer;
  Fd client;
};

template <typename Condition>
void wait_for(LoopThread& thread, Condition condition) {
  bool met = false;
  while (!met) {
    thread.run([&] { met = condition(); });
    if (!met) std::this_thread::yield();
  }
}

TEST(Connection, EchoesAndSeesTheHalfClose) {
  LoopThread thread;
  Pair pair(thread);
  pair.peer.echo = true;
  ASSERT_EQ(::send(pair.client.get(), "hello", 5, 0), 5);
  EXPECT_EQ(pair.read_exactly(5), "hello");
  ::shutdown(pair.client.get(), SHUT_WR);
  wait_for(thread, [&] { return pair.peer.ended; });
  thread.run([&] {
    pair.peer.connection->write("bye");
    pair.peer.connection->finish_writing();
  });
  EXPECT_EQ(pair.read_exactly(3), "bye");
  char byte = 0;
  EXPECT_EQ(::recv(pair.client.get(), &byte, 1, 0), 0);
  thread.run([&] { pair.peer.connection.reset(); });
}

TEST(Connection, QueuesForASlowReaderAndTellsWhenItIsDrained) {
  LoopThread thread;
  Pair pair(thread);
  const std::string big(32 << 20, 'x');
  std::size_t backlog = 0;
  thread.run([&] {
    pair.peer.connection->write("head", big);
    backlog = pair.peer.connection->backlog();
    pair.peer.connection->finish_writing();
  });
  EXPECT_GT(backlog, 0u);
  EXPECT_EQ(pair.read_exactly(4), "head");
  EXPECT_EQ(pair.read_exactly(big.size()), big);
  wait_for(thread, [&] { return pair.peer.drained == 1; });
  char byte = 0;
  EXPECT_EQ(::recv(pair.client.get(), &byte, 1, 0), 0);
  thread.run([&] { pair.peer.connection.reset(); });
}

TEST(Connection, StopsThePeerWhileTheOwnerDoesNotRead) {
  LoopThread thread;
  Pair pair(thread);
  thread.run([&] { pair.peer.reading = false; });
  const std::string piece(1 << 20, 'y');
  std::size_t sent = 0;
  for (int i = 0; i < 64; ++i) {
    const ssize_t n = ::send(pair.client.get(), piece.data(), piece.size(), MSG_DONTWAIT);
    if (n > 0) sent += static_cast<std::size_t>(n);
  }
  EXPECT_LT(sent, 64u << 20);
  thread.run([&] {
    EXPECT_TRUE(pair.peer.received.empty());
    pair.peer.reading = true;
    pair.peer.connection->resume_reading();
  });
  wait_for(thread, [&] { return pair.peer.received.size() == sent; });
  thread.run([&] { pair.peer.connection.reset(); });
}

TEST(Connection, TellsOfAReset) {
  LoopThread thread;
  Pair pair(thread);
  const linger hard{1, 0};
  ::setsockopt(pair.client.get(), SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  pair.client.reset();
  wait_for(thread, [&] { return pair.peer.broken; });
  thread.run([&] { pair.peer.connection.reset(); });
}

TEST(Connection, TellsOfARefusedConnect) {
  LoopThread thread;
  const Address nobody =
      bound_address(listen_tcp(numeric_address("127.0.0.1", 0).value()).value()).value();
  Peer peer(thread.loop());
  thread.run([&] {
    peer.connection = std::make_unique<Connection>(thread.loop(), connect_tcp(nobody).value(),
                                                   nullptr, true, peer);
    peer.connection->write("never");
  });
  wait_for(thread, [&] { return peer.broken; });
  EXPECT_FALSE(peer.connected);
  thread.run([&] { peer.connection.reset(); });
}

TEST(Connection, ThrowsInputAwayWithoutReadingIt) {
  LoopThread thread;
  Pair pair(thread);
  thread.run([&] { pair.peer.reading = false; });
  ASSERT_EQ(::send(pair.client.get(), "private", 7, 0), 7);
  ::shutdown(pair.client.get(), SHUT_WR);
  wait_for(thread, [&] { return !pair.peer.connection->discard_input(); });
  EXPECT_TRUE(pair.peer.received.empty());
  thread.run([&] { pair.peer.connection.reset(); });
}

TEST(ListenTcp, NamesThePortThatIsTaken) {
  const Fd first(::socket(AF_INET, SOCK_STREAM, 0));
  Address address = numeric_address("127.0.0.1", 0).value();
  ASSERT_EQ(::bind(first.get(), address.get(), address.size), 0);
  ASSERT_EQ(::listen(first.get(), 1), 0);
  address = bound_address(first).value();
  const auto second = listen_tcp(address);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().reason, "port_in_use");
}

TEST(WorkerPool, RefusesWhenTheQueueIsFull) {
  WorkerPool pool(1, 2);
  std::promise<void> release;
  std::promise<void> started;
  ASSERT_TRUE(pool.submit([&] {
    started.set_value();
    release.get_future().wait();
  }));
  started.get_future().wait();
  EXPECT_TRUE(pool.submit([] {}));
  EXPECT_TRUE(pool.submit([] {}));
  EXPECT_FALSE(pool.submit([] {}));
  release.set_value();
  pool.stop();
  EXPECT_FALSE(pool.submit([] {}));
}

}  // namespace
}  // namespace domicile::runtime
