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
  domain::OrgKey own, other;
  std::string path;
};

// Organizations in random order, so many that they do not stay in the cache.
std::vector<Case> cases(bool grants) {
  std::mt19937 random(1);
  std::vector<Case> out(1 << 16);
  for (Case& c : out) {
    const auto one = [&] {
      return domain::OrgKey(
          std::to_string(1'000'000 + static_cast<int>(random() % (kOrganizations / 2)) * 2));
    };
    c.own = one();
    c.other = one();
    c.path = fmt::format("/orgs/{}/courses/12345", grants ? c.other.view() : c.own.view());
  }
  return out;
}

domain::Principal person(bool grants) {
  domain::Principal p;
  p.region = domain::RegionId("ca-central-1");
  p.epoch = 3;
  p.expires_at = kNow + 60;
  for (const char* text :
       {"answers:write", "attempts:write", "courses:read", "lessons:read", "questions:read"}) {
    p.permissions.emplace_back(text);
  }
  if (grants)
    p.grants.push_back({.id = "g",
                        .organization = {},
                        .permissions = {domain::Permission("courses:read")},
                        .expires_at = kNow + 9});
  return p;
}

enum class Principals {
  hot,
  cold
};  // cold: one for each request, all of them out of the cache too

void decide(benchmark::State& state, bool with_match, bool grants, Principals principals) {
  static const auto organizations = snapshot();
  static const auto policy = routes();
  const auto all = cases(grants);
  std::vector<domain::Principal> people(principals == Principals::cold ? all.size() : 1,
                                        person(grants));
  for (std::size_t n = 0; n < people.size(); ++n) {
    people[n].organization = all[n].own;
    if (grants) people[n].grants[0].organization = all[n].other;
  }
  const auto one_match = policy->match("GET", all[0].path);
  std::size_t i = 0;
  std::size_t permits = 0;
  for (auto _ : state) {
    const std::size_t n = i++ & (all.size() - 1);
    const Case& c = all[n];
    domain::Principal& p = people[principals == Principals::cold ? n : 0];
    if (principals == Principals::hot) {  // the copy of the key counts as ours
      p.organization = c.own;
      if (grants) p.grants[0].organization = c.other;
    }
    policy::RouteMatch match = one_match;
    if (with_match) {
      match = policy->match("GET", c.path);
    } else {
      match.organization_in_path = grants ? c.other.view() : c.own.view();
    }
    const auto permit = policy::authorize({.match = match, .organization_header = {}}, &p,
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

BENCHMARK_CAPTURE(decide, authorize_and_route, false, false, Principals::hot);
BENCHMARK_CAPTURE(decide, match_authorize_and_route, true, false, Principals::hot);
BENCHMARK_CAPTURE(decide, with_a_grant, false, true, Principals::hot);
BENCHMARK_CAPTURE(decide, match_authorize_and_route_cold_principals, true, false, Principals::cold);
BENCHMARK_MAIN();
