// What speaks for keys and lists when names do not: how the schema is built, what views join, which
// numbers match. Each a mistake that the scan once made.
#include <gtest/gtest.h>

#include "catalog/column_targets.h"
#include "catalog/joins.h"
#include "catalog/propose.h"
#include "catalog/schema_builder.h"

namespace domicile::catalog {
namespace {

using testing_support::make_schema;

Proposal proposed(const Schema& schema, const FactsByTable& facts = {}) {
  auto proposal = propose(schema, facts, nullptr);
  EXPECT_TRUE(proposal) << proposal.error().message;
  return proposal ? *std::move(proposal) : Proposal{};
}

const Table& of(const Proposal& proposal, const std::string& name) {
  static const Table kNone;
  const Table* found = proposal.catalog.find({"public", name});
  EXPECT_NE(found, nullptr) << name;
  return found == nullptr ? kNone : *found;
}

TEST(Evidence, TheOrganizationsAreFoundByWhatHangsOnThemWhateverTheyAreCalled) {
  const auto p = proposed(make_schema({
      "rede: id pk, nome:text, cnpj:text, estado_id! -> estado",
      "estado: id pk, sigla:text",
      "unidade: id pk, rede_id! -> rede, cep:text, telefone:text, aberta_em:date",
      "turma: id pk, unidade_id! -> unidade, ano:integer",
      "aluno: id pk, turma_id! -> turma, apelido:text",
      "conta: id pk, rede_id! -> rede, email:text, senha:text",
      "aviso: id pk, rede_id! -> rede, texto:text",
  }));
  EXPECT_EQ(p.catalog.root, (QualifiedName{"public", "rede"}));
  EXPECT_EQ(of(p, "aluno").path.size(), 2U);
}

TEST(Evidence, WhatTheOrganizationsBelongToIsNotSharedUnlessItsNameIsThatOfAList) {
  // A wrong root (clinics below trusts): the true one must never be copied to every region.
  const auto p = proposed(make_schema({
      "trust: id pk, label:text!",
      "clinic: id pk, trust_id! -> trust, slug:text! unique, country_id! -> countries",
      "countries: id pk, code:text!, name:text!",
      "patient: id pk, clinic_id! -> clinic, first_name:text",
      "visit: id pk, clinic_id! -> clinic, at:date",
      "ward: id pk, clinic_id! -> clinic, trust_id! -> trust, floor:integer",
      "bed: id pk, clinic_id! -> clinic, trust_id! -> trust, no:integer",
  }));
  EXPECT_NE(of(p, "trust").table_class, TableClass::reference);
  EXPECT_EQ(of(p, "countries").table_class, TableClass::reference);
}

TEST(Evidence, AListIsNotJudgedBeforeTheTableThatEachOfItsRowsNames) {
  // The languages of a child are named like a list; the child hangs on its organization by an
  // optional key only, which is weighed later.
  Schema schema = make_schema({
      "organizations: id pk, slug:text! unique",
      "groups: id pk, organization_id! -> organizations",
      "children: id pk, group_id -> groups, nickname:text",
      "languages: id pk, code:text!, name:text!",
      "child_languages: child_id! -> children, language_id! -> languages",
  });
  for (TableShape& table : schema.tables) table.rows = 29;
  EXPECT_EQ(of(proposed(schema), "child_languages").table_class, TableClass::organization);
}

TEST(Evidence, AViewThatJoinsAColumnTellsWhatItNames) {
  Schema schema = make_schema({
      "firm: id pk, slug:text! unique",
      "client: id pk, firm_id! -> firm",
      "ledger: id pk, own_co! , amount:numeric, booked:date",
  });
  schema.joins =
      joins_in({{"view public.balance",
                 "SELECT f.slug, sum(l.amount) FROM ledger l JOIN firm f ON l.own_co = f.id "
                 "GROUP BY 1"}},
               schema);
  const auto p = proposed(schema);
  EXPECT_EQ(of(p, "ledger").key, "own_co");
  EXPECT_NE(of(p, "ledger").why[0].find("view public.balance"), std::string::npos);
}

TEST(Joins, AreReadFromSubqueriesUsingClausesAndFunctions) {
  const Schema schema = make_schema({"a: id pk, b_no", "b: b_no pk, x", "c: id pk, b_ref"});
  const auto seen = [&](const std::string& text) { return joins_in({{"f", text}}, schema).size(); };
  EXPECT_EQ(seen("SELECT 1 FROM a, b WHERE a.b_no = b.b_no"), 2U) << "once in each direction";
  EXPECT_EQ(seen("SELECT 1 FROM a JOIN b USING (b_no)"), 2U);
  EXPECT_EQ(seen("SELECT 1 FROM c WHERE EXISTS (SELECT FROM b WHERE b.b_no = c.b_ref)"), 2U);
  EXPECT_EQ(seen("SELECT 1 FROM c WHERE EXISTS (SELECT FROM b WHERE b_no = b_ref)"), 2U);
  EXPECT_EQ(seen("CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN "
                 "UPDATE c SET b_ref = 1 FROM b WHERE b.b_no = c.b_ref; END $$"),
            2U);
}

TEST(Joins, WhatCouldMeanSeveralTablesOrIsNoEqualityMeansNone) {
  const Schema schema = make_schema({"a: id pk, b_no", "b: b_no pk, x", "c: id pk, b_ref"});
  const auto seen = [&](const std::string& text) { return joins_in({{"f", text}}, schema).size(); };
  EXPECT_EQ(seen("SELECT 1 FROM a, b WHERE b_no = 3"), 0U);
  EXPECT_EQ(seen("SELECT 1 FROM a, b WHERE a.b_no > b.b_no"), 0U);
  EXPECT_EQ(seen("SELECT 1 FROM c, (SELECT 1 AS b_no) b WHERE b.b_no = c.b_ref"), 0U)
      << "the alias hides the table";
  EXPECT_EQ(seen("SELECT FROM WHERE"), 0U);
}

TEST(ColumnTargets, FindTheTableByKeyAbbreviationAndRole) {
  const Schema schema = make_schema({
      "pm_firm: fno:integer pk",
      "employees: id pk",
      "banco: codigo:character pk",
      "gefahrgut: un_nr:character pk",
      "work: id pk, fno:integer, emp_id, bancoCodigo:character, gefahrgut_un:character, "
      "mgr_firm:integer, "
      "num_firm:integer, total:integer",
  });
  const auto tables = schema.classifiable();
  const ColumnTargets targets(tables);
  const auto from = static_cast<std::size_t>(
      std::ranges::find_if(tables, [](auto* t) { return t->name.name == "work"; }) -
      tables.begin());
  const auto target = [&](const std::string& column) {
    const std::size_t to = targets.target_of(from, *tables[from]->column(column));
    return to < tables.size() ? tables[to]->name.name : std::string();
  };
  EXPECT_EQ(target("fno"), "pm_firm");
  EXPECT_EQ(target("emp_id"), "employees");
  EXPECT_EQ(target("bancoCodigo"), "banco");
  EXPECT_EQ(target("gefahrgut_un"), "gefahrgut");
  EXPECT_EQ(target("mgr_firm"), "pm_firm");
  EXPECT_EQ(target("num_firm"), "") << "a count of them";
  EXPECT_EQ(target("total"), "");
}

TEST(Numbers, ThatCouldBeAnAccidentAreAQuestionAndOthersAnAnswer) {
  const Schema schema = make_schema(
      {"organizations: id pk, slug:text! unique",
       "courses: id pk, organization_id! -> organizations", "tight: id pk, house!, body:text",
       "loose: id pk, house_id!, body:text", "small: id pk, colour!, body:text"});
  const auto match = [](const char* column, std::int64_t different, std::int64_t gaps) {
    Facts facts;
    facts.sampled_rows = 100;
    facts.number_matches = {{.column = column,
                             .different = different,
                             .keys = 5,
                             .gaps = gaps,
                             .agree = 0,
                             .differ = 0}};
    return facts;
  };
  const auto p = proposed(schema, {{{"public", "tight"}, match("house", 5, 40)},
                                   {{"public", "loose"}, match("house_id", 5, 0)},
                                   {{"public", "small"}, match("colour", 3, 0)}});
  EXPECT_EQ(of(p, "tight").key, "house");
  EXPECT_EQ(of(p, "tight").proposed, Confidence::likely);
  EXPECT_EQ(of(p, "loose").key, "house_id");
  EXPECT_EQ(of(p, "loose").proposed, Confidence::unsure);
  EXPECT_EQ(of(p, "small").key, "");
}

}  // namespace
}  // namespace domicile::catalog
