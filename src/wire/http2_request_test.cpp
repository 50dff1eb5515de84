#include "wire/http2_request.h"

#include <gtest/gtest.h>

#include "wire/corpus_for_test.h"

namespace domicile::wire {
namespace {

using Fields = std::vector<std::pair<std::string, std::string>>;

class Http2HeadTest : public testing::Test {
 protected:
  static Fields plain(const Fields& more = {}) {
    Fields fields = {
        {":method", "GET"}, {":scheme", "https"}, {":authority", "a.example"}, {":path", "/"}};
    fields.insert(fields.end(), more.begin(), more.end());
    return fields;
  }
  std::string read(const Fields& fields, bool ends = true, bool encrypted = true) {
    fields_.begin();
    for (const auto& [name, value] : fields) fields_.add(name, value, limits_);
    const Fault fault = fields_.finish(head_, limits_, {.ends = ends, .encrypted = encrypted});
    return fault == Fault::none ? "ok" : std::string(reason_of(fault));
  }
  std::string trailers(const Fields& fields) {
    fields_.begin();
    for (const auto& [name, value] : fields) fields_.add(name, value, limits_);
    return std::string(reason_of(fields_.check_trailers()));
  }

  HeadLimits limits_;
  Http2Head fields_;
  RequestHead head_;
};

TEST_F(Http2HeadTest, FillsTheSameHeadAsText) {
  ASSERT_EQ(
      read(plain({{"x-a", "1"}, {"authorization", "Bearer t"}, {"content-length", "5"}}), false),
      "ok");
  EXPECT_EQ(head_.method, Method::get);
  EXPECT_EQ(head_.path, "/");
  EXPECT_EQ(head_.host, "a.example");
  EXPECT_EQ(head_.authorization, "Bearer t");
  EXPECT_EQ(head_.section.body, BodyKind::length);
  EXPECT_EQ(head_.section.content_length, 5u);
  EXPECT_EQ(head_.section.fields().front().name, "host");
  EXPECT_TRUE(head_.persistent);
  EXPECT_FALSE(head_.section.upgrade);
  ASSERT_EQ(
      read({{":method", "POST"}, {":scheme", "https"}, {":path", "/a?b=1"}, {"host", "h"}}, false),
      "ok");
  EXPECT_EQ(head_.path, "/a");
  EXPECT_EQ(head_.query, "b=1");
  EXPECT_EQ(head_.host, "h");
  EXPECT_EQ(head_.section.body, BodyKind::chunked);
}

TEST_F(Http2HeadTest, WantsEachPseudoFieldOnceAndFirst) {
  EXPECT_EQ(read({{":scheme", "https"}, {":authority", "a"}, {":path", "/"}}), "bad_pseudo_field");
  EXPECT_EQ(read({{":method", "GET"}, {":authority", "a"}, {":path", "/"}}), "bad_pseudo_field");
  EXPECT_EQ(read({{":method", "GET"}, {":scheme", "https"}, {":authority", "a"}}),
            "bad_pseudo_field");
  for (const char* name : {":method", ":scheme", ":authority", ":path"}) {
    EXPECT_EQ(read(plain({{name, "GET"}})), "bad_pseudo_field") << name;
  }
  EXPECT_EQ(read(plain({{"x-a", "1"}, {":path", "/"}})), "bad_pseudo_field");
  EXPECT_EQ(read({{":method", "GET"},
                  {"x", "1"},
                  {":scheme", "https"},
                  {":authority", "a"},
                  {":path", "/"}}),
            "bad_pseudo_field");
  for (const char* name : {":status", ":protocol", ":", ":Method", ":foo"}) {
    Fields fields = plain();
    fields.insert(fields.begin(), {name, "200"});
    EXPECT_EQ(read(fields), "bad_pseudo_field") << name;
  }
  EXPECT_EQ(read({}), "bad_pseudo_field");
}

TEST_F(Http2HeadTest, RefusesConnectAndOtherTargetsThanPaths) {
  EXPECT_EQ(read({{":method", "CONNECT"}, {":authority", "a:1"}}), "bad_target");
  EXPECT_EQ(
      read({{":method", "CONNECT"}, {":scheme", "https"}, {":authority", "a"}, {":path", "/"}}),
      "bad_target");
  for (const char* path :
       {"", "*", "a", "http://a.example/", "?a", "/a?b#c", "/a?b c", "/a?\x7f"}) {
    EXPECT_EQ(read({{":method", "OPTIONS"},
                    {":scheme", "https"},
                    {":authority", "a.example"},
                    {":path", path}}),
              "bad_target")
        << path;
  }
  EXPECT_EQ(read({{":method", "GET"},
                  {":scheme", "https"},
                  {":authority", "a"},
                  {":path", "/" + std::string(9000, 'a')}}),
            "target_too_long");
  for (const char* method : {"", "G T", "GET\r\nX: y", "GET HTTP/1.1"}) {
    EXPECT_EQ(
        read({{":method", method}, {":scheme", "https"}, {":authority", "a"}, {":path", "/"}}),
        "bad_method")
        << method;
  }
}

TEST_F(Http2HeadTest, WantsTheSchemeOfTheConnection) {
  const auto with = [](const char* scheme) {
    return Fields{{":method", "GET"}, {":scheme", scheme}, {":authority", "a"}, {":path", "/"}};
  };
  EXPECT_EQ(read(with("http"), true, true), "bad_pseudo_field");
  EXPECT_EQ(read(with("http"), true, false), "ok");
  EXPECT_EQ(read(with("https"), true, false), "ok");
  for (const char* scheme : {"", "ftp", "https\r\nX: y", "ws"}) {
    EXPECT_EQ(read(with(scheme), true, false), "bad_pseudo_field") << scheme;
  }
}

TEST_F(Http2HeadTest, KnowsOneHostAndNoOther) {
  EXPECT_EQ(read(plain({{"host", "A.Example"}})), "ok");
  EXPECT_EQ(head_.section.count, 1u);
  EXPECT_EQ(read(plain({{"host", "b.example"}})), "foreign_authority");
  EXPECT_EQ(read(plain({{"host", "a.example"}, {"host", "a.example"}})), "duplicate_host");
  EXPECT_EQ(read({{":method", "GET"}, {":scheme", "https"}, {":path", "/"}}), "missing_host");
  for (const char* host : {"", "user@a.example", "a.example/b", "a b", "a.example:x", "a\r\nb"}) {
    EXPECT_EQ(
        read({{":method", "GET"}, {":scheme", "https"}, {":authority", host}, {":path", "/"}}),
        "bad_host")
        << host;
  }
}

TEST_F(Http2HeadTest, RefusesFieldsThatMeanAConnection) {
  for (const auto& [name, value] : Fields{{"connection", "close"},
                                          {"connection", "upgrade"},
                                          {"keep-alive", "5"},
                                          {"proxy-connection", "close"},
                                          {"transfer-encoding", "chunked"},
                                          {"upgrade", "websocket"},
                                          {"te", "gzip"},
                                          {"te", ""},
                                          {"te", "trailers, deflate"}}) {
    EXPECT_EQ(read(plain({{name, value}})), "connection_field") << name << value;
  }
  EXPECT_EQ(read(plain({{"te", "trailers"}})), "ok");
}

TEST_F(Http2HeadTest, RefusesNamesAndValuesThatHttp1WouldReadOtherwise) {
  for (const std::string& name :
       {std::string("X-A"), std::string(""), std::string("x a"), std::string("x:a"),
        std::string("x\r\na"), std::string("x\0a", 3), std::string("h\xc3\xa9")}) {
    EXPECT_EQ(read(plain({{name, "1"}})), "bad_field_name") << name;
  }
  EXPECT_EQ(read(plain({{"x-a", "1\r\nx-b: 2"}})), "bare_cr");
  for (const std::string& value :
       {std::string("1\n2"), std::string("a\0b", 3), std::string(" a"), std::string("a "),
        std::string("\ta"), std::string("\x7f"), std::string("\x01")}) {
    EXPECT_EQ(read(plain({{"x-a", value}})), "bad_field_value") << value;
    EXPECT_EQ(read(plain({{"authorization", value}})), "bad_field_value") << value;
  }
  EXPECT_EQ(read(plain({{"x-a", ""}})), "ok");
}

TEST_F(Http2HeadTest, AppliesTheSameRulesToFieldsAsHttp1) {
  EXPECT_EQ(read(plain({{"authorization", "a"}, {"authorization", "b"}})),
            "duplicate_authorization");
  EXPECT_EQ(read(plain({{"content-length", "1"}, {"content-length", "1"}}), false),
            "duplicate_content_length");
  for (const char* length : {"+1", "1 ", "-1", "0x1", "", "1,1", "9999999999999999999"}) {
    EXPECT_NE(read(plain({{"content-length", length}}), false), "ok") << length;
  }
  EXPECT_EQ(read(plain({{"expect", "200-ok"}})), "bad_expectation");
  EXPECT_EQ(read(plain({{"content-length", "5"}}), true), "length_mismatch");
  EXPECT_EQ(read(plain({{"content-length", "0"}}), true), "ok");
}

TEST_F(Http2HeadTest, JoinsACookieThatComesInPieces) {
  Fields crumbs = {{"cookie", "a=1"}, {"x-a", "2"}, {"cookie", "b=2"}};
  ASSERT_EQ(read(plain(crumbs)), "ok");
  EXPECT_EQ(*only_field(head_, "cookie"), "a=1; b=2");
  ASSERT_EQ(read(plain({{"cookie", ""}, {"cookie", "a=1"}, {"cookie", ""}})), "ok");
  EXPECT_EQ(*only_field(head_, "cookie"), "a=1");  // without a blank at its end
  Fields many;
  for (int i = 0; i < 150; ++i) many.emplace_back("cookie", "c=1");
  EXPECT_EQ(read(plain(many)), "ok");
  EXPECT_EQ(read(plain({{"cookie", "a=1\r\nx: y"}})), "bare_cr");
}

TEST_F(Http2HeadTest, HasTheLimitsOfHttp1) {
  Fields many;
  for (int i = 0; i < 100; ++i) many.emplace_back("x-" + std::to_string(i), "1");
  EXPECT_EQ(read(plain(many)), "ok");
  many.emplace_back("x-more", "1");
  EXPECT_EQ(read(plain(many)), "too_many_fields");
  EXPECT_EQ(read(plain({{"x-a", std::string(33'000, 'a')}})), "head_too_large");
  Fields bomb(40, {"x-a", std::string(4000, 'a')});
  EXPECT_EQ(read(plain(bomb)), "head_too_large");
  EXPECT_TRUE(fields_.excessive(limits_));
}

TEST_F(Http2HeadTest, ChecksTrailersAsThoseOfAChunkedBody) {
  EXPECT_EQ(trailers({{"x-sum", "1"}}), "");
  EXPECT_EQ(trailers({{":path", "/"}}), "bad_trailer");
  EXPECT_EQ(trailers({{"X-Sum", "1"}}), "bad_trailer");
  EXPECT_EQ(trailers({{"x-sum", "1\r\ny: 2"}}), "bad_trailer");
  EXPECT_EQ(trailers({{"x-sum", std::string(9000, 'a')}}), "trailer_too_large");
}

}  // namespace
}  // namespace domicile::wire
