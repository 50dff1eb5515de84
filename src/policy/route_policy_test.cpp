#include "policy/route_policy.h"

#include <random>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "policy/route_pattern.h"

namespace domicile::policy {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr std::string_view kFile = R"(version = 1
[defaults]
audit = "bounded"

[[route]]
name = "courses.read"
methods = ["GET", "HEAD"]
path = "/orgs/{org}/courses/{id}"
organization = "path:org"
permission = "courses:read"

[[route]]
name = "courses.new"
methods = ["GET"]
path = "/orgs/{org}/courses/new"
organization = "path:org"
permission = "courses:write"
roles = ["instructor", "admin"]

[[route]]
name = "courses.delete"
methods = ["DELETE"]
path = "/orgs/{org}/courses/{id}"
organization = "path:org"
permission = "courses:write"
audit = "strict"

[[route]]
name = "files"
methods = ["GET"]
path = "/orgs/{org}/files/{name...}"
organization = "path:org"
permission = "files:read"
upstream = "files"

[[route]]
name = "answers.submit"
methods = ["POST"]
path = "/answers"
organization = "header:X-Organization"
permission = "answers:write"
activity = "update"

[[route]]
name = "me"
methods = ["GET"]
path = "/me"
organization = "token"
permission = "none"

[[route]]
name = "home"
methods = ["GET"]
path = "/"
public = true
)";

std::shared_ptr<const RoutePolicy> policy() {
  return RoutePolicy::parse(kFile, "routes.toml").value();
}

std::string matched(const RoutePolicy& routes, std::string_view method, std::string_view path) {
  const RouteMatch match = routes.match(method, path);
  if (match.outcome == MatchOutcome::no_route) return "no_route";
  if (match.outcome == MatchOutcome::method_not_allowed) return "method_not_allowed";
  return match.rule->name;
}

// The findings for a file of one valid route with `line` in place of the field of the same name.
std::string finding(std::string_view lines) {
  const auto parsed = RoutePolicy::parse(
      fmt::format("version = 1\n[[route]]\nname = \"a\"\n{}\n", lines), "routes.toml");
  return parsed ? "accepted" : parsed.error().message;
}

TEST(RoutePolicy, MatchesByMethodAndPathMostSpecialFirst) {
  const auto routes = policy();
  EXPECT_EQ(matched(*routes, "GET", "/orgs/7/courses/12"), "courses.read");
  EXPECT_EQ(matched(*routes, "HEAD", "/orgs/7/courses/12"), "courses.read");
  EXPECT_EQ(matched(*routes, "GET", "/orgs/7/courses/new"), "courses.new");
  EXPECT_EQ(matched(*routes, "HEAD", "/orgs/7/courses/new"), "courses.read");
  EXPECT_EQ(matched(*routes, "DELETE", "/orgs/7/courses/new"), "courses.delete");
  EXPECT_EQ(matched(*routes, "GET", "/orgs/7/files/a"), "files");
  EXPECT_EQ(matched(*routes, "GET", "/orgs/7/files/a/b/c"), "files");
  EXPECT_EQ(matched(*routes, "GET", "/"), "home");
}

TEST(RoutePolicy, DeniesWhatItDoesNotList) {
  const auto routes = policy();
  for (const char* path :
       {"/orgs/7/courses", "/orgs/7/courses/", "/orgs/7/courses/12/", "/orgs//courses/1", "//", "",
        "orgs/7/courses/1", "/orgs/7/files", "/orgs/7/files/", "/Answers", "/orgs/7/courses/1/x"}) {
    EXPECT_EQ(matched(*routes, "GET", path), "no_route") << path;
  }
  EXPECT_EQ(matched(*routes, "PUT", "/orgs/7/courses/12"), "method_not_allowed");
  EXPECT_EQ(matched(*routes, "get", "/orgs/7/courses/12"), "method_not_allowed");
  EXPECT_EQ(matched(*routes, "TRACE", "/answers"), "method_not_allowed");
  EXPECT_EQ(matched(*routes, "OPTIONS", "/nowhere"), "no_route");
  std::string deep;
  for (int i = 0; i < 40; ++i) deep += "/a";
  EXPECT_EQ(matched(*routes, "GET", "/orgs/7/files" + deep), "no_route")
      << "more segments than any pattern may have";
}

