// What a migration is planned from: how many rows and bytes each organization and each region has,
// what every region would get, and what cannot be assigned to anybody.
//
// Made from a catalog (decided or only proposed), the sizes that store::read_sizes() measured, and
// where each organization is to live. Pure; shown by catalog_analysis_report and catalog_page.
#pragma once

#include <map>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "app/catalog_source.h"
#include "catalog/assignment.h"
#include "store/schema_sizes.h"

namespace domicile::app {

struct OrganizationPart {
  std::string key;
  std::string region;  // "": nobody said where
  store::Amount amount;
  std::size_t tables = 0;
};

struct RegionPart {
  std::string region;
  std::size_t organizations = 0;
  store::Amount amount;
  std::string largest;  // the organization with the most bytes
  double largest_bytes = 0;
};

struct TablePart {
  const catalog::Table* table = nullptr;
  store::Amount all;
  store::Amount shared;      // mixed: rows without an organization
  store::Amount unassigned;  // of no organization, of one that is not known, or an open question
  std::size_t organizations = 0;
  std::string largest;  // and how much of the table it has
  double largest_share = 0;
  bool sampled = false;
  std::string unassigned_why;
  std::string skipped;
};

struct Analysis {
  std::string database;
  bool regions_known = false;
  std::vector<RegionPart> regions;              // by name; those without a region last
  std::vector<OrganizationPart> organizations;  // by bytes, largest first
  std::vector<TablePart> tables;                // by bytes, largest first
  store::Amount of_organizations;
  store::Amount shared;      // reference tables, and the shared rows of mixed ones
  store::Amount people;      // class person
  store::Amount system;      // system and ignored
  store::Amount unassigned;  // see TablePart
  // People by the number of regions that their organizations are in; empty: not known.
  std::map<std::int64_t, std::int64_t> people_by_regions;
  std::string members;         // the table that says so
  std::string people_unknown;  // why that is not known, although there is such a table
  std::vector<std::string> unknown_assigned;  // in the assignment, not in the database
  bool sampled = false;
};

// The questions for store::read_sizes(), one per table of the catalog that the database has.
std::vector<store::SizeQuestion> size_questions(const catalog::Catalog& catalog,
                                                const catalog::Schema& schema);
// `sizes` answer size_questions(). The result points into `catalog`.
Analysis analyse(const catalog::Catalog& catalog, const catalog::Schema& schema,
                 const std::vector<store::TableSizes>& sizes,
                 const catalog::Assignment& assignment);

// The table that says which people belong to which organizations; null when none does.
const catalog::Table* membership_table(const catalog::Catalog& catalog,
                                       const catalog::Schema& schema);

std::string analysis_text(const Analysis& analysis, std::size_t top);
nlohmann::json analysis_json(const Analysis& analysis);

std::string human_bytes(double bytes);  // 1.4 MB; powers of 1000
std::string human_rows(double rows);    // 1,234,567

}  // namespace domicile::app
