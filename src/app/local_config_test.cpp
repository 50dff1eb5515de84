#include "app/local_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace domicile::app {
namespace {

using testing::HasSubstr;

constexpr std::string_view kGood = R"([application]
name = "learning"
schema = "schema.sql"
catalog = "domicile.catalog.toml"
routes = "routes.toml"
files = ["app.py"]
command = ["/usr/bin/gunicorn", "--bind", "127.0.0.1:{port}"]
environment = { LEARNING_DSN = "{dsn}" }
[region.us-east-1]
jurisdiction = "US"
[region.ca-central-1]
jurisdiction = "CA"
locations = ["ca-central-1", "ca-west-1"]
master = true
door_port = 8441
)";

std::string with(std::string_view from, std::string_view to) {
  std::string text(kGood);
  return text.replace(text.find(from), from.size(), to);
}
std::string error_of(std::string_view text) {
  const auto parsed = parse_local_config(text, "/etc/regions.toml");
  return parsed ? "" : parsed.error().message;
}

TEST(LocalConfig, PutsTheMasterFirst) {
  const auto config = parse_local_config(kGood, "/etc/regions.toml");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->master().region.id.text(), "ca-central-1");
  EXPECT_EQ(config->master().door_port, 8441);
  EXPECT_EQ(config->regions[1].region.locations[0].text(), "us-east-1");
  EXPECT_EQ(config->application.schema, "/etc/schema.sql");
}

TEST(LocalConfig, ReportsEveryErrorWithItsLine) {
  const std::string error = error_of(with("jurisdiction = \"US\"", "jurisdiction = 7\ncolour = 1") +
                                     "postgresql_port = 8441\n");
  EXPECT_THAT(error, HasSubstr("/etc/regions.toml:10: 'jurisdiction' must be text"));
  EXPECT_THAT(error, HasSubstr("/etc/regions.toml:11: unknown key 'region.us-east-1.colour'"));
  EXPECT_THAT(error, HasSubstr("/etc/regions.toml:17: port 8441 is given twice"));
}

TEST(LocalConfig, WantsExactlyOneMaster) {
  EXPECT_THAT(error_of(with("master = true", "master = false")), HasSubstr("exactly one region"));
}

TEST(LocalConfig, RefusesNamesThatAreNotDatabases) {
  EXPECT_THAT(error_of(with("\"learning\"", "\"Learning; DROP\"")), HasSubstr("names a database"));
  EXPECT_THAT(error_of(with("\"learning\"", "\"postgres\"")), HasSubstr("names a database"));
}

TEST(LocalConfig, RefusesToRunAnythingAsRoot) {
  EXPECT_THAT(error_of(std::string(kGood) + "[users]\nnode = \"root\"\n"), HasSubstr("as root"));
}

TEST(LocalConfig, WantsFullPathsOfPrograms) {
  EXPECT_THAT(error_of(with("/usr/bin/gunicorn", "gunicorn")), HasSubstr("full path"));
}

TEST(LocalConfig, FillsInKnownNamesOnly) {
  EXPECT_EQ(fill_in("--bind {host}:{port} {", {{"port", "80"}}), "--bind {host}:80 {");
}

}  // namespace
}  // namespace domicile::app