TEST(RoutePolicy, SaysWhereTheOrganizationStands) {
  const auto routes = policy();
  EXPECT_EQ(routes->match("GET", "/orgs/acme.ca:1/courses/12").organization_in_path, "acme.ca:1");
  const RouteRule& answers = *routes->match("POST", "/answers").rule;
  EXPECT_EQ(answers.place, OrganizationPlace::header);
  EXPECT_EQ(answers.organization_header, "x-organization");
  EXPECT_EQ(routes->match("GET", "/me").rule->place, OrganizationPlace::token);
  EXPECT_EQ(routes->match("GET", "/").rule->place, OrganizationPlace::none);
}

TEST(RoutePolicy, FillsDefaultsAndOverrides) {
  const auto routes = policy();
  const RouteRule& read = *routes->match("GET", "/orgs/7/courses/12").rule;
  EXPECT_EQ(read.activity, domain::Activity::read);
  EXPECT_EQ(read.audit, AuditStrictness::bounded);
  EXPECT_EQ(read.upstream, "app");
  const RouteRule& gone = *routes->match("DELETE", "/orgs/7/courses/12").rule;
  EXPECT_EQ(gone.activity, domain::Activity::remove);
  EXPECT_EQ(gone.audit, AuditStrictness::strict);
  EXPECT_EQ(routes->match("POST", "/answers").rule->activity, domain::Activity::update);
  EXPECT_TRUE(routes->match("GET", "/me").rule->permission.empty());
  EXPECT_THAT(routes->upstreams(), ::testing::ElementsAre("app", "files"));
}

TEST(RoutePolicy, ErrorsNameTheLineAndTheRemedy) {
  constexpr std::string_view kRest =
      "methods = [\"GET\"]\npath = \"/a/{org}\"\npermission = \"a:b\"\n";
  EXPECT_THAT(finding(fmt::format("{}organization = \"query:org\"", kRest)),
              AllOf(HasSubstr("routes.toml:7"), HasSubstr("move it to the path or a header")));
  EXPECT_THAT(finding(fmt::format("{}organization = \"path:id\"", kRest)),
              HasSubstr("no parameter {id}"));
  EXPECT_THAT(finding(fmt::format("{}organization = \"header:Authorization\"", kRest)),
              HasSubstr("another meaning"));
  EXPECT_THAT(finding(fmt::format("{}organization = \"header:Domicile-Organization\"", kRest)),
              HasSubstr("another meaning"));
  EXPECT_THAT(finding(std::string(kRest)),
              AllOf(HasSubstr("routes.toml:2"), HasSubstr("lacks 'organization'")));
  EXPECT_THAT(finding(fmt::format("{}organization = \"token\"\npermision = \"x\"", kRest)),
              AllOf(HasSubstr("routes.toml:8"), HasSubstr("unknown key 'permision'"),
                    HasSubstr("permission")));
  EXPECT_THAT(
      finding("methods = [\"FETCH\"]\npath = \"a\"\npermission = \"a\"\norganization = \"token\""),
      AllOf(HasSubstr("'FETCH' is no method"), HasSubstr("a path starts with /"),
            HasSubstr("noun:verb")));
  EXPECT_THAT(finding("methods = [\"GET\", \"POST\"]\npath = \"/a\"\npermission = "
                      "\"a:b\"\norganization = \"token\""),
              HasSubstr("split the route or write 'activity'"));
  EXPECT_THAT(finding("methods = [\"GET\"]\npath = \"/a\"\npublic = true\npermission = \"a:b\""),
              HasSubstr("cannot need a permission"));
  // A number beyond what a whole one can be is no version, and no undefined behaviour.
  const std::string beyond = "version = " + std::string(60, '7') + ".1";
  EXPECT_THAT(RoutePolicy::parse(beyond, "r.toml").error().message, HasSubstr("version = 1"));
  EXPECT_THAT(RoutePolicy::parse("version = 1\nroute = [", "r.toml").error().message,
              HasSubstr("r.toml:2"));
  EXPECT_THAT(RoutePolicy::parse("", "r.toml").error().message,
              AllOf(HasSubstr("version = 1"), HasSubstr("no [[route]]")));
}

