#include <cstdlib>
#include <fstream>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include "trail/cloudtrail_events.h"
#include "trail/cloudtrail_folder.h"
#include "trail/record_splitter.h"

namespace domicile::trail {
namespace {

using domain::Activity;
using domain::Outcome;

std::string split(std::string_view text, std::size_t chunk) {
  RecordSplitter splitter;
  std::string out;
  for (std::size_t at = 0; at < text.size(); at += chunk) {
    const auto fed = splitter.feed(text.substr(at, chunk), [&](std::string_view record) {
      out += fmt::format("<{}>", record);
    });
    if (!fed) return "error";
  }
  return splitter.finish() ? out : out + "cut";
}

TEST(RecordSplitter, GivesEachRecordWholeHoweverTheBytesCome) {
  const std::string_view text =
      R"({"other":{"Records":[1]}, "Records" : [ {"a":"}]\"{"} , {"b":[{"c":1}]}, {} ], "x":"y","n":-1.5e3,"t":true})";
  for (std::size_t chunk = 1; chunk < text.size() + 1; ++chunk) {
    EXPECT_EQ(split(text, chunk), R"(<{"a":"}]\"{"}><{"b":[{"c":1}]}><{}>)") << chunk;
  }
  EXPECT_EQ(split(R"({"Records":[]})", 3), "");
}

TEST(RecordSplitter, RefusesAnotherForm) {
  for (const char* text :
       {"[]", "x", R"({"Records":["a"]})", R"({"Records":[[{}]]})", R"({"Records":[1]})",
        R"({"a" 1})", R"({}{})", R"({"Records":[{}]} x)"}) {
    EXPECT_EQ(split(text, 2), "error") << text;
  }
  EXPECT_EQ(split(R"({"Records":[{"a":1})", 4), R"(<{"a":1}>cut)");
  EXPECT_EQ(
      split("{\"Records\":[{\"a\":\"" + std::string(kCloudRecordBytesMax, 'x') + "\"}]}", 4096),
      "error");
  EXPECT_EQ(split("{\"Records\":[" + std::string(1000, '{'), 64), "error");
}

constexpr std::string_view kCopy =
    R"({"eventVersion":"1.10","userIdentity":{"type":"AssumedRole","principalId":"AROAEXAMPLE:ana","arn":"arn:aws:sts::111122223333:assumed-role/Admin/ana"},
 "eventTime":"2026-11-30T09:43:53Z","eventSource":"rds.amazonaws.com","eventName":"CopyDBSnapshot","awsRegion":"us-east-1","sourceIPAddress":"203.0.113.7",
 "requestParameters":{"sourceDBSnapshotIdentifier":"arn:aws:rds:ca-central-1:111122223333:snapshot:learning","sourceRegion":"ca-central-1","targetDBSnapshotIdentifier":"copy"},
 "responseElements":null,"eventID":"4d1bd4b1-aaaa-bbbb-cccc-000000000001","readOnly":false,"recipientAccountId":"111122223333"})";

std::string detail(const domain::Event& event, std::string_view name) {
  for (const auto& [key, value] : event.details) {
    if (key == name) return value;
  }
  return "";
}

TEST(CloudEvent, SaysWhoDidWhatToWhatAndWhichOtherRegionsAreNamed) {
  const auto event = cloud_event(kCopy, WallTime{});
  ASSERT_TRUE(event.has_value());
  EXPECT_EQ(event->kind, domain::EventKind::cloud_activity);
  EXPECT_EQ(event->operation, "CopyDBSnapshot");
  EXPECT_EQ(event->activity, Activity::create);
  EXPECT_EQ(event->outcome, Outcome::allowed);
  EXPECT_EQ(event->actor.view(), "arn:aws:sts::111122223333:assumed-role/Admin/ana");
  EXPECT_EQ(event->source_ip, "203.0.113.7");
  EXPECT_EQ(event->request_id, "ct:4d1bd4b1-aaaa-bbbb-cccc-000000000001");
  EXPECT_EQ(event->resource, "copy");
  EXPECT_EQ(detail(*event, "aws_region"), "us-east-1");
  EXPECT_EQ(detail(*event, "other_regions"), "ca-central-1");
  EXPECT_EQ(event->time.time_since_epoch().count(), 1796031833000);
}

