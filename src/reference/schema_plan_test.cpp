#include "reference/schema_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace domicile::reference {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

const QualifiedName kSeat{"app", "seat"};

ColumnShape column(std::string name, std::string type) {
  return {.name = std::move(name),
          .type = type,
          .cast = std::move(type),
          .default_value = {},
          .not_null = false,
          .generated = false,
          .identity = {},
          .key = false};
}

TableShapes seat(std::vector<ColumnShape> more = {}) {
  ColumnShape id = column("id", "integer");
  id.key = id.not_null = true;
  std::vector<ColumnShape> columns{id, column("label", "text")};
  columns.insert(columns.end(), more.begin(), more.end());
  return {{kSeat, TableShape{.name = kSeat, .columns = std::move(columns)}}};
}

bool every_type(const std::string&) { return true; }

SchemaPlan plan_for(const ColumnShape& added) {
  return plan_schema(seat(), seat({added}), every_type);
}

TEST(SchemaPlan, AsksForNothingWhereBothSidesAgree) {
  EXPECT_TRUE(plan_schema(seat(), seat(), every_type).empty());
  EXPECT_TRUE(plan_schema(seat({column("own", "text")}), seat(), every_type).empty())
      << "a column that this region has alone is no matter while it may be NULL";
}

TEST(SchemaPlan, AddsColumnsThatHoldTheSameInEveryRow) {
  auto plan = plan_for(column("colour", "character varying(20)"));
  ASSERT_THAT(plan.additions, SizeIs(1));
  EXPECT_THAT(plan.refusals, IsEmpty());
  EXPECT_EQ(plan.additions[0].sql,
            "ALTER TABLE \"app\".\"seat\" ADD COLUMN \"colour\" character varying(20)");
  ColumnShape price = column("Price \"net\"", "numeric(10,2)");
  price.default_value = "0.00";
  price.not_null = true;
  plan = plan_for(price);
  ASSERT_THAT(plan.additions, SizeIs(1));
  EXPECT_EQ(plan.additions[0].sql,
            "ALTER TABLE \"app\".\"seat\" ADD COLUMN \"Price \"\"net\"\"\" numeric(10,2) DEFAULT "
            "0.00 NOT NULL");
}

TEST(SchemaPlan, RefusesColumnsWhoseRowsWouldDiffer) {
  ColumnShape bare = column("bare", "integer");
  bare.not_null = true;
  auto plan = plan_for(bare);
  ASSERT_THAT(plan.refusals, SizeIs(1));
  EXPECT_THAT(plan.refusals[0].reason, HasSubstr("no default"));
  EXPECT_THAT(plan.refusals[0].remedy, HasSubstr("compare --table app.seat --repair"));
  EXPECT_THAT(plan.refusals[0].remedy, HasSubstr("SET NOT NULL"));

  ColumnShape volatile_one = column("at", "timestamp with time zone");
  volatile_one.default_value = "now()";
  EXPECT_THAT(plan_for(volatile_one).refusals[0].reason, HasSubstr("now()"));
  ColumnShape identity = column("number", "bigint");
  identity.identity = "a";
  EXPECT_THAT(plan_for(identity).refusals[0].reason, HasSubstr("identity"));
  ColumnShape key = column("part", "integer");
  key.key = true;
  EXPECT_THAT(plan_for(key).refusals[0].reason, HasSubstr("primary key"));
  for (const auto& refused : {bare, volatile_one, identity, key})
    EXPECT_THAT(plan_for(refused).additions, IsEmpty());
}

TEST(SchemaPlan, RefusesTypesThatAreNotHere) {
  const auto plan = plan_schema(seat(), seat({column("mood", "app.mood")}),
                                [](const std::string& type) { return type != "app.mood"; });
  ASSERT_THAT(plan.refusals, SizeIs(1));
  EXPECT_THAT(plan.refusals[0].reason, HasSubstr("no type app.mood"));
}

TEST(SchemaPlan, NeverChangesAColumnThatIsThere) {
  ColumnShape wide = column("label", "text");
  TableShapes source = seat();
  source.at(kSeat).columns[1].type = "character varying(9)";
  EXPECT_THAT(plan_schema(seat(), source, every_type).refusals[0].remedy,
              HasSubstr("ALTER COLUMN \"label\" TYPE character varying(9)"));
  TableShapes strict = seat();
  strict.at(kSeat).columns[1].not_null = true;
  EXPECT_THAT(plan_schema(strict, seat(), every_type).refusals[0].remedy,
              HasSubstr("DROP NOT NULL"));
  ColumnShape needed = column("needed", "text");
  needed.not_null = true;
  EXPECT_THAT(plan_schema(seat({needed}), seat(), every_type).refusals[0].reason,
              HasSubstr("not in the master region"));
  ColumnShape computed = column("computed", "text");
  computed.generated = true;
  EXPECT_TRUE(plan_for(computed).empty()) << "it never travels";
  EXPECT_THAT(plan_schema(seat({computed}), seat({column("computed", "text")}), every_type)
                  .refusals[0]
                  .remedy,
              HasSubstr("DROP EXPRESSION"));
  EXPECT_THAT(plan_schema(seat({column("computed", "text")}), seat({computed}), every_type)
                  .refusals[0]
                  .reason,
              HasSubstr("generated in the master region"));
}

TEST(SchemaPlan, LeavesDomicilesOwnTablesAndNamesTablesThatAreMissing) {
  TableShapes source = seat();
  source[{"domicile", "reference_beat"}] = {};
  source[{"app", "gone"}] = {};
  const auto plan = plan_schema(seat(), source, every_type);
  ASSERT_THAT(plan.refusals, SizeIs(1));
  EXPECT_EQ(plan.refusals[0].place, "app.gone");
}

TEST(ConstantDefault, TakesLiteralsAndNothingThatCouldBeCalled) {
  for (const char* constant : {"0",
                               "-1",
                               "1.5",
                               "1e10",
                               "true",
                               "false",
                               "NULL::text",
                               "'x'::text",
                               "''::character varying",
                               "'it''s; DROP TABLE x'::text",
                               "'{}'::jsonb",
                               "'2026-01-01'::date",
                               "'{1,2}'::integer[]",
                               "'-1'::integer",
                               "('-1'::integer)",
                               "(-1)",
                               "'a'::app.\"Mood\"",
                               "0.00::numeric(10,2)",
                               "'1 day'::interval",
                               "(0)::double precision",
                               "B'101'::bit(3)"})
    EXPECT_TRUE(constant_default(constant)) << constant;
  for (const char* other :
       {"now()", "CURRENT_TIMESTAMP", "nextval('app.seq'::regclass)", "gen_random_uuid()",
        "('x'::text || now())", "CURRENT_DATE", "CURRENT_USER", "'x'::text || 'y'", "ARRAY[1]",
        "lower('X'::text)", "", "(", "'open", "1 + 1", "'a'::text); DROP TABLE x; --",
        "(1) + (now())", "'now'::text::app.f('x')", "E'x'::text", "E'\\'' ; DROP TABLE x; --'"})
    EXPECT_FALSE(constant_default(other)) << other;
}

}  // namespace
}  // namespace domicile::reference
