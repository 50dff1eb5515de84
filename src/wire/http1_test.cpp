#include <memory>

#include <gtest/gtest.h>

#include "wire/corpus_for_test.h"
#include "wire/http1_chunked.h"
#include "wire/http1_path.h"
#include "wire/http1_request.h"
#include "wire/http1_response.h"

namespace domicile::wire {
namespace {

std::string verdict(Fault fault) {
  return fault == Fault::none ? "ok" : std::string(reason_of(fault));
}

// What a connection does: scan, parse, clean the path.
std::string judge_request(std::string_view bytes, std::size_t piece) {
  const HeadLimits limits;
  HeadScanner scanner;
  auto state = HeadScanner::State::more;
  for (std::size_t have = piece; state == HeadScanner::State::more; have += piece) {
    state = scanner.scan(bytes.substr(0, have), limits.head_bytes_max);
    if (have >= bytes.size() && state == HeadScanner::State::more) return "more";
  }
  if (state == HeadScanner::State::fault) return verdict(scanner.fault());
  const auto head = std::make_unique<RequestHead>();
  if (const Fault f = head->parse(bytes.substr(0, scanner.head_size()), limits); f != Fault::none) {
    return verdict(f);
  }
  std::string scratch(2 * head->path.size(), '\0');
  CleanPath path;
  return verdict(clean_path(head->path, scratch, path));
}

TEST(RequestHead, JudgesTheCorpusAsWritten) {
  for (const CorpusCase& c : read_corpus("requests.tsv")) {
    EXPECT_EQ(judge_request(c.bytes, c.bytes.size()), c.expected) << c.name;
  }
}

TEST(RequestHead, JudgesTheSameHoweverTheBytesArrive) {
  for (const CorpusCase& c : read_corpus("requests.tsv")) {
    for (const std::size_t piece : {1, 7, 1000}) {
      EXPECT_EQ(judge_request(c.bytes, piece), c.expected) << c.name << " in pieces of " << piece;
    }
  }
}

TEST(CleanPath, JudgesTheCorpusAsWritten) {
  for (const CorpusCase& c : read_corpus("paths.tsv")) {
    std::string scratch(2 * c.bytes.size(), '\0');
    CleanPath path;
    const Fault fault = clean_path(c.bytes, scratch, path);
    const std::string got =
        fault == Fault::none ? "ok:" + std::string(path.canonical) : verdict(fault);
    EXPECT_EQ(got, c.expected) << c.name;
  }
}

TEST(CleanPath, DecodesForThePolicyAndKeepsTheCanonicalFormForTheUpstream) {
  std::string scratch(100, '\0');
  CleanPath path;
  ASSERT_EQ(clean_path("/orgs/a%40b%20c/%41", scratch, path), Fault::none);
  EXPECT_EQ(path.decoded, "/orgs/a@b c/A");
  EXPECT_EQ(path.canonical, "/orgs/a%40b%20c/A");
}

TEST(CleanPath, IsStableWhenAppliedToItsOwnResult) {
  for (const CorpusCase& c : read_corpus("paths.tsv")) {
    if (!c.expected.starts_with("ok:")) continue;
    const std::string canonical = c.expected.substr(3);
    std::string scratch(2 * canonical.size(), '\0');
    CleanPath path;
    ASSERT_EQ(clean_path(canonical, scratch, path), Fault::none) << c.name;
    EXPECT_EQ(path.canonical, canonical) << c.name;
  }
}

std::string judge_chunked(std::string_view bytes, std::size_t piece) {
  ChunkedDecoder decoder;
  std::string payload;
  for (std::size_t at = 0; at < bytes.size() && !decoder.done(); at += piece) {
    std::string_view input = bytes.substr(at, piece);
    while (!input.empty() && !decoder.done()) {
      const auto step = decoder.step(input);
      if (step.fault != Fault::none) return verdict(step.fault);
      payload += step.data;
      input.remove_prefix(step.consumed);
    }
  }
  return decoder.done() ? "ok:" + payload : "more";
}

TEST(ChunkedDecoder, JudgesTheCorpusHoweverTheBytesArrive) {
  for (const CorpusCase& c : read_corpus("chunked.tsv")) {
    for (const std::size_t piece : {1, 2, 5, 100000}) {
      EXPECT_EQ(judge_chunked(c.bytes, piece), c.expected) << c.name << " in pieces of " << piece;
    }
  }
}

TEST(ChunkedDecoder, LeavesTheNextRequestUntouched) {
  ChunkedDecoder decoder;
  const std::string_view input = "0\r\n\r\nGET / HTTP/1.1\r\n";
  EXPECT_EQ(decoder.step(input).consumed, 5u);
  EXPECT_TRUE(decoder.done());
  EXPECT_EQ(decoder.step(input.substr(5)).consumed, 0u);
}

TEST(ChunkHead, WritesHexWithoutLeadingZeros) {
  std::array<char, 20> buffer;
  EXPECT_EQ(chunk_head(0, buffer), "0\r\n");
  EXPECT_EQ(chunk_head(0x1a2b, buffer), "1a2b\r\n");
  EXPECT_EQ(chunk_head(~0ull, buffer), "ffffffffffffffff\r\n");
}

TEST(ResponseHead, JudgesTheCorpusAsWritten) {
  for (const CorpusCase& c : read_corpus("responses.tsv")) {
    HeadScanner scanner;
    std::string got;
    if (scanner.scan(c.bytes, 32768) == HeadScanner::State::complete) {
      got = verdict(std::make_unique<ResponseHead>()->parse(c.bytes, Method::get, {}));
    } else {
      got = verdict(scanner.fault());
    }
    EXPECT_EQ(got, c.expected) << c.name;
  }
}

TEST(ResponseHead, SettlesTheBodyForTheRequestsMethod) {
  const auto head = std::make_unique<ResponseHead>();
  const auto body = [&](std::string_view bytes, Method method) {
    EXPECT_EQ(head->parse(bytes, method, {}), Fault::none) << bytes;
    return head->section.body;
  };
  constexpr std::string_view with_length = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
  EXPECT_EQ(body(with_length, Method::get), BodyKind::length);
  EXPECT_EQ(body(with_length, Method::head), BodyKind::none);
  EXPECT_EQ(body("HTTP/1.1 304 x\r\nContent-Length: 5\r\n\r\n", Method::get), BodyKind::none);
  EXPECT_EQ(body("HTTP/1.1 204 x\r\n\r\n", Method::get), BodyKind::none);
  EXPECT_EQ(body("HTTP/1.1 100 x\r\n\r\n", Method::get), BodyKind::none);
  EXPECT_EQ(body("HTTP/1.1 200 x\r\n\r\n", Method::get), BodyKind::until_close);
  EXPECT_FALSE(head->persistent);
  EXPECT_EQ(body("HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n", Method::get),
            BodyKind::chunked);
  EXPECT_TRUE(head->persistent);
}

TEST(FieldSection, MarksWhatConnectionNames) {
  const auto head = std::make_unique<RequestHead>();
  ASSERT_EQ(head->parse("GET / HTTP/1.1\r\nHost: a\r\nX-One: 1\r\nconnection: close, x-ONE\r\n"
                        "X-Two: 2\r\n\r\n",
                        {}),
            Fault::none);
  EXPECT_FALSE(head->persistent);
  EXPECT_TRUE(head->section.fields()[1].nominated);
  EXPECT_FALSE(head->section.fields()[3].nominated);
}

TEST(FieldSection, RecognizesTheNamesADoorTreatsSpecially) {
  using enum FieldKind;
  EXPECT_EQ(classify_field("DOMICILE-context"), identity);
  EXPECT_EQ(classify_field("TE"), hop_by_hop);
  EXPECT_EQ(classify_field("Proxy-Connection"), hop_by_hop);
  for (const char* name :
       {"X-Forwarded-For", "X-Original-URL", "x-original-uri", "X-Rewrite-Url", "X-Real-IP",
        "X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X-Envoy-Original-Path",
        "Client-Cert", "Client-Cert-Chain", "SSL-Client-Cert", "X-SSL-Client-Verify",
        "X-Client-Cert"}) {
    EXPECT_EQ(classify_field(name), forwarded) << name;
  }
  EXPECT_EQ(classify_field("TraceState"), tracing);
  EXPECT_EQ(classify_field("Traceparent"), trace_parent);
  EXPECT_EQ(classify_field("Cookie"), other);
}

TEST(FieldSection, TakesEveryNameThatIsAnothersDoubleForCgiAsAnAlias) {
  for (const char c : std::string_view("!#$%&'*+.^_`|~")) {
    EXPECT_EQ(classify_field(std::string("Domicile") + c + "Context"), FieldKind::alias) << c;
    EXPECT_EQ(classify_field(std::string("X-Org") + c), FieldKind::alias) << c;
  }
}

TEST(RequestHead, KnowsWhenAConnectionPersists) {
  const auto head = std::make_unique<RequestHead>();
  const auto persistent = [&](std::string_view bytes) {
    EXPECT_EQ(head->parse(bytes, {}), Fault::none);
    return head->persistent;
  };
  EXPECT_TRUE(persistent("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
  EXPECT_FALSE(persistent("GET / HTTP/1.0\r\nHost: a\r\n\r\n"));
  EXPECT_TRUE(persistent("GET / HTTP/1.0\r\nHost: a\r\nConnection: Keep-Alive\r\n\r\n"));
}

}  // namespace
}  // namespace domicile::wire
