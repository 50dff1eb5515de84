#include "store/server_version.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace domicile::store {

const std::vector<KnownHole>& known_holes() {
  static const std::vector<KnownHole> holes = {
      {"CVE-2023-2455", "row security policies disregarded after inlining under another user", 3, 0,
       0, 0},
      {"CVE-2023-39418", "MERGE disregards UPDATE and SELECT policies", 4, 0, 0, 0},
      {"CVE-2024-4317", "pg_stats_ext shows statistics of expressions to others", 7, 3, 0, 0},
      {"CVE-2024-10976", "row security incomplete below subqueries when the user changes", 9, 5, 1,
       0},
      {"CVE-2024-10978", "SET ROLE and SET SESSION AUTHORIZATION reset to the wrong user", 10, 6, 2,
       0},
      {"CVE-2025-8713", "planner statistics show sampled rows past row security", 14, 10, 6, 0},
      {"CVE-2026-2005", "heap overflow in pgcrypto", 16, 12, 8, 2},
      {"CVE-2026-6473", "undersized allocations writable by any role", 18, 14, 10, 4},
  };
  return holes;
}

std::string version_text(int version) {
  return fmt::format("{}.{}", version / 10'000, version % 10'000);
}

Result<void> check_server_version(int version) {
  const int line = version / 10'000;
  const int minor = version % 10'000;
  if (line < 15) {
    return fail(
        Code::invalid,
        fmt::format("the server is PostgreSQL {}; Domicile needs 15 or later (unlogged sequences)",
                    version_text(version)),
        "server_too_old");
  }
  std::vector<std::string> open;
  int needed = 0;
  for (const KnownHole& hole : known_holes()) {
    const int fixed = line == 15   ? hole.fixed_15
                      : line == 16 ? hole.fixed_16
                      : line == 17 ? hole.fixed_17
                      : line == 18 ? hole.fixed_18
                                   : 0;
    if (minor >= fixed) continue;
    open.push_back(fmt::format("{} ({})", hole.cve, hole.what));
    needed = std::max(needed, fixed);
  }
  if (open.empty()) return {};
  return fail(Code::invalid,
              fmt::format("the server is PostgreSQL {}, in which organizations can be told apart "
                          "less well than they should: {}; "
                          "upgrade it to {}.{} or later",
                          version_text(version), fmt::join(open, ", "), line, needed),
              "server_too_old");
}

}  // namespace domicile::store
