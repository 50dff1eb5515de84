#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <random>
#include <set>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "base/encoding.h"
#include "compliance/detection_service.h"
#include "crypto/hmac.h"

namespace domicile::compliance {
namespace {

using Json = nlohmann::json;
using std::chrono_literals::operator""min;
using std::chrono_literals::operator""h;

detect::RuleHead head_of(const std::string& name, detect::Level level = detect::Level::high) {
  detect::RuleHead head;
  head.name = head.id = name;
  head.title = "The title of " + name;
  head.level = level;
  head.tags = {"soc2.cc7.2"};
  return head;
}

detect::Detection detection(const detect::RuleHead& head, std::uint64_t sequence,
                            const std::string& organization = "7") {
  detect::Detection found;
  found.id = fmt::format("{}-{}", head.id, sequence);
  found.rule = &head;
  found.first_sequence = found.last_sequence = sequence;
  found.organization = organization;
  return found;
}

TEST(AlertBook, OpensOneAlertForManyDetectionsAndClosesItWhenItIsQuiet) {
  const auto head = head_of("r");
  FakeClock clock;
  AlertBook book({.hold_ms = 15min});
  const Alert* alert = book.see(detection(head, 3), clock.now());
  ASSERT_NE(alert, nullptr);
  EXPECT_EQ(alert->id, "r-3");
  clock.advance(10min);
  EXPECT_EQ(book.see(detection(head, 9), clock.now()), nullptr);
  EXPECT_NE(book.see(detection(head, 10, "8"), clock.now()), nullptr);
  clock.advance(14min);
  EXPECT_TRUE(book.close_quiet(clock.now()).empty());
  clock.advance(1min);
  const auto closed = book.close_quiet(clock.now());
  ASSERT_EQ(closed.size(), 2u);
  EXPECT_EQ(closed[0].count, 2u);
  EXPECT_EQ(closed[0].last_sequence, 9u);
  EXPECT_FALSE(closed[0].open());
  EXPECT_EQ(book.size(), 0u);
}

TEST(AlertBook, FoldsWhatGoesBeyondItsBound) {
  const auto head = head_of("r");
  FakeClock clock;
  AlertBook book({.hold_ms = 15min, .alerts_max = 10});
  int opened = 0;
  for (int i = 0; i < 100; ++i) {
    opened += book.see(detection(head, 1, std::to_string(i)), clock.now()) != nullptr ? 1 : 0;
  }
  EXPECT_EQ(opened, 11);
  EXPECT_EQ(book.size(), 11u);
  EXPECT_EQ(book.folded(), 90u);
  AlertBook other({});
  ASSERT_TRUE(other.load(book.save()));
  EXPECT_EQ(other.save(), book.save());
}

Receiver webhook(const std::string& name, detect::Level least = detect::Level::informational) {
  return {.kind = Receiver::Kind::webhook,
          .name = name,
          .url = "https://example.test/hook",
          .key = Secret(std::string(32, 'k')),
          .least = least};
}

Receiver alertmanager() {
  return {.kind = Receiver::Kind::alertmanager, .name = "am", .url = "http://127.0.0.1:9093/"};
}

struct Delivery {
  FakeClock clock;
  AlertBook book{{.hold_ms = 15min}};
  detect::RuleHead head = head_of("r");
  AlertDelivery delivery;
  explicit Delivery(DeliveryOptions options) : delivery(std::move(options)) {}

