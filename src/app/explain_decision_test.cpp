// The explanation and the decision are one: on every question of a matrix, verdict and reason are
// authorize()'s own, exactly one step refuses, and those before it passed.
#include "app/explain_decision.h"

#include <set>

#include <gtest/gtest.h>

#include "policy/authorize.h"
#include "policy/route.h"

namespace domicile::app {
namespace {

constexpr std::string_view kRoutes = R"(version = 1
[[route]]
name = "read"
methods = ["GET"]
path = "/orgs/{org}/courses"
organization = "path:org"
permission = "courses:read"
[[route]]
name = "grade"
methods = ["POST"]
path = "/orgs/{org}/grades"
organization = "path:org"
permission = "grades:write"
roles = ["instructor"]
[[route]]
name = "mine"
methods = ["GET"]
path = "/mine"
organization = "token"
permission = "none"
[[route]]
name = "named"
methods = ["GET"]
path = "/named"
organization = "header:x-org"
permission = "courses:read"
[[route]]
name = "catalogue"
methods = ["GET"]
path = "/catalogue/{org}"
organization = "path:org"
public = true
[[route]]
name = "welcome"
methods = ["GET"]
path = "/welcome"
public = true
)";
constexpr std::int64_t kNow = 1'800'000'000;

std::shared_ptr<const domain::RegistrySnapshot> make_snapshot() {
  using domain::PlacementState;
  domain::RegistrySnapshot::Builder builder;
  builder.regions(
      {{domain::RegionId("ca"), domain::JurisdictionId("CA"), {}, "https://ca.test", true},
       {domain::RegionId("us"), domain::JurisdictionId("US"), {}, "https://us.test", false}});
  const auto put = [&](const char* key, const char* region, PlacementState state) {
    EXPECT_TRUE(builder.put({domain::OrgKey(key),
                             domain::Slug(std::string("s-") + key),
                             {domain::RegionId(region), 3, state},
                             1}));
  };
  put("7", "ca", PlacementState::active);
  put("8", "ca", PlacementState::active);
  put("9", "us", PlacementState::active);
  put("10", "ca", PlacementState::suspended);
  put("11", "ca", PlacementState::moving);
  put("12", "ca", PlacementState::closed);
  auto built = builder.build(1);
  EXPECT_TRUE(built);
  return *built;
}

std::vector<std::optional<domain::Principal>> make_principals() {
  std::vector<std::optional<domain::Principal>> out = {std::nullopt};
  for (const char* organization : {"7", "9", "10", "11", "12", "99"}) {
    for (const char* region : {"ca", "us"}) {
      for (const domain::Epoch epoch : {0, 2, 3, 4}) {
        domain::Principal principal;
        principal.subject = domain::UserId("u_1");
        principal.organization = domain::OrgKey(organization);
        principal.region = domain::RegionId(region);
        principal.epoch = epoch;
        principal.expires_at = kNow + 60;
        principal.permissions = {domain::Permission("courses:read")};
        out.push_back(principal);
        principal.roles = {domain::RoleName("instructor")};
        principal.permissions.clear();
        for (const char* target : {"8", "9", "10", "12", "99"}) {
          principal.grants.push_back({std::string("g-") + target,
                                      domain::OrgKey(target),
                                      {domain::Permission("courses:read")},
                                      epoch == 3 ? kNow + 60 : kNow - 1});
        }
        out.push_back(principal);
        principal.expires_at = kNow;
        out.push_back(principal);
      }
    }
  }
  return out;
}

TEST(ExplainDecision, SaysWhatTheDoorSaysAndNamesTheStep) {
  const auto policy = policy::RoutePolicy::parse(kRoutes, "routes.toml");
  ASSERT_TRUE(policy) << policy.error().message;
  const auto snapshot = make_snapshot();
  std::vector<std::pair<std::string, std::string>> requests = {{"GET", "/nowhere"},
                                                               {"PUT", "/mine"},
                                                               {"GET", "/mine"},
                                                               {"GET", "/named"},
                                                               {"GET", "/welcome"}};
  for (const char* key : {"7", "8", "9", "10", "11", "12", "99"}) {
    requests.emplace_back("GET", std::string("/orgs/") + key + "/courses");
    requests.emplace_back("POST", std::string("/orgs/") + key + "/grades");
    requests.emplace_back("GET", std::string("/catalogue/") + key);
  }
  std::set<std::string> reasons;
  for (const auto& principal : make_principals()) {
    for (const auto& [method, path] : requests) {
      for (const char* header : {"", "7", "8"}) {
        const DryQuestion question{method, path, header, "ca", principal, kNow};
        const auto trace = trace_decision(**policy, *snapshot, question);
        const policy::RequestFacts facts{(*policy)->match(method, path), header};
        const auto permit =
            policy::authorize(facts, principal ? &*principal : nullptr, *snapshot, "ca", kNow);
        ASSERT_EQ(trace.permitted, permit.has_value());
        const std::string want =
            permit ? "" : std::string(policy::to_string(permit.error().reason));
        EXPECT_EQ(trace.reason, want);
        reasons.insert(want);
        int refused = 0;
        for (const auto& step : trace.steps) {
          if (step.outcome == StepOutcome::refused) ++refused;
          if (refused == 0) EXPECT_EQ(step.outcome, StepOutcome::passed) << step.asks;
          if (step.outcome != StepOutcome::not_reached)
            EXPECT_FALSE(step.seen.empty()) << step.asks;
        }
        EXPECT_EQ(refused, permit ? 0 : 1) << method << ' ' << path << ' ' << want;
      }
    }
  }
  EXPECT_EQ(reasons.size(), static_cast<std::size_t>(policy::kDenialReasons) + 1)
      << "every reason, and the permit";
}

TEST(ExplainDecision, TellsOwnFromGrantedOrganization) {
  const auto policy = policy::RoutePolicy::parse(kRoutes, "routes.toml");
  const auto snapshot = make_snapshot();
  domain::Principal principal;
  principal.subject = domain::UserId("u_1");
  principal.organization = domain::OrgKey("7");
  principal.region = domain::RegionId("ca");
  principal.epoch = 3;
  principal.expires_at = kNow + 60;
  principal.grants = {{"g", domain::OrgKey("10"), {domain::Permission("courses:read")}, kNow + 60}};
  const auto refused_step = [&] {
    const auto trace =
        trace_decision(**policy, *snapshot, {"GET", "/orgs/10/courses", "", "ca", principal, kNow});
    EXPECT_EQ(trace.reason, "organization_suspended");
    for (const auto& step : trace.steps) {
      if (step.outcome == StepOutcome::refused) return step.asks;
    }
    return std::string();
  };
  EXPECT_EQ(refused_step(), "the granted organization is active");
  principal.organization = domain::OrgKey("10");
  EXPECT_EQ(refused_step(), "it is active");
}

}  // namespace
}  // namespace domicile::app
