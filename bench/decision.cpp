// ns per authorize() + route() with a million organizations in the snapshot: random organizations, so
// that every look-up misses the cache as it would in a busy region.
#include <random>

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include "policy/route.h"

namespace {

using namespace domicile;

constexpr int kOrganizations = 1'000'000;
constexpr std::int64_t kNow = 1'000'000;

std::shared_ptr<const domain::RegistrySnapshot> snapshot() {
  domain::RegistrySnapshot::Builder builder;
  std::vector<domain::Region> regions(2);
  regions[0].id = domain::RegionId("ca-central-1");
  regions[0].jurisdiction = domain::JurisdictionId("CA");
  regions[1].id = domain::RegionId("us-east-1");
  regions[1].jurisdiction = domain::JurisdictionId("US");
  builder.regions(regions);
  for (int n = 0; n < kOrganizations; ++n) {
    domain::Organization o;
    o.key = domain::OrgKey(std::to_string(1'000'000 + n));
    o.slug = domain::Slug(fmt::format("school-number-{}", n));
    o.placement = {.region = regions[static_cast<std::size_t>(n % 2)].id, .epoch = 3};
    o.revision = static_cast<std::uint64_t>(n);
    (void)builder.put(o);
  }
  return builder.build(kOrganizations).value();
}

std::shared_ptr<const policy::RoutePolicy> routes() {
  std::string file = "version = 1\n";
  for (const char* noun : {"courses", "lessons", "assessments", "questions", "users", "attempts",
                           "answers", "reports"}) {
    for (const char* verb : {"GET", "POST"}) {
      file += fmt::format(
          "[[route]]\nname = \"{0}.{1}\"\nmethods = [\"{2}\"]\npath = "
          "\"/orgs/{{org}}/{0}{3}\"\norganization = "
          "\"path:org\"\npermission = \"{0}:{1}\"\n",
          noun, *verb == 'G' ? "read" : "write", verb, *verb == 'G' ? "/{id}" : "");
    }
  }
  return policy::RoutePolicy::parse(file, "bench").value();
}

struct Case {
  domain::Principal principal;
  std::string path;
};

// One request each of so many people that their organizations do not stay in the cache.
std::vector<Case> cases(bool grants) {
  std::mt19937 random(1);
  std::vector<Case> out(1 << 16);
  for (Case& c : out) {
    const std::string own =
        std::to_string(1'000'000 + static_cast<int>(random() % (kOrganizations / 2)) * 2);
    const std::string other =
        std::to_string(1'000'000 + static_cast<int>(random() % (kOrganizations / 2)) * 2);
    c.principal.organization = domain::OrgKey(own);
    c.principal.region = domain::RegionId("ca-central-1");
    c.principal.epoch = 3;
    c.principal.expires_at = kNow + 60;
    for (const char* p :
         {"answers:write", "attempts:write", "courses:read", "lessons:read", "questions:read"}) {
      c.principal.permissions.emplace_back(p);
    }
    if (grants) {
      c.principal.grants.push_back({.id = "g",
                                    .organization = domain::OrgKey(other),
                                    .permissions = {domain::Permission("courses:read")},
                                    .expires_at = kNow + 9});
    }
    c.path = fmt::format("/orgs/{}/courses/12345", grants ? other : own);
  }
  return out;
}

void decide(benchmark::State& state, bool with_match, bool grants) {
  static const auto organizations = snapshot();
  static const auto policy = routes();
  const auto all = cases(grants);
  std::size_t i = 0;
  std::size_t permits = 0;
  const auto one_match = policy->match("GET", all[0].path);
  for (auto _ : state) {
    const Case& c = all[i++ & (all.size() - 1)];
    policy::RouteMatch match = one_match;
    if (with_match) {
      match = policy->match("GET", c.path);
    } else {
      match.organization_in_path =
          grants ? c.principal.grants[0].organization.view() : c.principal.organization.view();
    }
    const auto permit = policy::authorize({.match = match, .organization_header = {}}, &c.principal,
                                          *organizations, "ca-central-1", kNow);
    if (permit) {
      const auto to = policy::route(*permit, *organizations);
      permits += to.has_value();
      benchmark::DoNotOptimize(to);
    }
  }
  if (permits != i) state.SkipWithError("a request was denied");
}

}  // namespace

BENCHMARK_CAPTURE(decide, authorize_and_route, false, false);
BENCHMARK_CAPTURE(decide, match_authorize_and_route, true, false);
BENCHMARK_CAPTURE(decide, with_a_grant, false, true);
BENCHMARK_MAIN();
