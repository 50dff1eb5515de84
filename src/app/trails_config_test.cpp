#include "app/trails_config.h"

#include <gtest/gtest.h>

#include "app/audit_index_config.h"

namespace domicile::app {
namespace {

template <typename Config>
Result<Config> read(const char* text, Config (*reads)(TomlReader&, const std::filesystem::path&)) {
  TomlReader reader = TRY(TomlReader::parse(text, "node.toml"));
  Config config = reads(reader, "/etc/domicile");
  TRY(reader.finish());
  return config;
}

TEST(TrailsConfig, IsNothingUnlessSomethingIsNamed) {
  const auto none = read("", read_trails);
  ASSERT_TRUE(none.has_value());
  EXPECT_FALSE(none->postgresql);
  EXPECT_TRUE(none->cloudtrail.empty());
}

TEST(TrailsConfig, ResolvesFoldersAndTakesLogins) {
  const auto config = read(
      "[trails]\npostgresql_log = \"/var/log/pg\"\npostgresql_expected_logins = [\"pool\", "
      "\"node\"]\n"
      "postgresql_scan_every_s = 5\ncloudtrail = \"cloud\"\n",
      read_trails);
  ASSERT_TRUE(config.has_value()) << config.error().message;
  EXPECT_TRUE(config->postgresql);
  EXPECT_EQ(config->postgresql_log, "/var/log/pg");
  EXPECT_EQ(config->cloudtrail, "/etc/domicile/cloud");
  EXPECT_EQ(config->postgresql_expected_logins.size(), 2u);
  EXPECT_EQ(config->postgresql_scan_every, std::chrono::seconds(5));
}

TEST(TrailsConfig, AsksWhoIsExpected) {
  const auto config = read("[trails]\npostgresql_log = \"/var/log/pg\"\n", read_trails);
  ASSERT_FALSE(config.has_value());
  EXPECT_NE(config.error().message.find("postgresql_expected_logins"), std::string::npos);
  EXPECT_FALSE(read("[trails]\npostgresql_scan_every_s = 0\n", read_trails).has_value());
  EXPECT_FALSE(read("[trails]\npostgres_log = \"x\"\n", read_trails).has_value());
}

TEST(AuditIndexConfig, RetentionNeedsAnIndex) {
  EXPECT_FALSE(read("[audit_index]\nretention_days = 3\n", read_audit_index).has_value());
  const auto config =
      read("[audit_index]\ndsn_file = \"index.dsn\"\nretention_days = 3\n", read_audit_index);
  ASSERT_TRUE(config.has_value());
  EXPECT_EQ(config->dsn_file, "/etc/domicile/index.dsn");
  EXPECT_EQ(config->retention_days, 3u);
}

}  // namespace
}  // namespace domicile::app
