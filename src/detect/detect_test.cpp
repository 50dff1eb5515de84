#include <fmt/format.h>
#include <gtest/gtest.h>

#include "detect/detector.h"

namespace domicile::detect {
namespace {

constexpr const char* kHead = R"(title: A test
id: 00000000-0000-4000-8000-000000000001
level: high
logsource: {product: domicile, service: audit}
)";

std::string rule_text(const std::string& detection) {
  return std::string(kHead) + "detection:\n" + detection;
}

std::unique_ptr<const RuleSet> rules_of(const std::string& text) {
  auto set = RuleSet::create({{"t.yml", text}});
  EXPECT_TRUE(set) << set.error().message;
  return set ? std::move(*set) : nullptr;
}

std::string refusal(const std::string& text) {
  const auto set = RuleSet::create({{"t.yml", text}});
  return set ? "accepted" : set.error().message;
}

bool finds(const std::string& detection, const std::string& json) {
  const auto set = rules_of(rule_text(detection));
  Detector detector(*set);
  return !detector.feed(1, json).value().empty();
}

// One selection of one line.
bool line_finds(const std::string& line, const std::string& json) {
  return finds("  s:\n    " + line + "\n  condition: s\n", json);
}

TEST(FieldMatch, ComparesTextsWithoutCaseAndWithWildcards) {
  EXPECT_TRUE(line_finds("a.b: Value", R"({"a":{"b":"vALUE"}})"));
  EXPECT_FALSE(line_finds("a.b|cased: Value", R"({"a":{"b":"vALUE"}})"));
  EXPECT_TRUE(line_finds("a.b: v*l?e", R"({"a":{"b":"value"}})"));
  EXPECT_FALSE(line_finds("a.b: v*l?e", R"({"a":{"b":"valuee"}})"));
  EXPECT_TRUE(line_finds(R"(a: 'v\*')", R"({"a":"v*"})"));
  EXPECT_FALSE(line_finds(R"(a: 'v\*')", R"({"a":"vx"})"));
  EXPECT_TRUE(line_finds(R"(a: 'c:\dir\*')", R"({"a":"c:\\dir*"})"));
  EXPECT_TRUE(line_finds("a|contains: mid", R"({"a":"a Middle"})"));
  EXPECT_TRUE(line_finds("a|startswith: [x, mid]", R"({"a":"Middle"})"));
  EXPECT_FALSE(line_finds("a|startswith: id", R"({"a":"Middle"})"));
  EXPECT_TRUE(line_finds("a|endswith: DLE", R"({"a":"Middle"})"));
  EXPECT_TRUE(line_finds("a|contains|all: [mid, dle]", R"({"a":"Middle"})"));
  EXPECT_FALSE(line_finds("a|contains|all: [mid, xle]", R"({"a":"Middle"})"));
}

TEST(FieldMatch, ComparesNumbersNullsAddressesAndExpressions) {
  EXPECT_TRUE(line_finds("a: 5", R"({"a":5})"));
  EXPECT_TRUE(line_finds("a: 5", R"({"a":"5"})"));
  EXPECT_TRUE(line_finds("a: '5'", R"({"a":5})"));
  EXPECT_TRUE(line_finds("a|gte: 5", R"({"a":"17"})"));
  EXPECT_FALSE(line_finds("a|lt: 5", R"({"a":"17"})"));
  EXPECT_FALSE(line_finds("a|gt: 5", R"({"a":"many"})"));
  EXPECT_TRUE(line_finds("a: null", R"({"b":1})"));
  EXPECT_TRUE(line_finds("a: null", R"({"a":null})"));
  EXPECT_FALSE(line_finds("a: null", R"({"a":""})"));
  EXPECT_TRUE(line_finds("a: ''", R"({"a":""})"));
  EXPECT_TRUE(line_finds("a|exists: false", R"({"b":1})"));
  EXPECT_FALSE(line_finds("a|exists: true", R"({"b":1})"));
  EXPECT_TRUE(line_finds("a: true", R"({"a":true})"));
  EXPECT_TRUE(line_finds("a|cidr: 10.0.0.0/8", R"({"a":"10.255.1.2"})"));
  EXPECT_FALSE(line_finds("a|cidr: 10.0.0.0/8", R"({"a":"11.0.0.1"})"));
  EXPECT_TRUE(line_finds("a|cidr: '2001:db8::/32'", R"({"a":"2001:db8:1::1"})"));
  EXPECT_FALSE(line_finds("a|cidr: '::/0'", R"({"a":"no address"})"));
  EXPECT_TRUE(line_finds("a|re: ^ab+$", R"({"a":"abbb"})"));
  EXPECT_FALSE(line_finds("a|re: ^ab+$", R"({"a":"ABBB"})"));
  EXPECT_TRUE(line_finds("a|re|i: ^ab+$", R"({"a":"ABBB"})"));
}

TEST(FieldMatch, GoesThroughLists) {
  const std::string json = R"({"r":[{"name":"one"},{"name":"two","tags":["x","y"]}]})";
  EXPECT_TRUE(line_finds("r.name: two", json));
  EXPECT_TRUE(line_finds("r.tags: y", json));
  EXPECT_FALSE(line_finds("r.name: three", json));
}

TEST(Rule, JoinsSelectionsAsItsConditionSays) {
  const std::string of = "  a1: {x: 1}\n  a2: {x: 2}\n  b: {y: 1}\n  condition: ";
  EXPECT_TRUE(finds(of + "1 of a* and b", R"({"x":2,"y":1})"));
  EXPECT_FALSE(finds(of + "all of a* and b", R"({"x":2,"y":1})"));
  EXPECT_TRUE(finds(of + "any of them", R"({"y":1})"));
  EXPECT_TRUE(finds(of + "b and not (a1 or a2)", R"({"x":3,"y":1})"));
  EXPECT_FALSE(finds(of + "b and not (a1 or a2)", R"({"x":1,"y":1})"));
  EXPECT_TRUE(finds(of + "a1 or a2 and b", R"({"x":1,"y":0})"));  // and binds tighter
  EXPECT_TRUE(finds("  s:\n    - {x: 1}\n    - {x: 2, y: 2}\n  condition: s", R"({"x":2,"y":2})"));
  EXPECT_FALSE(finds("  s:\n    - {x: 1}\n    - {x: 2, y: 2}\n  condition: s", R"({"x":2,"y":3})"));
}

TEST(Rule, FindsKeywordsAnywhere) {
  EXPECT_TRUE(
      finds("  k: [needle, pin]\n  condition: k", R"({"a":{"b":["hay","a Needle here"]}})"));
  EXPECT_FALSE(finds("  k: [needle]\n  condition: k", R"({"needle":"hay"})"));
  EXPECT_TRUE(finds("  k: {'|all': [one, two]}\n  condition: k", R"({"a":"one","b":"two"})"));
  EXPECT_FALSE(finds("  k: {'|all': [one, two]}\n  condition: k", R"({"a":"one"})"));
}

TEST(Rule, RefusesWhatItDoesNotSupportWithItsLine) {
  const auto of = [](const std::string& detection) { return refusal(rule_text(detection)); };
  EXPECT_NE(of("  s: {a|base64: x}\n  condition: s")
                .find("line 6: the modifier \"base64\" is not supported"),
            std::string::npos);
  EXPECT_NE(of("  s: {a: 1}\n  condition: s | count() > 5").find("write a correlation"),
            std::string::npos);
  EXPECT_NE(of("  s: {a: 1}\n  condition: s\n  timeframe: 5m").find("timeframe"),
            std::string::npos);
  EXPECT_NE(of("  s: {a: 1}\n  t: {a: 2}\n  condition: s").find("does not use the selection \"t\""),
            std::string::npos);
  EXPECT_NE(of("  s: {a: 1}\n  condition: s and u").find("no such selection"), std::string::npos);
  EXPECT_NE(of("  s: {a|re: '(?=x)'}\n  condition: s").find("RE2"), std::string::npos);
  EXPECT_NE(of("  s: {a|cidr: 10.0.0.0/33}\n  condition: s").find("no network"), std::string::npos);
  EXPECT_NE(of("  s: {a|contains|re: x}\n  condition: s").find("keep one"), std::string::npos);
  EXPECT_NE(of("  s: {a: []}\n  condition: s").find("empty list"), std::string::npos);
  EXPECT_NE(of("  s: {'a b': x}\n  condition: s").find("no field"), std::string::npos);
  EXPECT_NE(refusal(rule_text("  s: {a: 1}\n  condition: s") + "\nsurprise: 1")
                .find("\"surprise\" is not supported"),
            std::string::npos);
  EXPECT_NE(refusal("title: x").find("id is missing"), std::string::npos);
}

TEST(Yaml, RefusesWhatMakesASmallFileLarge) {
  EXPECT_NE(refusal("a: &x [1]\nb: *x").find("anchor"), std::string::npos);
  EXPECT_NE(refusal("a: !!binary x").find("tag"), std::string::npos);
  EXPECT_NE(refusal("a: 1\na: 2").find("line 2: \"a\" stands here twice"), std::string::npos);
  EXPECT_NE(refusal(std::string(40, '[')).find("t.yml"), std::string::npos);
  EXPECT_NE(refusal(std::string(40, '[') + std::string(40, ']')).find("nested deeper"),
            std::string::npos);
  EXPECT_NE(refusal("{a: [1, 2").find("not YAML"), std::string::npos);
  EXPECT_NE(refusal(std::string(kYamlBytesMax + 1, ' ')).find("split"), std::string::npos);
}

TEST(RuleSet, ShowsAnEventOnlyToRulesThatCanMatchIt) {
  const auto set = rules_of(rule_text(
      "  s: {metadata.event_code: [request, sign_in]}\n  t: {x: 1}\n  condition: s and not t"));
  EXPECT_EQ(set->candidates("request").size(), 1u);
  EXPECT_EQ(set->candidates("finding").size(), 0u);
  const auto open =
      rules_of(rule_text("  s: {metadata.event_code: request}\n  t: {x: 1}\n  condition: s or t"));
  EXPECT_EQ(open->candidates("finding").size(), 1u);
}

std::string correlation_text(const std::string& body) {
  return rule_text("  s: {a: 1}\n  condition: s\nname: base\n") + R"(---
title: Many
id: 00000000-0000-4000-8000-000000000002
level: high
correlation:
  rules: [base]
)" + body;
}

