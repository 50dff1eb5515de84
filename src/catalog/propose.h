// Proposes a catalog for a schema that nobody has classified yet, and says how sure it is and why.
//
// The order of evidence: what a person decided (never changed, and the ground for what hangs on
// it), a foreign key to the organizations, the same key column without a foreign key, the shortest
// NOT NULL path of foreign keys, names, and what a sample of the rows has shown. The two kinds of
// mistake are not equal: organization data taken for reference data would be copied to other
// regions, so a table is proposed as reference only when something positive speaks for it, and what
// cannot be told is a question (Confidence::unsure): its class is only the best guess, and the
// table stays closed.
//
// A pure function of its arguments. Call it twice: without facts, then with the answers to its
// probes.
#pragma once

#include <string>
#include <vector>

#include "catalog/probe.h"
#include "catalog/schema.h"

namespace domicile::catalog {

enum class Severity { error, warning, note };
std::string_view to_string(Severity value);

// Something a reviewer should know about a table, beyond its class.
struct Finding {
  Severity severity = Severity::note;
  QualifiedName table;
  std::string kind;  // stable, e.g. "polymorphic", "two_organizations": see docs/catalog.md
  std::string message;
  std::string remedy;
  friend bool operator==(const Finding&, const Finding&) = default;
};

struct ProposeOptions {
  std::optional<QualifiedName> root;  // decides over what the scan would find
  std::string key_column;             // for schemas without a table of organizations
};

struct Change {
  enum class Kind { added, changed, removed } kind = Kind::added;
  QualifiedName table;
  std::string what;  // "class system -> organization"
};

struct Proposal {
  Catalog catalog;
  std::vector<Finding> findings;  // by severity, then table
  std::vector<Probe> probes;
  std::vector<Change> changes;  // against `existing`
  std::vector<std::string> root_why;
};

// Code::invalid when neither a table of organizations nor a key column can be found, or options
// name one that is not there; the remedy is in the message.
Result<Proposal> propose(const Schema& schema, const FactsByTable& facts, const Catalog* existing,
                         const ProposeOptions& options = {});

}  // namespace domicile::catalog