TEST(RoutePolicy, RefusesPatternsThatAreNotPlainPaths) {
  for (const char* path : {"/a//b", "/a/", "/a/../b", "/./a", "/a%2fb", "/{a}{b}", "/{A}",
                           "/{a...}/b", "/{a}/{a}", "/a b", "/{", "/{}", "/a?b", "/a#b"}) {
    EXPECT_FALSE(parse_pattern(path)) << path;
  }
  EXPECT_EQ(parse_pattern("/").value().size(), 0u);
}

TEST(RoutePolicy, RefusesAmbiguousPairsAndKeepsSpecialCases) {
  const auto two = [](std::string_view a, std::string_view b,
                      std::string_view methods = "[\"GET\"]") {
    return RoutePolicy::parse(
        fmt::format(
            "version = 1\n[[route]]\nname = \"a\"\nmethods = [\"GET\"]\npath = "
            "\"{}\"\norganization = "
            "\"token\"\npermission = \"none\"\n[[route]]\nname = \"b\"\nmethods = {}\npath = "
            "\"{}\"\norganization = \"token\"\npermission = \"none\"\n",
            a, methods, b),
        "routes.toml");
  };
  EXPECT_TRUE(two("/a/{x}", "/a/new"));
  EXPECT_TRUE(two("/a/{x...}", "/a/{x}/b"));
  EXPECT_TRUE(two("/a/{x}", "/b/{x}"));
  EXPECT_TRUE(two("/a/{x}", "/a/{y}", "[\"POST\"]"));
  EXPECT_THAT(two("/a/{x}", "/a/{y}").error().message, HasSubstr("routes.toml:8"));
  EXPECT_THAT(two("/{x}/b", "/a/{y}").error().message, HasSubstr("neither is a special case"));
  EXPECT_THAT(two("/a/{x...}", "/{y}/b").error().message, HasSubstr("neither is a special case"));
}

// The trie agrees with the definition: of all patterns that match, the one that lies within the
// others.
TEST(RoutePolicy, TheTrieAgreesWithTheDefinition) {
  std::mt19937 random(7);
  const auto pick = [&](std::initializer_list<const char*> options) {
    return *(options.begin() + static_cast<std::ptrdiff_t>(random() % options.size()));
  };
  for (int round = 0; round < 300; ++round) {
    std::string file = "version = 1\n";
    std::vector<std::string> kept;
    for (int i = 0; i < 8; ++i) {
      std::string path;
      const int depth = 1 + static_cast<int>(random() % 3);
      for (int d = 0; d < depth; ++d) {
        const bool last = d + 1 == depth;
        path += '/';
        path += last ? pick({"a", "b", "{x}", "{r...}"}) : pick({"a", "b", d == 0 ? "{p}" : "{q}"});
      }
      const std::string route = fmt::format(
          "[[route]]\nname = \"r{}\"\nmethods = [\"GET\"]\npath = \"{}\"\norganization = "
          "\"token\"\npermission = "
          "\"none\"\n",
          i, path);
      if (RoutePolicy::parse(file + route, "r")) {
        file += route;
        kept.push_back(path);
      }
    }
    const auto routes = RoutePolicy::parse(file, "r").value();
    for (int probe = 0; probe < 60; ++probe) {
      std::string path;
      const int depth = 1 + static_cast<int>(random() % 4);
      for (int d = 0; d < depth; ++d) path += fmt::format("/{}", pick({"a", "b", "c"}));
      const Pattern concrete = parse_pattern(path).value();
      const Pattern* best = nullptr;
      std::string best_text;
      std::vector<Pattern> patterns;
      for (const auto& text : kept) patterns.push_back(parse_pattern(text).value());
      for (std::size_t i = 0; i < kept.size(); ++i) {
        if (!within(concrete, patterns[i])) continue;
        if (best == nullptr || within(patterns[i], *best)) {
          best = &patterns[i];
          best_text = kept[i];
        }
      }
      const RouteMatch match = routes->match("GET", path);
      ASSERT_EQ(match.rule == nullptr ? "" : match.rule->path, best_text) << path << "\n" << file;
    }
  }
}

}  // namespace
}  // namespace domicile::policy