std::string event(std::int64_t seconds, const std::string& more = R"("a":1)") {
  return fmt::format(R"({{"time":{},{}}})", 1'800'000'000'000 + seconds * 1000, more);
}

TEST(Correlation, CountsWithinItsTimespanAndOncePerBurst) {
  const auto set = rules_of(correlation_text(
      "  type: event_count\n  group-by: [who]\n  timespan: 1m\n  condition: {gte: 3}"));
  Detector detector(*set);
  std::uint64_t sequence = 0;
  const auto feed = [&](std::int64_t seconds, const std::string& who) {
    return detector.feed(++sequence, event(seconds, R"("a":1,"who":")" + who + '"')).value();
  };
  EXPECT_TRUE(feed(0, "x").empty());
  EXPECT_TRUE(feed(10, "y").empty());
  EXPECT_TRUE(feed(20, "x").empty());
  EXPECT_TRUE(feed(70, "x").empty());  // the first is too old by now
  const auto found = feed(75, "x");
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].rule->title, "Many");
  EXPECT_EQ(found[0].first_sequence, 3u);
  EXPECT_EQ(found[0].last_sequence, 5u);
  EXPECT_TRUE(feed(76, "x").empty());  // the burst was told
  EXPECT_EQ(detector.groups(), 2u);
}

