#include <gtest/gtest.h>

#include "sqltext/parse.h"
#include "sqltext/plpgsql.h"
#include "sqltext/statements.h"

namespace domicile::sqltext {
namespace {

std::vector<std::string> texts(std::string_view sql) {
  std::vector<std::string> out;
  for (const auto& statement : split_statements(sql)) out.emplace_back(statement.text);
  return out;
}
using Texts = std::vector<std::string>;

TEST(Split, SemicolonsWithinQuotesCommentsAndBodiesDoNotEndAStatement) {
  EXPECT_EQ(texts("a ';' b; c \";\" d; -- ; e\nf /* ; /* ; */ ; */ g;"),
            (Texts{"a ';' b", "c \";\" d", "f /* ; /* ; */ ; */ g"}));
  EXPECT_EQ(texts("E'\\';' ; x"), (Texts{"E'\\';'", "x"}));
  EXPECT_EQ(texts("DO $a$ ; $$ ; $a$; y $1 ;"), (Texts{"DO $a$ ; $$ ; $a$", "y $1"}));
  EXPECT_EQ(texts("CREATE RULE r AS ON INSERT TO t DO (a; b); c").size(), 2u);
  EXPECT_EQ(
      texts("CREATE FUNCTION f() BEGIN ATOMIC a; SELECT CASE WHEN b THEN c END; END; d").size(),
      2u);
  EXPECT_EQ(texts("BEGIN; a; END; b").size(), 4u);
}

TEST(Split, TellsTheLineOfTheFirstWord) {
  const auto found = split_statements("-- one\n\nSELECT 'a\nb';\n\n  /* x\n */ SELECT 2;");
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].line, 3u);
  EXPECT_EQ(found[1].line, 7u);
  EXPECT_EQ(found[1].tokens, 2u);
}

TEST(Split, KnowsPsqlCommandsAndCopyData) {
  const auto found = split_statements(
      "\\restrict xyz\nCOPY t (a) FROM stdin;\n1;2\n\\N\n\\.\nSELECT 1;\n\\i more.sql\n");
  ASSERT_EQ(found.size(), 4u);
  EXPECT_TRUE(found[0].psql);
  EXPECT_EQ(found[1].text, "COPY t (a) FROM stdin");
  EXPECT_EQ(found[2].text, "SELECT 1");
  EXPECT_EQ(found[2].line, 6u);
  EXPECT_EQ(found[3].text, "\\i more.sql");
}

TEST(Split, WhatIsUnterminatedRunsToTheEnd) {
  EXPECT_EQ(texts("a; 'b; c"), (Texts{"a", "'b; c"}));
  EXPECT_EQ(texts("a; $q$b; c"), (Texts{"a", "$q$b; c"}));
  EXPECT_EQ(texts("a; /* b; c"), (Texts{"a"}));
  EXPECT_TRUE(texts("").empty());
  EXPECT_TRUE(texts(" ;; \n; -- x").empty());
}

TEST(Parse, GivesTheStatementAsATree) {
  const auto tree = parse_statement("ALTER TABLE app.a DROP COLUMN \"B\" CASCADE").value();
  EXPECT_TRUE(tree.statement.is("AlterTableStmt"));
  EXPECT_EQ(tree.statement["relation"].str("schemaname"), "app");
  const Node& command = tree.statement["cmds"].children.at(0);
  EXPECT_EQ(command.str("subtype"), "AT_DropColumn");
  EXPECT_EQ(command.str("name"), "B");
  EXPECT_EQ(command.str("behavior"), "DROP_CASCADE");
  EXPECT_FALSE(tree.cut);
  EXPECT_FALSE(tree.statement.has("nothing"));
}

TEST(Parse, RefusesWhatPostgresqlRefusesAndSaysWhy) {
  const auto wrong = parse_statement("CREATE TABEL x ()");
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().reason, "sql_syntax");
  EXPECT_EQ(wrong.error().message, "syntax error at or near \"TABEL\"");
  EXPECT_FALSE(parse_statement("SELECT 1; SELECT 2"));
  EXPECT_FALSE(parse_statement(""));
  EXPECT_FALSE(parse_statement(std::string_view("SELECT 1\0 2", 11)));
}

// Each of these crashes a parser on an ordinary stack, or takes minutes.
TEST(Parse, SurvivesHostileSql) {
  std::string sum = "SELECT 1";
  for (int i = 0; i < 90'000; ++i) sum += "+1";
  const auto deep = parse_statement(sum);
  ASSERT_TRUE(deep) << deep.error().message;
  EXPECT_TRUE(deep->cut);
  EXPECT_TRUE(fingerprint(sum));
  EXPECT_FALSE(
      parse_statement("SELECT " + std::string(100'000, '(') + "1" + std::string(100'000, ')')));
  std::string negated = "SELECT ";
  for (int i = 0; i < 90'000; ++i) negated += "NOT ";
  EXPECT_FALSE(parse_statement(negated + "true"));
  for (int i = 0; i < 90'000; ++i) sum += "+1";
  EXPECT_EQ(parse_statement(sum).error().reason, "sql_too_long");
  EXPECT_EQ(parse_statement(std::string(5u << 20, ' ')).error().reason, "sql_too_long");
}

TEST(Fingerprint, ForgetsConstantsAndSpacing) {
  const auto one = fingerprint("SELECT * FROM course WHERE id = 1 AND name = 'secret'").value();
  EXPECT_EQ(one, fingerprint("select *\nfrom course where id=22 and name='other' -- x").value());
  EXPECT_NE(one, fingerprint("SELECT * FROM lesson WHERE id = 1 AND name = 'secret'").value());
  EXPECT_EQ(one.size(), 16u);
}

TEST(Plpgsql, PartsComeInOrderWithTheirLinesAndWhatIsDynamic) {
  const auto parts = plpgsql_parts(
      "CREATE FUNCTION f(a int) RETURNS trigger LANGUAGE plpgsql AS $$ DECLARE r record;\nBEGIN\n"
      "  IF a = 3 THEN ALTER TABLE t ADD b int; END IF;\n"
      "  FOR r IN SELECT * FROM k LOOP PERFORM g(r.id); END LOOP;\n  EXECUTE 'DROP ' || a;\nEND "
      "$$");
  ASSERT_TRUE(parts) << parts.error().message;
  Texts seen;
  for (const auto& part : *parts)
    seen.push_back(std::to_string(part.line) +
                   (part.dynamic     ? " dynamic "
                    : part.statement ? " "
                                     : " expression ") +
                   part.text);
  EXPECT_EQ(seen, (Texts{"3 expression a = 3", "3 ALTER TABLE t ADD b int", "4 SELECT g(r.id)",
                         "4 SELECT * FROM k", "5 dynamic 'DROP ' || a"}));
}

TEST(Plpgsql, WhatIsNoPlpgsqlIsAnErrorAndNotEmpty) {
  EXPECT_FALSE(plpgsql_parts("SELECT 1"));
  EXPECT_FALSE(plpgsql_parts("DO $$ BEGIN NONSENSE"));
  EXPECT_FALSE(plpgsql_parts("CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'"));
}

}  // namespace
}  // namespace domicile::sqltext