  void open(std::uint64_t sequence) {
    if (const Alert* alert = book.see(detection(head, sequence), clock.now()))
      delivery.opened(*alert);
  }
  void close() {
    for (const auto& alert : book.close_quiet(clock.now())) delivery.closed(alert);
  }
  std::optional<AlertDelivery::Job> next() { return delivery.next(0, book.open(), clock.now()); }
};

TEST(AlertDelivery, SignsWhatAWebhookGets) {
  Delivery d({.receivers = {webhook("hook")}, .origin = {"ca-central-1", "https://ca.example"}});
  d.open(3);
  const auto job = d.next();
  ASSERT_TRUE(job);
  const Json body = Json::parse(job->request.body);
  EXPECT_EQ(body["specversion"], "1.0");
  EXPECT_EQ(body["type"], "domicile.alert.firing");
  EXPECT_EQ(body["id"], "r-3.firing");
  std::map<std::string, std::string> headers(job->request.headers.begin(),
                                             job->request.headers.end());
  crypto::HmacSha256 hmac{Secret(std::string(32, 'k'))};
  const auto mac = hmac.mac("r-3.firing." + headers["webhook-timestamp"] + "." + job->request.body);
  EXPECT_EQ(headers["webhook-signature"], "v1," + to_base64(crypto::view(mac)));
  EXPECT_FALSE(d.next());  // on its way
  EXPECT_FALSE(d.delivery.done(*job, 200, d.clock.now()));
  EXPECT_FALSE(d.next());
}

TEST(AlertDelivery, TriesAgainLaterAndKeepsTheOrderOfAnAlert) {
  Delivery d({.receivers = {webhook("hook")}});
  d.open(3);
  EXPECT_FALSE(d.delivery.done(*d.next(), 500, d.clock.now()));
  EXPECT_FALSE(d.next());
  d.clock.advance(15min);
  d.close();
  auto job = d.next();
  ASSERT_TRUE(job);
  EXPECT_EQ(job->id, "r-3.firing");
  EXPECT_FALSE(d.delivery.done(*job, fail(Code::timeout, "no answer"), d.clock.now()));
  EXPECT_FALSE(d.next());  // not the end before the beginning
  d.clock.advance(1h);
  job = d.next();
  EXPECT_FALSE(d.delivery.done(*job, 204, d.clock.now()));
  EXPECT_EQ(d.next()->id, "r-3.resolved");
}

TEST(AlertDelivery, BuriesWhatNobodyTakes) {
  Delivery d({.receivers = {webhook("hook")}, .attempts_max = 3, .waiting_max = 2});
  d.open(3);
  std::optional<DeadLetter> dead;
  for (int i = 0; i < 3; ++i) {
    d.clock.advance(1h);
    dead = d.delivery.done(*d.next(), 503, d.clock.now());
    EXPECT_EQ(dead.has_value(), i == 2);
  }
  EXPECT_EQ(dead->id, "r-3.firing");
  EXPECT_NE(dead->why.find("503"), std::string::npos);
  EXPECT_EQ(d.delivery.stats()[0].dead, 1u);
  const auto other = head_of("other");
  for (std::uint64_t i = 0; i < 5; ++i) {
    d.delivery.opened(*d.book.see(detection(other, i, std::to_string(i)), d.clock.now()));
  }
  EXPECT_EQ(d.delivery.take_dead().size(), 3u);
  EXPECT_EQ(d.delivery.stats()[0].waiting, 2u);
}

TEST(AlertDelivery, ResendsToAlertmanagerWhileItFiresAndTellsTheEndOnce) {
  Delivery d(
      {.receivers = {alertmanager()}, .origin = {"ca", "https://ca.example"}, .resend_ms = 1min});
  EXPECT_FALSE(d.next());
  d.open(3);
  auto job = d.next();
  ASSERT_TRUE(job);
  EXPECT_EQ(job->request.url, "http://127.0.0.1:9093/api/v2/alerts");
  EXPECT_EQ(Json::parse(job->request.body)[0]["labels"]["alertname"], "r");
  EXPECT_FALSE(d.delivery.done(*job, 200, d.clock.now()));
  EXPECT_FALSE(d.next());
  d.clock.advance(1min);
  EXPECT_FALSE(d.delivery.done(*d.next(), fail(Code::unavailable, "down"), d.clock.now()));
  d.clock.advance(20min);
  d.close();
  job = d.next();
  ASSERT_TRUE(job);
  EXPECT_EQ(Json::parse(job->request.body)[0]["endsAt"], "2026-01-01T00:21:00.000Z");
  EXPECT_FALSE(d.delivery.done(*job, 200, d.clock.now()));
  d.clock.advance(1h);
  EXPECT_FALSE(d.next());
}

TEST(AlertDelivery, LeavesOutWhatIsBelowAReceiversLevel) {
  Delivery d({.receivers = {webhook("hook", detect::Level::critical)}});
  d.open(3);
  EXPECT_FALSE(d.next());
}

TEST(WebhookSecret, IsRefusedWhenItIsShortOrOfAnotherKind) {
  EXPECT_TRUE(parse_webhook_secret(Secret("whsec_" + to_base64(std::string(32, 'x')))));
  EXPECT_FALSE(parse_webhook_secret(Secret("whsec_" + to_base64(std::string(23, 'x')))));
  EXPECT_FALSE(parse_webhook_secret(Secret(to_base64(std::string(32, 'x')))));
}

// A log in memory: what is submitted can be read.
class MemoryLog final : public domain::EventSink {
 public:
  void submit(domain::Event event, Completion done) override {
    Json json = {
        {"time", event.time.time_since_epoch().count()},
        {"metadata",
         {{"event_code", event.kind == domain::EventKind::detection ? "detection" : "other"}}}};
    for (const auto& [name, value] : event.details) {
      if (name == "finding_uid") json["finding_info"]["uid"] = value;
    }
    add(json.dump());
    done(lines.size());
  }
  void add(std::string line) { lines.push_back(std::move(line)); }
  std::vector<std::string> lines;