TEST(Correlation, TakesALateEventIntoItsOwnTime) {
  const auto set =
      rules_of(correlation_text("  type: event_count\n  timespan: 1m\n  condition: {gte: 3}"));
  Detector detector(*set);
  EXPECT_TRUE(detector.feed(1, event(0)).value().empty());
  EXPECT_TRUE(detector.feed(2, event(30)).value().empty());
  EXPECT_TRUE(detector.feed(3, event(100)).value().empty());
  EXPECT_EQ(detector.feed(4, event(50)).value().size(), 1u);
}

TEST(Correlation, CountsValuesOnce) {
  const auto set = rules_of(
      correlation_text("  type: value_count\n  timespan: 1m\n  condition: {field: v, gt: 1}"));
  Detector detector(*set);
  EXPECT_TRUE(detector.feed(1, event(0, R"("a":1,"v":"x")")).value().empty());
  EXPECT_TRUE(detector.feed(2, event(1, R"("a":1,"v":"x")")).value().empty());
  EXPECT_TRUE(detector.feed(3, event(2, R"("a":1)")).value().empty());
  EXPECT_EQ(detector.feed(4, event(3, R"("a":1,"v":"y")")).value().size(), 1u);
}

constexpr const char* kTwoRules = R"(title: One
id: 00000000-0000-4000-8000-000000000001
name: one
level: low
logsource: {product: domicile, service: audit}
detection: {s: {a: 1}, condition: s}
---
title: Two
id: 00000000-0000-4000-8000-000000000002
name: two
level: low
logsource: {product: domicile, service: audit}
detection: {s: {a: 2}, condition: s}
---
title: Both
id: 00000000-0000-4000-8000-000000000003
level: high
correlation:
  type: )";

std::vector<std::size_t> feed_all(Detector& detector,
                                  const std::vector<std::pair<int, int>>& events) {
  std::vector<std::size_t> found;
  for (std::size_t i = 0; i < events.size(); ++i) {
    const auto json = event(events[i].first, fmt::format(R"("a":{})", events[i].second));
    if (!detector.feed(i + 1, json).value().empty()) found.push_back(i + 1);
  }
  return found;
}

