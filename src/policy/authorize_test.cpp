#include "policy/authorize.h"

#include <random>
#include <set>
#include <type_traits>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "policy/route.h"

namespace domicile::policy {
namespace {

using domain::PlacementState;

// Skipping a stage does not compile: nobody but authorize() and route() can make these.
static_assert(!std::is_default_constructible_v<Permit> && !std::is_aggregate_v<Permit>);
static_assert(!std::is_constructible_v<Permit, const RouteRule&, const domain::Principal*,
                                       const domain::RegistrySnapshot&>);
static_assert(!std::is_default_constructible_v<Route> &&
              !std::is_constructible_v<Route, const Permit&>);

constexpr std::int64_t kNow = 1'000'000;

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
name = "members"
methods = ["GET"]
path = "/orgs/{org}/members"
organization = "path:org"
permission = "none"
[[route]]
name = "by-header"
methods = ["GET"]
path = "/courses"
organization = "header:X-Organization"
permission = "courses:read"
[[route]]
name = "me"
methods = ["GET"]
path = "/me"
organization = "token"
permission = "none"
[[route]]
name = "page"
methods = ["GET"]
path = "/pages/{org}"
organization = "path:org"
public = true
[[route]]
name = "home"
methods = ["GET"]
path = "/"
public = true
)";

struct World {
  std::shared_ptr<const RoutePolicy> routes = RoutePolicy::parse(kRoutes, "routes").value();
  std::shared_ptr<const domain::RegistrySnapshot> snapshot;

  World() { snapshot = make({}); }

  static domain::Organization org(std::string_view key, std::string_view home, PlacementState state,
                                  domain::Epoch epoch) {
    return {.key = domain::OrgKey(key),
            .slug = domain::Slug(fmt::format("slug-{}", key)),
            .placement = {.region = domain::RegionId(home), .epoch = epoch, .state = state},
            .revision = 1 + epoch};
  }

  static std::shared_ptr<const domain::RegistrySnapshot> make(
      std::vector<domain::Organization> changes) {
    domain::RegistrySnapshot::Builder builder;
    const auto region = [](const char* id, const char* where) {
      return domain::Region{.id = domain::RegionId(id),
                            .jurisdiction = domain::JurisdictionId(where),
                            .locations = {},
                            .url = fmt::format("https://{}.test", id)};
    };
    builder.regions({region("ca", "CA"), region("us", "US")});
    std::uint64_t revision = 1;
    for (auto& o :
         {org("1", "ca", PlacementState::active, 5), org("2", "us", PlacementState::active, 1),
          org("3", "ca", PlacementState::suspended, 2), org("4", "ca", PlacementState::moving, 2),
          org("5", "ca", PlacementState::closed, 2), org("6", "ca", PlacementState::active, 3)}) {
      EXPECT_TRUE(builder.put(o));
    }
    for (auto& o : changes) {
      o.revision = 100 + ++revision;
      EXPECT_TRUE(builder.put(o));
    }
    return builder.build(200).value();
  }

