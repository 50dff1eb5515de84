#include <algorithm>

#include <gtest/gtest.h>

#include "catalog/migration_check.h"

namespace domicile::catalog {
namespace {

Catalog small() {
  return parse_catalog(R"([catalog]
version = 1
key_type = "bigint"
default_mode = "enforce"
[[table]]
name = "public.course"
class = "organization"
key = "org_id"
[[table]]
name = "public.lesson"
class = "organization"
key = "org_id"
)",
                       "t")
      .value();
}

std::vector<std::string> paths(const MigrationSet& set) {
  std::vector<std::string> out;
  for (const auto& migration : set.migrations) out.push_back(migration.path);
  return out;
}
using Paths = std::vector<std::string>;

std::vector<std::string> found(const std::vector<SourceFile>& files,
                               const std::string& since = {}) {
  const auto report =
      check_migrations(small(), arrange_migrations(files).value(), {.since = since}).value();
  std::vector<std::string> out;
  for (const auto& f : report.findings) {
    if (f.severity != Severity::note)
      out.push_back(f.path + ":" + std::to_string(f.line) + " " + f.kind);
  }
  return out;
}

TEST(MigrationFiles, FlywayOrdersVersionsAsNumbersAndRepeatablesLast) {
  const auto set = arrange_migrations({{"m/R__views.sql", ""},
                                       {"m/V10__c.sql", ""},
                                       {"m/V2__b.sql", ""},
                                       {"m/V1_1__a.sql", ""},
                                       {"m/U2__undo.sql", "DROP TABLE x"},
                                       {"m/readme.txt", ""}})
                       .value();
  EXPECT_EQ(paths(set), (Paths{"m/V1_1__a.sql", "m/V2__b.sql", "m/V10__c.sql", "m/R__views.sql"}));
  EXPECT_FALSE(
      arrange_migrations({{"a/V1__x.sql", ""}, {"a/V1.0__y.sql", ""}, {"a/V1__z.sql", ""}}));
}

TEST(MigrationFiles, FlywaysPlaceholdersNeedAValue) {
  EXPECT_FALSE(arrange_migrations({{"V1__x.sql", "CREATE TABLE ${schema}.x ()"}}));
  const auto set = arrange_migrations({{"V1__x.sql", "CREATE TABLE ${schema}.x ()"}},
                                      {.placeholders = {{"schema", "app"}}})
                       .value();
  EXPECT_EQ(set.migrations[0].text, "CREATE TABLE app.x ()");
}

TEST(MigrationFiles, DownSectionsAreBlankedAndLinesKeepTheirNumbers) {
  const auto set =
      arrange_migrations(
          {{"1_a.sql",
            "-- migrate:up transaction:false\nSELECT 1;\n-- migrate:down\nDROP TABLE x;\n"},
           {"2_b.sql",
            "-- +goose Up\n-- +goose StatementBegin\nSELECT 2;\n-- +goose StatementEnd\n\n-- "
            "+goose Down\nDROP TABLE y;\n"},
           {"3_c.up.sql", "-- no-transaction\nSELECT 3;"},
           {"3_c.down.sql", "DROP TABLE z;"}})
          .value();
  ASSERT_EQ(set.migrations.size(), 3u);
  EXPECT_EQ(set.migrations[0].tool, MigrationTool::dbmate);
  EXPECT_FALSE(set.migrations[0].transaction);
  EXPECT_EQ(set.migrations[0].text.find("DROP"), std::string::npos);
  EXPECT_EQ(set.migrations[1].text.find("DROP"), std::string::npos);
  EXPECT_TRUE(set.migrations[1].transaction);
  EXPECT_EQ(std::ranges::count(set.migrations[1].text, '\n'), 7);
  EXPECT_FALSE(set.migrations[2].transaction);
}

TEST(MigrationFiles, PrismaGoesByFolder) {
  const auto set = arrange_migrations({{"prisma/migrations/20240301000000_b/migration.sql", ""},
                                       {"prisma/migrations/20240101000000_a/migration.sql", ""}})
                       .value();
  EXPECT_EQ(set.migrations[0].path, "prisma/migrations/20240101000000_a/migration.sql");
  EXPECT_EQ(set.migrations[0].tool, MigrationTool::prisma);
}

TEST(MigrationFiles, WhatIsNotSqlSaysHowToPrintIt) {
  const auto set =
      arrange_migrations({{"versions/1.py", "from alembic import op"},
                          {"app/migrations/0001_initial.py", "from django.db import migrations"},
                          {"db/migrate/1_x.rb", "class X < ActiveRecord::Migration[7.1]"},
                          {"changelog.xml", "<databaseChangeLog>"}})
          .value();
  ASSERT_EQ(set.unread.size(), 4u);
  EXPECT_NE(set.unread[0].remedy.find("alembic upgrade"), std::string::npos);
  EXPECT_NE(set.unread[1].remedy.find("sqlmigrate"), std::string::npos);
  EXPECT_NE(set.unread[2].remedy.find("structure.sql"), std::string::npos);
}

TEST(MigrationCheck, FollowsNamesThroughSeveralFiles) {
  EXPECT_EQ(found({{"1.sql", "CREATE TABLE badge (id int);"},
                   {"2.sql", "ALTER TABLE badge RENAME TO medal;"}}),
            (Paths{"1.sql:1 unclassified_table"}));
  EXPECT_EQ(found({{"1.sql", "CREATE TABLE badge (id int);"}, {"2.sql", "DROP TABLE badge;"}}),
            Paths{});
  EXPECT_EQ(found({{"1.sql", "SET search_path = other;\n\nCREATE TABLE course (id int);"}}),
            (Paths{"1.sql:3 unclassified_table"}));
}

TEST(MigrationCheck, JudgesOnlyWhatComesAfter) {
  const std::vector<SourceFile> files = {{"m/1.sql", "GRANT SELECT ON course TO PUBLIC;"},
                                         {"m/2.sql", "\nGRANT SELECT ON lesson TO PUBLIC;"}};
  EXPECT_EQ(found(files), (Paths{"m/1.sql:1 grant", "m/2.sql:2 grant"}));
  EXPECT_EQ(found(files, "1.sql"), (Paths{"m/2.sql:2 grant"}));
  EXPECT_FALSE(check_migrations(small(), arrange_migrations(files).value(), {.since = "9.sql"}));
}

TEST(MigrationCheck, ANewTableIsHeldAgainstItsEntry) {
  EXPECT_EQ(
      found({{"1.sql", "CREATE TABLE course (org_id text, id int);"}}),
      (Paths{"1.sql:1 key_column_type", "1.sql:1 nullable_key", "1.sql:1 key_without_index"}));
  EXPECT_EQ(found({{"1.sql", "CREATE TABLE course (id int);"},
                   {"2.sql",
                    "ALTER TABLE course ADD COLUMN org_id bigint NOT NULL;\nCREATE INDEX ON course "
                    "(org_id);"}}),
            Paths{});
}

TEST(MigrationCheck, SaysWhatItCannotFollow) {
  EXPECT_EQ(
      found({{"1.sql",
              "DO $$ BEGIN EXECUTE 'DROP TABLE ' || x; END $$;\n\\i other.sql\nCREATE TABEL x;"}}),
      (Paths{"1.sql:1 not_followed", "1.sql:2 not_followed", "1.sql:3 not_read"}));
  EXPECT_EQ(found({{"1.sql", "DO LANGUAGE plpython3u 'x = 1';\nCALL elsewhere();"}}),
            (Paths{"1.sql:1 not_followed", "1.sql:2 not_followed"}));
}

TEST(MigrationCheck, LooksIntoBlocksWithTheLineOfEachStatement) {
  EXPECT_EQ(found({{"1.sql",
                    "DO\n$$\nDECLARE n int;\nBEGIN\n  IF true THEN\n    GRANT SELECT ON course TO "
                    "PUBLIC;\n  END IF;\n  SELECT count(*) INTO n FROM course;\nEND $$;"}}),
            (Paths{"1.sql:6 grant", "1.sql:8 backfill"}));
  EXPECT_EQ(found({{"1.sql", "DO $$ BEGIN EXECUTE 'GRANT SELECT ON course TO PUBLIC'; END $$;"}}),
            (Paths{"1.sql:1 grant"}));
  EXPECT_EQ(found({{"1.sql", "DO $$ BEGIN CREATE INDEX ON course (id); END $$;"}}), Paths{});
}

TEST(MigrationCheck, FollowsFunctionsOfTheMigrationsWhenTheyAreCalled) {
  const std::string make =
      "CREATE FUNCTION fill() RETURNS void LANGUAGE plpgsql AS $$ BEGIN UPDATE course SET id = 1; "
      "PERFORM fill(); END $$;\n";
  EXPECT_EQ(found({{"1.sql", make}}), Paths{});
  EXPECT_EQ(found({{"1.sql", make + "SELECT fill();"}}), (Paths{"1.sql:2 backfill"}));
  EXPECT_EQ(found({{"1.sql",
                    "CREATE PROCEDURE tidy() LANGUAGE sql AS $$ DELETE FROM course; $$;\nCALL "
                    "tidy();"}}),
            (Paths{"1.sql:2 backfill"}));
}

}  // namespace
}  // namespace domicile::catalog