TEST(Correlation, FindsRulesTogetherAndInOrder) {
  const std::string rest = "\n  rules: [one, two]\n  timespan: 1m\n";
  const auto together = rules_of(kTwoRules + ("temporal" + rest));
  Detector a(*together);
  EXPECT_EQ(feed_all(a, {{0, 2}, {10, 1}, {20, 1}, {90, 2}}), std::vector<std::size_t>({2}));
  const auto ordered = rules_of(kTwoRules + ("temporal_ordered" + rest));
  Detector b(*ordered);
  EXPECT_EQ(feed_all(b, {{0, 2}, {10, 1}, {20, 1}, {75, 2}, {76, 2}}),
            std::vector<std::size_t>({4}));
  Detector c(*ordered);
  EXPECT_EQ(feed_all(c, {{0, 1}, {61, 2}}), std::vector<std::size_t>());
}

TEST(Correlation, RefusesCirclesAndWhatAGrowingLogCannotAnswer) {
  EXPECT_NE(refusal(correlation_text("  type: event_count\n  timespan: 1m\n  condition: {lt: 3}"))
                .find("gte"),
            std::string::npos);
  EXPECT_NE(refusal(correlation_text("  type: near\n  timespan: 1m")).find("event_count"),
            std::string::npos);
  EXPECT_NE(refusal(correlation_text("  type: event_count\n  timespan: 40d\n  condition: {gte: 3}"))
                .find("31d"),
            std::string::npos);
  EXPECT_NE(
      refusal(correlation_text(
                  "  type: event_count\n  timespan: 1m\n  aliases: {}\n  condition: {gte: 3}"))
          .find("aliases"),
      std::string::npos);
  std::string circle =
      correlation_text("  type: event_count\n  timespan: 1m\n  condition: {gte: 3}\nname: me\n");
  circle.replace(circle.find("[base]"), 6, "[me]");
  EXPECT_NE(refusal(circle).find("feeds itself"), std::string::npos);
}

TEST(Detector, GoesOnWhereASavedOneStood) {
  const auto set = rules_of(correlation_text(
      "  type: event_count\n  group-by: [who]\n  timespan: 1m\n  condition: {gte: 4}"));
  const auto json = [](std::uint64_t i) {
    return event(static_cast<std::int64_t>(i), fmt::format(R"("a":1,"who":"{}")", i * 7 % 5));
  };
  Detector whole(*set);
  std::vector<std::string> wanted, got;
  for (std::uint64_t i = 1; i <= 60; ++i) {
    for (const auto& d : whole.feed(i, json(i)).value()) wanted.push_back(d.id);
  }
  auto part = std::make_unique<Detector>(*set);
  for (std::uint64_t i = 1; i <= 60; ++i) {
    for (const auto& d : part->feed(i, json(i)).value()) got.push_back(d.id);
    auto next = std::make_unique<Detector>(*set);
    ASSERT_TRUE(next->load(part->save()));
    part = std::move(next);
  }
  EXPECT_EQ(got, wanted);
  EXPECT_FALSE(wanted.empty());
}

TEST(Detector, StaysSmallHoweverManyGroupsThereAre) {
  const auto set = rules_of(correlation_text(
      "  type: event_count\n  group-by: [who]\n  timespan: 1h\n  condition: {gte: 3}"));
  Detector detector(*set, 100);
  for (std::uint64_t i = 1; i <= 1000; ++i) {
    ASSERT_TRUE(detector.feed(
        i, event(static_cast<std::int64_t>(i), fmt::format(R"("a":1,"who":"{}")", i))));
  }
  EXPECT_EQ(detector.groups(), 100u);
  EXPECT_EQ(detector.groups_given_up(), 900u);
  ASSERT_TRUE(detector.feed(1001, event(20'000)));
  EXPECT_EQ(detector.groups(), 1u);  // hours later nothing can complete the others
}

TEST(Detector, RefusesAnEventThatIsNoObject) {
  const auto set = rules_of(rule_text("  s: {a: 1}\n  condition: s"));
  Detector detector(*set);
  EXPECT_FALSE(detector.feed(1, "[1]"));
  EXPECT_FALSE(detector.feed(1, "{"));
  EXPECT_EQ(detector.feed(1, R"({"a":1})").value().size(), 1u);
}

TEST(BuiltInRules, AreAllValidAndSayWhatTheyAreFor) {
  const auto set = RuleSet::create(built_in_rules());
  ASSERT_TRUE(set) << set.error().message;
  for (const RuleHead* head : (*set)->heads()) {
    EXPECT_FALSE(head->probe.empty()) << head->file << ": " << head->title;
    EXPECT_FALSE(head->tags.empty()) << head->file << ": " << head->title;
    EXPECT_FALSE(head->description.empty()) << head->title;
    EXPECT_FALSE(head->name.empty()) << head->title;
  }
  for (const Rule& rule : (*set)->rules())
    EXPECT_FALSE(rule.event_codes.empty()) << rule.head.title;
}

}  // namespace
}  // namespace domicile::detect
