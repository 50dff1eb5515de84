#include "domain/registry_snapshot.h"

#include <map>
#include <random>

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace domicile::domain {
namespace {

Region region(std::string_view id, std::string_view jurisdiction, bool master = false) {
  return {.id = RegionId(id),
          .jurisdiction = JurisdictionId(jurisdiction),
          .locations = {LocationId(id), LocationId("spare-1")},
          .url = fmt::format("https://{}.example.com", id),
          .master = master};
}

std::vector<Region> two_regions() {
  return {region("us-east-1", "US"), region("ca-central-1", "CA", true)};
}

Organization org(int n, std::string_view home, std::uint64_t revision, Epoch epoch = 1) {
  return {.key = OrgKey(fmt::format("{}", n)),
          .slug = Slug(fmt::format("school-{}", n)),
          .placement = {.region = RegionId(home), .epoch = epoch},
          .revision = revision};
}

DomainHash domain(int n) {
  DomainHash hash{};
  std::memcpy(hash.data(), &n, sizeof n);
  return hash;
}

TEST(RegistrySnapshot, PrefetchesWhatIsNotThereToo) {
  RegistrySnapshot::empty()->prefetch("7", "8");
  const auto one = RegistrySnapshot::Builder().build(1).value();
  one->prefetch("", std::string(200, 'x'));
  EXPECT_FALSE(one->find("7"));
}

TEST(RegistrySnapshot, FindsByKeySlugAndDomain) {
  RegistrySnapshot::Builder builder;
  builder.registry_id("abc").regions(two_regions());
  ASSERT_TRUE(builder.put(org(7, "ca-central-1", 1), std::vector{domain(1), domain(2)}));
  ASSERT_TRUE(builder.put(org(9, "us-east-1", 2)));
  const auto snapshot = builder.build(2).value();
  EXPECT_EQ(snapshot->size(), 2u);
  EXPECT_TRUE(snapshot->find(OrgKey("7"))->homed_in("ca-central-1"));
  EXPECT_EQ(snapshot->find_slug("school-9")->key, "9");
  EXPECT_EQ(snapshot->find_domain(domain(2))->key, "7");
  EXPECT_FALSE(snapshot->find("8"));
  EXPECT_FALSE(snapshot->find(""));
  EXPECT_FALSE(snapshot->find_slug("7"));
  EXPECT_FALSE(snapshot->find_domain(domain(3)));
  EXPECT_EQ(snapshot->master()->id.view(), "ca-central-1");
  EXPECT_EQ(snapshot->region("nowhere"), nullptr);
}

TEST(RegistrySnapshot, TheEmptyOneKnowsNobody) {
  const auto nobody = RegistrySnapshot::empty();
  EXPECT_FALSE(nobody->find("7"));
  EXPECT_FALSE(nobody->find_slug("a"));
  EXPECT_FALSE(nobody->find_domain(domain(1)));
  EXPECT_EQ(RegistrySnapshot::decode(nobody->encode()).value()->size(), 0u);
}

TEST(RegistrySnapshot, AFormerSnapshotDoesNotChangeUnderItsReaders) {
  RegistrySnapshot::Builder builder;
  builder.regions(two_regions());
  ASSERT_TRUE(builder.put(org(7, "ca-central-1", 1)));
  const auto before = builder.build(1).value();
  RegistrySnapshot::Builder next(before);
  ASSERT_TRUE(next.put(org(7, "us-east-1", 2, 2)));
  const auto after = next.build(2).value();
  EXPECT_TRUE(before->find("7")->homed_in("ca-central-1"));
  EXPECT_TRUE(after->find("7")->homed_in("us-east-1"));
  EXPECT_EQ(after->find_slug("school-7")->epoch, 2u);
  EXPECT_EQ(after->size(), 1u);
}

TEST(RegistrySnapshot, RefusesWhatCannotBeTrue) {
  RegistrySnapshot::Builder builder;
  builder.regions(two_regions());
  ASSERT_TRUE(builder.put(org(7, "ca-central-1", 5, 3), std::vector{domain(1)}));
  EXPECT_FALSE(builder.put(org(8, "mars-1", 6))) << "unknown region";
  EXPECT_FALSE(builder.put(org(7, "ca-central-1", 4, 3))) << "older revision";
  EXPECT_FALSE(builder.put(org(7, "ca-central-1", 6, 2))) << "older epoch";
  Organization squatter = org(8, "us-east-1", 6);
  squatter.slug = Slug("school-7");
  EXPECT_FALSE(builder.put(squatter)) << "slug of another";
  Organization renamed = org(7, "us-east-1", 6, 4);
  renamed.slug = Slug("other");
  EXPECT_FALSE(builder.put(renamed)) << "a slug is for life";
  ASSERT_TRUE(builder.put(org(9, "us-east-1", 6), std::vector{domain(1)}));
  EXPECT_FALSE(builder.build(6)) << "domain of another";
}

TEST(RegistrySnapshot, ADomainMayPassFromOneOrganizationToAnother) {
  RegistrySnapshot::Builder builder;
  builder.regions(two_regions());
  ASSERT_TRUE(builder.put(org(7, "ca-central-1", 1), std::vector{domain(1)}));
  const auto before = builder.build(1).value();
  RegistrySnapshot::Builder next(before);
  // The taker comes first: the compacted feed delivers it so when the giver changed once more
  // later.
  ASSERT_TRUE(next.put(org(9, "us-east-1", 3), std::vector{domain(1)}));
  ASSERT_TRUE(next.put(org(7, "ca-central-1", 4)));
  const auto after = next.build(4).value();
  EXPECT_EQ(after->find_domain(domain(1))->key, "9");
  EXPECT_EQ(RegistrySnapshot::decode(after->encode()).value()->find_domain(domain(1))->key, "9");

  RegistrySnapshot::Builder gone(after);
  ASSERT_TRUE(gone.put(org(9, "us-east-1", 5)));
  EXPECT_FALSE(gone.build(5).value()->find_domain(domain(1)));
}

TEST(RegistrySnapshot, RegionsMayChangeButNotVanishUnderAnOrganization) {
  RegistrySnapshot::Builder builder;
  builder.regions(two_regions());
  ASSERT_TRUE(builder.put(org(7, "us-east-1", 1)));
  const auto before = builder.build(1).value();
  auto three = two_regions();
  three.push_back(
      region("ap-1", "SG"));  // sorts first, so that every record's region number changes
  const auto after = RegistrySnapshot::Builder(before).regions(three).build(2).value();
  EXPECT_TRUE(after->find("7")->homed_in("us-east-1"));
  EXPECT_FALSE(RegistrySnapshot::Builder(after).regions({region("ca-central-1", "CA")}).build(3));
}

TEST(RegistrySnapshot, RevisionsNeverGoBack) {
  RegistrySnapshot::Builder builder;
  builder.regions(two_regions());
  const auto at_5 = builder.build(5).value();
  EXPECT_FALSE(RegistrySnapshot::Builder(at_5).build(4));
}

// Against a plain map, through thousands of changes, folds and round trips.
TEST(RegistrySnapshot, AgreesWithAMapThroughRandomChanges) {
  std::mt19937 random(20260101);
  std::map<int, Organization> model;
  std::map<int, int> domain_owner;
  auto snapshot = RegistrySnapshot::empty();
  std::uint64_t revision = 0;
  for (int round = 0; round < 60; ++round) {
    RegistrySnapshot::Builder builder(snapshot);
    builder.regions(two_regions());
    for (int i = 0; i < 100; ++i) {
      const int n = static_cast<int>(random() % 3000);
      const auto known = model.find(n);
      Organization o = org(n, random() % 2 ? "us-east-1" : "ca-central-1", ++revision,
                           known == model.end() ? 1 : known->second.placement.epoch + random() % 2);
      o.placement.state = static_cast<PlacementState>(random() % 4);
      std::erase_if(domain_owner, [&](const auto& held) { return held.second == n; });
      std::vector<DomainHash> domains;
      for (int d = n * 4; d < n * 4 + static_cast<int>(random() % 3); ++d) {
        domains.push_back(domain(d));
        domain_owner[d] = n;
      }
      ASSERT_TRUE(builder.put(o, domains));
      model[n] = o;
    }
    snapshot = builder.build(revision).value();
    if (round % 7 == 0) snapshot = RegistrySnapshot::decode(snapshot->encode()).value();
    ASSERT_EQ(snapshot->size(), model.size());
    ASSERT_EQ(snapshot->revision(), revision);
  }
  for (int n = 0; n < 3000; ++n) {
    const auto found = snapshot->find(fmt::format("{}", n));
    const auto by_slug = snapshot->find_slug(fmt::format("school-{}", n));
    const auto known = model.find(n);
    ASSERT_EQ(found.has_value(), known != model.end()) << n;
    ASSERT_EQ(by_slug.has_value(), known != model.end()) << n;
    if (!found) continue;
    EXPECT_EQ(found->key, by_slug->key);
    EXPECT_EQ(found->epoch, known->second.placement.epoch);
    EXPECT_EQ(found->state, known->second.placement.state);
    EXPECT_EQ(found->revision, known->second.revision);
    EXPECT_TRUE(found->homed_in(known->second.placement.region.view()));
  }
  for (int d = 0; d < 12000; ++d) {
    const auto found = snapshot->find_domain(domain(d));
    ASSERT_EQ(found.has_value(), domain_owner.contains(d)) << d;
    if (found) EXPECT_EQ(found->key, fmt::format("{}", domain_owner[d]));
  }
  std::size_t visited = 0;
  std::size_t domains = 0;
  snapshot->for_each([&](const OrganizationView& o, std::span<const DomainHash> held) {
    ++visited;
    domains += held.size();
    EXPECT_TRUE(model.contains(std::stoi(std::string(o.key))));
  });
  EXPECT_EQ(visited, model.size());
  EXPECT_EQ(domains, domain_owner.size());
}

TEST(RegistrySnapshot, DecodingRefusesEveryTruncation) {
  RegistrySnapshot::Builder builder;
  builder.registry_id("0123").regions(two_regions());
  ASSERT_TRUE(builder.put(org(7, "ca-central-1", 1), std::vector{domain(1)}));
  ASSERT_TRUE(builder.put(org(9, "us-east-1", 2)));
  const std::string whole = builder.build(2).value()->encode();
  ASSERT_TRUE(RegistrySnapshot::decode(whole));
  for (std::size_t length = 0; length < whole.size(); ++length) {
    EXPECT_FALSE(RegistrySnapshot::decode(std::string_view(whole).substr(0, length))) << length;
  }
  EXPECT_FALSE(RegistrySnapshot::decode(whole + '\0'));
}

TEST(RegistrySnapshot, DecodedBytesEncodeToThemselves) {
  RegistrySnapshot::Builder builder;
  builder.registry_id("0123").regions(two_regions());
  for (int n = 0; n < 50; ++n)
    ASSERT_TRUE(builder.put(org(n, "ca-central-1", 1), std::vector{domain(n)}));
  const std::string once = builder.build(2).value()->encode();
  EXPECT_EQ(RegistrySnapshot::decode(once).value()->encode(), once);
}

}  // namespace
}  // namespace domicile::domain
