// Migrations are whatever lies in a repository, also in a stranger's pull request: whatever the
// bytes, splitting covers the text in order, parsing ends in a tree or an error, and judging ends
// with findings that have a place and a remedy.
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "catalog/migration_check.h"
#include "sqltext/parse.h"
#include "sqltext/statements.h"

namespace {

const domicile::catalog::Catalog& sample_catalog() {
  static const auto parsed = domicile::catalog::parse_catalog(R"([catalog]
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
path = ["course_id -> public.course"]
[[table]]
name = "public.country"
class = "reference"
)",
                                                              "fuzz.toml");
  CHECK(parsed);
  return *parsed;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace domicile;
  if (size > 8'192) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const char* end = text.data();
  for (const auto& statement : sqltext::split_statements(text)) {
    CHECK(statement.text.data() >= end && !statement.text.empty() && statement.line >= 1);
    end = statement.text.data() + statement.text.size();
    CHECK(end <= text.data() + text.size());
    if (const auto print = sqltext::fingerprint(statement.text)) CHECK(print->size() == 16);
  }
  for (const char* path : {"V1__a.sql", "20250101_a.sql", "a/migration.sql", "structure.sql"}) {
    const auto set = catalog::arrange_migrations({{path, std::string(text)}});
    if (!set) continue;
    const auto report = catalog::check_migrations(sample_catalog(), *set);
    CHECK(report);
    for (const auto& finding : report->findings)
      CHECK(finding.line >= 1 && !finding.remedy.empty() && !finding.kind.empty());
  }
  return 0;
}
