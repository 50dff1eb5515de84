#include "wire/trace_parent.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "wire/http1_request.h"

namespace domicile::wire {
namespace {

const std::string kTrace = "4bf92f3577b34da6a3ce929d0e0e4736";
const std::string kGood = "00-" + kTrace + "-00f067aa0ba902b7-01";

TEST(TraceParent, IsReadInItsOneForm) {
  EXPECT_EQ(trace_id_of(kGood), kTrace);
  EXPECT_EQ(trace_id_of("cc-" + kTrace + "-00f067aa0ba902b7-01"), kTrace);
  EXPECT_EQ(trace_id_of("cc-" + kTrace + "-00f067aa0ba902b7-01-more"), kTrace);
}

TEST(TraceParent, AnythingElseIsNoTrace) {
  const std::string zeros(32, '0');
  const std::vector<std::string> all = {
      std::string(),
      std::string("00"),
      kGood.substr(0, 54),
      kGood + "0",
      kGood + "-more",
      "ff" + kGood.substr(2),
      "0x" + kGood.substr(2),
      "00-" + zeros + "-00f067aa0ba902b7-01",
      "00-" + kTrace + "-0000000000000000-01",
      "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
      "00_" + kGood.substr(3),
      "00-" + kTrace + "_00f067aa0ba902b7-01",
      "00-" + kTrace + "-00f067aa0ba902b7-0g",
      "cc-" + kTrace + "-00f067aa0ba902b7-01more",
      "cc-" + kTrace + "-00f067aa0ba902b7-01-" + std::string(256, 'a')};
  for (const std::string& bad : all) {
    EXPECT_EQ(trace_id_of(bad), std::nullopt) << bad;
  }
}

std::string trace_in(const std::string& fields) {
  const std::string text = "GET / HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n";
  RequestHead head;  // views into `text`
  EXPECT_EQ(head.parse(text, {}), Fault::none);
  return std::string(head.trace_id);
}

TEST(TraceParent, CountsInAHeadThatNamesItOnce) {
  EXPECT_EQ(trace_in("Traceparent: " + kGood + "\r\n"), kTrace);
  EXPECT_EQ(trace_in(""), "");
  EXPECT_EQ(trace_in("traceparent: " + kGood + "\r\ntraceparent: " + kGood + "\r\n"), "");
  EXPECT_EQ(trace_in("traceparent: " + kGood + "\r\nConnection: traceparent\r\n"), "");
}

}  // namespace
}  // namespace domicile::wire