  DetectionPorts ports(const Clock& clock, std::vector<std::string>* sent) {
    DetectionPorts out;
    out.read = [this](std::uint64_t from, std::size_t count) -> Result<std::vector<WatchedEvent>> {
      std::vector<WatchedEvent> events;
      for (; from <= lines.size() && events.size() < count; ++from) {
        events.push_back({from, lines[from - 1]});
      }
      return events;
    };
    out.first = []() -> Result<std::uint64_t> { return 1; };
    out.send = [sent](const Receiver&, const http::ClientRequest& request) -> Result<int> {
      sent->push_back(Json::parse(request.body)["id"]);
      return 200;
    };
    out.events = this;
    out.clock = &clock;
    return out;
  }
  std::size_t detections() const {
    std::size_t found = 0;
    for (const auto& line : lines) found += line.find("\"detection\"") != std::string::npos ? 1 : 0;
    return found;
  }
};

std::shared_ptr<const detect::RuleSet> test_rules() {
  return detect::RuleSet::create({{"t.yml", R"(title: A
id: 00000000-0000-4000-8000-000000000001
name: rule_a
level: high
logsource: {product: domicile, service: audit}
detection: {s: {a: 1}, condition: s}
)"}})
      .value();
}

struct TempFolder {
  std::filesystem::path path =
      std::filesystem::temp_directory_path() / fmt::format("alerts-{}", std::random_device{}());
  TempFolder() { std::filesystem::create_directories(path); }
  ~TempFolder() { std::filesystem::remove_all(path); }
};

DetectionOptions options_in(const TempFolder& folder) {
  DetectionOptions options;
  options.region = domain::RegionId("ca-central-1");
  options.state_file = folder.path / "detections.json";
  options.delivery.receivers = {webhook("hook")};
  return options;
}

TEST(DetectionService, TellsAnAlertWithTheSameIdAfterACrash) {
  const auto event = [](const std::string& organization) {
    return fmt::format(R"({{"a":1,"time":1,"metadata":{{"event_code":"x","tenant_uid":"{}"}}}})",
                       organization);
  };
  for (const bool saved : {false, true}) {
    TempFolder folder;
    FakeClock clock;
    MemoryLog log;
    std::vector<std::string> sent;
    log.add(event("0"));
    {  // ends without saving what was delivered, as a crash would
      auto service =
          DetectionService::create(test_rules(), log.ports(clock, &sent), options_in(folder))
              .value();
      ASSERT_TRUE(service->follow());
      service->deliver(0);
    }
    EXPECT_EQ(log.detections(), 1u);
    if (!saved) std::filesystem::remove(folder.path / "detections.json");
    log.add(event("9"));
    auto service =
        DetectionService::create(test_rules(), log.ports(clock, &sent), options_in(folder)).value();
    ASSERT_TRUE(service->follow());
    service->deliver(0);
    EXPECT_EQ(service->alerts().size(), 2u);
    ASSERT_EQ(sent.size(), 3u);
    EXPECT_EQ(sent[0], sent[1]);
    EXPECT_NE(sent[1], sent[2]);
    if (saved) EXPECT_EQ(log.detections(), 2u);
  }
}

TEST(DetectionService, DoesNotWriteADetectionTwiceThatTheLogHolds) {
  TempFolder folder;
  FakeClock clock;
  MemoryLog log;
  std::vector<std::string> sent;
  {  // a state before the event
    auto service =
        DetectionService::create(test_rules(), log.ports(clock, &sent), options_in(folder)).value();
    service->raise("rule_a", "saves the file");
    ASSERT_TRUE(service->follow());
  }
  std::filesystem::copy_file(folder.path / "detections.json", folder.path / "before");
  log.add(R"({"a":1,"time":1,"metadata":{"event_code":"x"}})");
  {
    auto service =
        DetectionService::create(test_rules(), log.ports(clock, &sent), options_in(folder)).value();
    ASSERT_TRUE(service->follow());
  }
  EXPECT_EQ(log.detections(), 1u);
  std::filesystem::rename(folder.path / "before", folder.path / "detections.json");
  auto service =
      DetectionService::create(test_rules(), log.ports(clock, &sent), options_in(folder)).value();
  ASSERT_TRUE(service->follow());
  EXPECT_EQ(service->alerts().size(), 2u);
  EXPECT_EQ(log.detections(), 1u);
}

TEST(DetectionService, ClosesAnAlertAndSaysSo) {
  TempFolder folder;
  FakeClock clock;
  MemoryLog log;
  std::vector<std::string> sent;
  log.add(R"({"a":1,"time":1,"metadata":{"event_code":"x"}})");
  auto service =
      DetectionService::create(test_rules(), log.ports(clock, &sent), options_in(folder)).value();
  ASSERT_TRUE(service->follow());
  service->deliver(0);
  clock.advance(20min);
  ASSERT_TRUE(service->follow());
  service->deliver(0);
  EXPECT_TRUE(service->alerts().empty());
  ASSERT_EQ(sent.size(), 2u);
  EXPECT_TRUE(sent[1].ends_with(".resolved"));
  EXPECT_EQ(log.detections(), 2u);
}

// A log that several threads use, and receivers that say when they were told.
struct SharedLog {
  std::mutex mutex;
  std::condition_variable told;
  MemoryLog log;
  std::vector<std::string> sent;

  struct Sink final : domain::EventSink {
    SharedLog& shared;
    explicit Sink(SharedLog& s) : shared(s) {}
    void submit(domain::Event event, Completion done) override {
      const std::lock_guard lock(shared.mutex);
      shared.log.submit(std::move(event), std::move(done));
    }
  } sink{*this};

  DetectionPorts ports(const Clock& clock) {
    auto plain = std::make_shared<DetectionPorts>(log.ports(clock, &sent));
    DetectionPorts out = *plain;
    out.read = [this, plain](std::uint64_t from, std::size_t count) {
      const std::lock_guard lock(mutex);
      return plain->read(from, count);
    };
    out.send = [this, plain](const Receiver& receiver, const http::ClientRequest& request) {
      const std::lock_guard lock(mutex);
      auto status = plain->send(receiver, request);
      told.notify_all();
      return status;
    };
    out.events = &sink;
    return out;
  }
};

TEST(DetectionService, TellsEveryReceiverWhileTheLogGrows) {
  constexpr std::size_t kEvents = 200;
  TempFolder folder;
  const SystemClock clock;
  SharedLog shared;
  auto options = options_in(folder);
  options.delivery.receivers = {webhook("one"), webhook("two")};
  options.poll_ms = std::chrono::milliseconds(1);
  auto service =
      DetectionService::create(test_rules(), shared.ports(clock), std::move(options)).value();
  service->start();
  for (std::size_t i = 0; i < kEvents; ++i) {
    const std::lock_guard lock(shared.mutex);
    shared.log.add(
        fmt::format(R"({{"a":1,"time":1,"metadata":{{"event_code":"x","tenant_uid":"{}"}}}})", i));
  }
  {
    std::unique_lock lock(shared.mutex);
    EXPECT_TRUE(shared.told.wait_for(lock, std::chrono::seconds(60),
                                     [&] { return shared.sent.size() == 2 * kEvents; }));
  }
  EXPECT_EQ(service->alerts().size(), kEvents);
  service->stop();
  EXPECT_EQ(shared.log.detections(), kEvents);
  EXPECT_EQ(std::set<std::string>(shared.sent.begin(), shared.sent.end()).size(), kEvents);
  service->raise("rule_a", "the log is full");
  EXPECT_EQ(service->alerts().size(), kEvents + 1);
}

TEST(DetectionService, RefusesAStateFileThatIsNoState) {
  TempFolder folder;
  FakeClock clock;
  MemoryLog log;
  std::vector<std::string> sent;
  std::ofstream(folder.path / "detections.json") << "{}";
  const auto service =
      DetectionService::create(test_rules(), log.ports(clock, &sent), options_in(folder));
  ASSERT_FALSE(service);
  EXPECT_NE(service.error().message.find("move it away"), std::string::npos);
}

}  // namespace
}  // namespace domicile::compliance