  std::string decide(const domain::Principal* principal, std::string_view method,
                     std::string_view path, std::string_view region = "ca",
                     std::string_view header = {}) const {
    const auto permit =
        authorize({.match = routes->match(method, path), .organization_header = header}, principal,
                  *snapshot, region, kNow);
    if (!permit) return std::string(to_string(permit.error().reason));
    const auto to = route(*permit, *snapshot);
    EXPECT_TRUE(to);
    return fmt::format("permit {} epoch {}{}", permit->organization().key, to->epoch(),
                       permit->grant() != nullptr ? " by grant" : "");
  }
};

domain::Principal person(std::string_view organization = "1", std::string_view region = "ca",
                         domain::Epoch epoch = 5) {
  return {.subject = domain::UserId("u1"),
          .organization = domain::OrgKey(organization),
          .region = domain::RegionId(region),
          .issuer = "https://ca.test",
          .roles = {domain::RoleName("student")},
          .permissions = {domain::Permission("courses:read"), domain::Permission("grades:write")},
          .grants = {},
          .token_id = "t1",
          .expires_at = kNow + 60,
          .epoch = epoch};
}

domain::Grant grant(std::string_view organization, std::int64_t expires = kNow + 10) {
  return {.id = "g1",
          .organization = domain::OrgKey(organization),
          .permissions = {domain::Permission("courses:read")},
          .expires_at = expires};
}

domain::Principal with(domain::Grant g) {
  auto p = person();
  p.grants.push_back(std::move(g));
  return p;
}

struct Case {
  const char* claim;
  domain::Principal principal;
  const char* method;
  const char* path;
  const char* region;
  const char* want;
};

std::vector<Case> own_cases() {
  auto expired = person();
  expired.expires_at = kNow;
  auto instructor = person();
  instructor.roles.emplace_back("instructor");
  auto bare = person();
  bare.permissions.clear();
  return {
      {"own organization, permission held", person(), "GET", "/orgs/1/courses", "ca",
       "permit 1 epoch 5"},
      {"no such route", person(), "GET", "/orgs/1/secrets", "ca", "no_route"},
      {"no such method", person(), "DELETE", "/orgs/1/courses", "ca", "method_not_allowed"},
      {"expired to the second", expired, "GET", "/orgs/1/courses", "ca", "token_expired"},
      {"another organization's id in the path", person(), "GET", "/orgs/6/courses", "ca",
       "organization_mismatch"},
      {"foreign organizations are not revealed", person(), "GET", "/orgs/999/courses", "ca",
       "organization_mismatch"},
      {"the registry does not know it", person("999"), "GET", "/orgs/999/courses", "ca",
       "unknown_organization"},
      {"homed elsewhere", person("2", "us", 1), "GET", "/orgs/2/courses", "ca", "wrong_region"},
      {"issuer of one region, home in another", person("2", "ca", 1), "GET", "/orgs/2/courses",
       "us", "cross_region_token"},
      {"the same at the issuer's own door", person("2", "ca", 1), "GET", "/orgs/2/courses", "ca",
       "cross_region_token"},
      {"an external issuer has no epoch to excuse it", person("1", "us", 0), "GET",
       "/orgs/1/courses", "ca", "cross_region_token"},
      {"moved: the former home sends people on", person("2", "ca", 0 + 1), "GET", "/orgs/6/courses",
       "ca", "organization_mismatch"},
      {"suspended", person("3", "ca", 2), "GET", "/orgs/3/courses", "ca", "organization_suspended"},
      {"moving", person("4", "ca", 2), "GET", "/orgs/4/courses", "ca", "organization_moving"},
      {"closed", person("5", "ca", 2), "GET", "/orgs/5/courses", "ca", "organization_closed"},
      {"a suspended one is told so before its old token", person("3", "ca", 1), "GET",
       "/orgs/3/courses", "ca", "organization_suspended"},
      {"token from before the last change", person("1", "ca", 4), "GET", "/orgs/1/courses", "ca",
       "stale_epoch"},
      {"token from after what this node knows", person("1", "ca", 6), "GET", "/orgs/1/courses",
       "ca", "snapshot_behind"},
      {"external issuer of this region", person("1", "ca", 0), "GET", "/orgs/1/courses", "ca",
       "permit 1 epoch 5"},
      {"role missing", person(), "POST", "/orgs/1/grades", "ca", "missing_role"},
      {"role and permission", instructor, "POST", "/orgs/1/grades", "ca", "permit 1 epoch 5"},
      {"permission missing", bare, "GET", "/orgs/1/courses", "ca", "missing_permission"},
      {"no permission needed", bare, "GET", "/orgs/1/members", "ca", "permit 1 epoch 5"},
      {"token only", bare, "GET", "/me", "ca", "permit 1 epoch 5"},
  };
}

std::vector<Case> grant_and_public_cases() {
  auto granted_role = with(grant("6"));
  granted_role.grants[0].permissions.emplace_back("grades:write");
  auto two_grants = with(grant("6", kNow - 5));
  two_grants.grants.push_back(grant("6"));
  return {
      {"grant in this region", with(grant("6")), "GET", "/orgs/6/courses", "ca",
       "permit 6 epoch 3 by grant"},
      {"grant expired to the second", with(grant("6", kNow)), "GET", "/orgs/6/courses", "ca",
       "grant_expired"},
      {"an expired grant does not hide a good one", two_grants, "GET", "/orgs/6/courses", "ca",
       "permit 6 epoch 3 by grant"},
      {"grants never cross regions", with(grant("2")), "GET", "/orgs/2/courses", "ca",
       "grant_cross_region"},
      {"nor are they used at the other region's door", with(grant("2")), "GET", "/orgs/2/courses",
       "us", "wrong_region"},
      {"grant to an unknown organization", with(grant("999")), "GET", "/orgs/999/courses", "ca",
       "unknown_organization"},
      {"grant to a suspended organization", with(grant("3")), "GET", "/orgs/3/courses", "ca",
       "organization_suspended"},
      {"grant without that permission", with(grant("6")), "POST", "/orgs/6/grades", "ca",
       "missing_role"},
      {"roles do not travel with a grant", granted_role, "POST", "/orgs/6/grades", "ca",
       "missing_role"},
      {"a grant opens only what it names", with(grant("6")), "GET", "/orgs/6/members", "ca",
       "missing_permission"},
      {"public page", person(), "GET", "/", "ca", "permit  epoch 0"},
      {"public page of an organization", person(), "GET", "/pages/6", "ca", "permit 6 epoch 3"},
      {"public page of one homed elsewhere", person(), "GET", "/pages/2", "ca", "wrong_region"},
      {"public page of an unknown one", person(), "GET", "/pages/999", "ca",
       "unknown_organization"},
  };
}

TEST(Authorize, DecidesAsTheTableSays) {
  const World world;
  for (const auto& cases : {own_cases(), grant_and_public_cases()}) {
    for (const Case& c : cases) {
      EXPECT_EQ(world.decide(&c.principal, c.method, c.path, c.region), c.want) << c.claim;
    }
  }
}

TEST(Authorize, WithoutCredentialsOnlyPublicRoutesOpen) {
  const World world;
  EXPECT_EQ(world.decide(nullptr, "GET", "/orgs/1/courses"), "unauthenticated");
  EXPECT_EQ(world.decide(nullptr, "GET", "/me"), "unauthenticated");
  EXPECT_EQ(world.decide(nullptr, "GET", "/"), "permit  epoch 0");
  EXPECT_EQ(world.decide(nullptr, "GET", "/pages/1"), "permit 1 epoch 5");
}

TEST(Authorize, ReadsTheOrganizationFromTheHeaderWhereTheRouteSaysSo) {
  const World world;
  const auto p = person();
  EXPECT_EQ(world.decide(&p, "GET", "/courses", "ca", "1"), "permit 1 epoch 5");
  EXPECT_EQ(world.decide(&p, "GET", "/courses", "ca", "6"), "organization_mismatch");
  EXPECT_EQ(world.decide(&p, "GET", "/courses", "ca"), "organization_missing");
  EXPECT_EQ(world.decide(&p, "GET", "/orgs/1/courses", "ca", "6"), "permit 1 epoch 5")
      << "not where the route looks";
}

TEST(Authorize, WrongRegionNamesTheHome) {
  const World world;
  const auto p = person("2", "us", 1);
  const auto denied =
      authorize({.match = world.routes->match("GET", "/orgs/2/courses"), .organization_header = {}},
                &p, *world.snapshot, "ca", kNow);
  ASSERT_FALSE(denied);
  EXPECT_EQ(denied.error().home->url, "https://us.test");
  EXPECT_EQ(status_of(denied.error().reason), 421);
}

TEST(Authorize, AfterAMoveOldTokensAreSentOnAndThenStale) {
  World world;
  world.snapshot = World::make({World::org("1", "us", PlacementState::active, 6)});
  const auto p = person();  // issued in ca under epoch 5
  EXPECT_EQ(world.decide(&p, "GET", "/orgs/1/courses", "ca"), "wrong_region");
  EXPECT_EQ(world.decide(&p, "GET", "/orgs/1/courses", "us"), "stale_epoch");
}

TEST(Route, HoldsOnlyWhileThePlacementIsTheOneDecidedOn) {
  const World world;
  const auto p = person();
  const auto permit =
      authorize({.match = world.routes->match("GET", "/orgs/1/courses"), .organization_header = {}},
                &p, *world.snapshot, "ca", kNow);
  ASSERT_TRUE(permit);
  EXPECT_EQ(route(*permit, *world.snapshot)->upstream(), "app");
  EXPECT_TRUE(route(*permit, *World::make({})));
  EXPECT_EQ(route(*permit, *World::make({World::org("1", "us", PlacementState::active, 6)}))
                .error()
                .reason,
            DenialReason::wrong_region);
  EXPECT_EQ(route(*permit, *World::make({World::org("1", "ca", PlacementState::suspended, 6)}))
                .error()
                .reason,
            DenialReason::stale_epoch);
  EXPECT_EQ(route(*permit, *domain::RegistrySnapshot::empty()).error().reason,
            DenialReason::unknown_organization);
}

TEST(Denial, ReasonsAreDistinctStableCodes) {
  std::set<std::string_view> texts;
  for (int i = 0; i < kDenialReasons; ++i) texts.insert(to_string(static_cast<DenialReason>(i)));
  EXPECT_EQ(texts.size(), static_cast<std::size_t>(kDenialReasons));
  EXPECT_EQ(to_string(DenialReason::organization_mismatch), "organization_mismatch");
}

// Random principals, requests and regions: what must hold of every decision.
class Properties : public ::testing::Test {
 protected:
  std::mt19937 random_{42};
  World world_;

