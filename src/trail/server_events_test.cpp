#include "trail/server_events.h"

#include <algorithm>

#include <gtest/gtest.h>

namespace domicile::trail {
namespace {

using domain::EventKind;
using domain::Outcome;

const Expectations kExpected{.logins = {"pool"}, .superusers = {"postgres"}};

ServerRecord record(std::string user, std::string message) {
  return {.time = "2026-11-30 09:43:53.123 UTC",
          .user = std::move(user),
          .database = "app",
          .remote_host = "192.0.2.7",
          .session = "65a.1267",
          .line = 2,
          .pid = 4711,
          .ps = "authentication",
          .severity = "LOG",
          .state = "00000",
          .message = std::move(message),
          .context = {},
          .application = {},
          .backend = "client backend"};
}

std::string detail(const domain::Event& event, std::string_view name) {
  for (const auto& [key, value] : event.details) {
    if (key == name) return value;
  }
  return "";
}

std::optional<domain::Event> judged(const ServerRecord& of) {
  return event_of(of, kExpected, WallTime{});
}

TEST(ServerEvents, ASessionPastTheGatewayIsAnEventAndOneOfItsLoginsIsNone) {
  const auto event = judged(record(
      "eve",
      "connection authorized: user=eve database=app application_name=psql SSL enabled (...)"));
  ASSERT_TRUE(event.has_value());
  EXPECT_EQ(event->kind, EventKind::sql_session);
  EXPECT_EQ(event->outcome, Outcome::allowed);
  EXPECT_EQ(event->request_id, "pg:65a.1267:2");
  EXPECT_EQ(event->source_ip, "192.0.2.7");
  EXPECT_EQ(detail(*event, "bypass"), "true");
  EXPECT_EQ(detail(*event, "superuser"), "false");
  EXPECT_EQ(detail(*event, "application_name"), "psql");
  EXPECT_FALSE(judged(record("pool", "connection authorized: user=pool database=app")).has_value());
  EXPECT_EQ(detail(*judged(record("postgres", "connection authorized: user=postgres database=app")),
                   "superuser"),
            "true");
}

TEST(ServerEvents, NobodyCanWriteASessionForSomebodyElse) {
  auto raised = record("eve", "connection authorized: user=postgres database=app");
  EXPECT_FALSE(judged(raised).has_value());  // the field says who it is
  raised.message = "connection authorized: user=eve database=other";
  raised.ps = "DO";
  EXPECT_FALSE(judged(raised).has_value());
  raised.ps = "authentication";
  raised.context = "PL/pgSQL function inline_code_block line 1 at RAISE";
  EXPECT_FALSE(judged(raised).has_value());
  auto named = record("x database=app application_name=trusted",
                      "connection authorized: user=x database=app application_name=trusted "
                      "database=app application_name=psql");
  EXPECT_EQ(detail(*judged(named), "application_name"), "psql");
}

TEST(ServerEvents, ASettingIsTheServersWordOnly) {
  auto changed = record("", "parameter \"log_connections\" changed to \"off\"");
  changed.backend = "postmaster";
  changed.ps = "";
  const auto event = judged(changed);
  ASSERT_TRUE(event.has_value());
  EXPECT_EQ(event->kind, EventKind::config_changed);
  EXPECT_EQ(event->resource, "log_connections");
  EXPECT_EQ(detail(*event, "value"), "off");
  changed.backend = "client backend";
  changed.user = "eve";
  EXPECT_FALSE(judged(changed).has_value());
  auto secret = record("", "parameter \"primary_conninfo\" changed to \"host=a password=hunter2\"");
  secret.backend = "postmaster";
  EXPECT_EQ(detail(*judged(secret), "value"), "");
}

TEST(ServerEvents, StatementsAreTheirFingerprintAndNothingElse) {
  auto said = record("eve", "statement: SELECT * FROM person WHERE email = 'ana@example.com'");
  said.ps = "SELECT";
  const auto event = judged(said);
  ASSERT_TRUE(event.has_value());
  EXPECT_EQ(event->kind, EventKind::sql_statement);
  EXPECT_EQ(detail(*event, "fingerprint").size(), 16u);
  for (const auto& [name, value] : event->details)
    EXPECT_EQ(value.find("ana"), std::string::npos) << name;
  said.user = "pool";
  EXPECT_FALSE(judged(said).has_value());
  said.ps = "idle";
  for (const auto& [text, command] :
       {std::pair("CREATE TABLE t (a int)", "CREATE TABLE"),
        std::pair("/* x */ create or replace view v as select 1", "CREATE VIEW"),
        std::pair("SELECT 1; drop table t", "DROP TABLE"),
        std::pair("grant select on t to eve", "GRANT SELECT")}) {
    said.message = std::string("statement: ") + text;
    ASSERT_TRUE(judged(said).has_value()) << text;
    EXPECT_EQ(judged(said)->kind, EventKind::schema_changed);
    EXPECT_EQ(judged(said)->operation, command);
  }
  auto audited = record("pool",
                        "AUDIT: SESSION,1,1,DDL,ALTER TABLE,TABLE,public.course,\"alter table "
                        "course add x, int\",<not logged>");
  EXPECT_EQ(judged(audited)->resource, "public.course");
  EXPECT_EQ(judged(audited)->operation, "ALTER TABLE");
}

TEST(ServerEvents, ARefusedLoginIsDeniedWithItsState) {
  auto fatal = record("eve", "password authentication failed for user \"eve\"");
  fatal.severity = "FATAL";
  fatal.state = "28P01";
  const auto event = judged(fatal);
  ASSERT_TRUE(event.has_value());
  EXPECT_EQ(event->outcome, Outcome::denied);
  EXPECT_EQ(event->reason, "sqlstate_28P01");
}

}  // namespace
}  // namespace domicile::trail