TEST(CloudEvent, TellsWhatWasDeniedAndWhatIsNoRecord) {
  std::string denied(kCopy);
  denied.insert(1, R"("errorCode":"Client.UnauthorizedOperation",)");
  EXPECT_EQ(cloud_event(denied, WallTime{})->outcome, Outcome::denied);
  for (const char* text : {"", "{}", "[]", "{\"eventName\":7}",
                           "{\"eventName\":\"a\",\"eventSource\":\"b\"}", "\xff"}) {
    EXPECT_FALSE(cloud_event(text, WallTime{}).has_value()) << text;
  }
}

TEST(RegionName, IsOneOfAmazonsAndNothingElse) {
  for (const char* name : {"ca-central-1", "us-gov-west-1", "ap-southeast-4", "us-iso-east-1"})
    EXPECT_TRUE(region_name(name)) << name;
  for (const char* name : {"", "ca-central", "ca-central-0", "Ca-central-1", "cac-central-1",
                           "ca--central-1", "db-copy-of-a-b-c-1", "ca-1"}) {
    EXPECT_FALSE(region_name(name)) << name;
  }
}

class CloudtrailFolderTest : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/domicile-cloud-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    folder_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  void pack(const std::string& name, const std::string& text) {
    std::filesystem::create_directories((folder_ / name).parent_path());
    gzFile file = ::gzopen((folder_ / name).c_str(), "wb");
    ::gzwrite(file, text.data(), static_cast<unsigned>(text.size()));
    ::gzclose(file);
  }
  std::filesystem::path folder_;
};

TEST_F(CloudtrailFolderTest, GivesEachFileOnceAndAgainWhenItChanged) {
  pack("AWSLogs/1/a.json.gz", fmt::format("{{\"Records\":[{},{}]}}", kCopy, kCopy));
  pack("AWSLogs/1/CloudTrail-Digest/d.json.gz", "{}");
  CloudtrailFolder folder(folder_, {});
  auto files = folder.waiting(10);
  ASSERT_TRUE(files.has_value() && files->size() == 1u);
  int records = 0;
  const auto done = folder.read(files->front(), [&](std::string_view) { ++records; });
  ASSERT_TRUE(done.has_value()) << done.error().message;
  EXPECT_EQ(records, 2);
  folder.done(*done);
  EXPECT_EQ(folder.waiting(10)->size(), 0u);
  const auto index = parse_cloud_index(to_line(*done) + "half a li");
  ASSERT_TRUE(index.has_value());
  EXPECT_EQ(CloudtrailFolder(folder_, *index).waiting(10)->size(), 0u);
  pack("AWSLogs/1/a.json.gz", "{\"Records\":[]}");
  EXPECT_EQ(CloudtrailFolder(folder_, *index).waiting(10)->size(), 1u);
}

TEST_F(CloudtrailFolderTest, RefusesWhatIsCutOffOrNoArchive) {
  pack("a.json.gz", fmt::format("{{\"Records\":[{}]}}", kCopy));
  const auto size = std::filesystem::file_size(folder_ / "a.json.gz");
  CloudtrailFolder folder(folder_, {});
  for (std::uintmax_t cut = 0; cut < size; cut += 7) {
    std::filesystem::resize_file(folder_ / "a.json.gz", size - cut - 1);
    const auto read = folder.read(folder.waiting(1)->front(), [](std::string_view) {});
    ASSERT_FALSE(read.has_value());
    EXPECT_EQ(read.error().code, Code::invalid);
    pack("a.json.gz", fmt::format("{{\"Records\":[{}]}}", kCopy));
  }
}

TEST(CloudIndex, RefusesALineThatIsNone) {
  EXPECT_FALSE(parse_cloud_index("rumour\n").has_value());
  EXPECT_TRUE(parse_cloud_index("").has_value());
}

}  // namespace
}  // namespace domicile::trail