  std::string key() { return std::to_string(1 + random_() % 8); }
  domain::Principal anyone() {
    auto p = person(key(), random_() % 4 ? "ca" : "us", random_() % 7);
    p.expires_at = kNow - 2 + static_cast<std::int64_t>(random_() % 8);
    for (const char* text : {"courses:read", "grades:write"}) {
      if (random_() % 2) std::erase(p.permissions, domain::Permission(text));
    }
    if (random_() % 2) p.roles.emplace_back("instructor");
    for (std::uint32_t i = random_() % 3; i != 0; --i) {
      p.grants.push_back(grant(key(), kNow - 2 + static_cast<std::int64_t>(random_() % 6)));
    }
    return p;
  }
  std::string path() {
    const char* forms[] = {
        "/orgs/{}/courses", "/orgs/{}/members", "/orgs/{}/grades", "/pages/{}", "/me", "/courses"};
    return fmt::format(fmt::runtime(forms[random_() % std::size(forms)]), key());
  }
  std::expected<Permit, Denial> decide(const domain::Principal* p, std::string_view at,
                                       std::string_view region, std::string_view header) {
    const std::string_view method = at.ends_with("grades") ? "POST" : "GET";
    return authorize({.match = world_.routes->match(method, at), .organization_header = header}, p,
                     *world_.snapshot, region, kNow);
  }
};

TEST_F(Properties, APermitIsAlwaysForAnActiveOrganizationHomedHere) {
  int permits = 0;
  for (int i = 0; i < 60'000; ++i) {
    const auto p = anyone();
    const std::string at = path();
    const std::string header = key();
    const std::string_view region = random_() % 3 ? "ca" : "us";
    const auto permit = decide(random_() % 9 ? &p : nullptr, at, region, header);
    if (!permit) continue;
    ++permits;
    ASSERT_TRUE(permit->organization().homed_in(region)) << at;
    ASSERT_EQ(permit->organization().state, PlacementState::active);
    if (permit->principal() == nullptr) {
      ASSERT_TRUE(permit->rule().is_public);
      continue;
    }
    ASSERT_GT(p.expires_at, kNow);
    ASSERT_EQ(p.region.view(), region) << "only this region's issuer vouches here";
    const bool own = permit->organization().key == p.organization.view();
    ASSERT_EQ(own, permit->grant() == nullptr);
    if (!own) {
      ASSERT_GT(permit->grant()->expires_at, kNow);
      ASSERT_EQ(permit->grant()->organization.view(), permit->organization().key);
    }
  }
  EXPECT_GT(permits, 1000) << "the generator must reach permits for the test to mean something";
}

TEST_F(Properties, TakingRightsAwayNeverOpensAnything) {
  int denials = 0;
  for (int i = 0; i < 60'000; ++i) {
    const auto p = anyone();
    const std::string at = path();
    const std::string header = key();
    const std::string_view region = random_() % 3 ? "ca" : "us";
    if (decide(&p, at, region, header)) continue;
    ++denials;
    auto less = p;
    switch (random_() % 4) {
      case 0:
        if (!less.permissions.empty()) less.permissions.erase(less.permissions.begin());
        break;
      case 1:
        if (!less.roles.empty()) less.roles.pop_back();
        break;
      case 2:
        if (!less.grants.empty()) less.grants.erase(less.grants.begin());
        break;
      default:
        if (!less.grants.empty()) less.grants.back().permissions.clear();
        break;
    }
    ASSERT_FALSE(decide(&less, at, region, header)) << at;
  }
  EXPECT_GT(denials, 10'000);
}

TEST_F(Properties, TimeOnlyClosesDoors) {
  for (int i = 0; i < 30'000; ++i) {
    const auto p = anyone();
    const std::string at = path();
    const auto match = world_.routes->match(at.ends_with("grades") ? "POST" : "GET", at);
    const bool before = authorize({match, "1"}, &p, *world_.snapshot, "ca", kNow).has_value();
    const bool after = authorize({match, "1"}, &p, *world_.snapshot, "ca", kNow + 3).has_value();
    ASSERT_TRUE(before || !after) << at;
  }
}

}  // namespace
}  // namespace domicile::policy
