// What forbids to call a table shared, or machinery: any sign that its rows are an organization's or
// a person's. The other reasoning looks for what a table is; this one only ever says no, so that a
// wrong guess becomes a question and not a leak.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "catalog/classify.h"

namespace domicile::catalog {

// Why its rows may be an organization's or a person's, strongest first; none when nothing says so.
// `verdicts` may be incomplete: tables without a verdict yet are no evidence.
std::vector<std::string> doubts_about(const Graph& graph, const Root& root, std::size_t table,
                                      const std::vector<Verdict>& verdicts);

// Each of its rows names one of a table that nobody has judged yet: too early to call it shared.
bool waits_for_a_parent(const Graph& graph, std::size_t table,
                        const std::vector<Verdict>& verdicts);

// Columns that name a row of a table which neither a key nor a name has found.
std::vector<std::string> unresolved_columns(const Graph& graph, const Root& root,
                                            std::size_t table);

// invoices_history beside invoices: the table it shadows, when it has its columns too; else npos.
std::size_t shadowed_by(const Graph& graph, std::size_t table);

}  // namespace domicile::catalog
