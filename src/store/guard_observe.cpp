#include "store/guard_observe.h"

#include <functional>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "crypto/sha256.h"
#include "pg/connection.h"

namespace domicile::store {
namespace {

void trigger(TableGuard& guard, const std::string& table, const std::string& name,
             const std::string& event, const std::string& when) {
  guard.guard.push_back(
      fmt::format("CREATE TRIGGER {} {} ON {} FOR EACH ROW WHEN ({}) EXECUTE FUNCTION "
                  "domicile.observed_nothing()",
                  name, event, table, when));
  guard.guard.push_back(fmt::format("ALTER TABLE {} ENABLE ALWAYS TRIGGER {}", table, name));
}

// What domicile.observed() takes, see sql/region/0003.
std::string spec(const TableGuard& guard, char kind, char operation) {
  return pg::quote_literal(
      fmt::format("{}{}{}", kind, operation, crypto::sha256_hex(quoted(guard.name)).substr(0, 8)));
}

void observe_truncate(TableGuard& guard, const std::string& table) {
  guard.guard.push_back(fmt::format(
      "CREATE TRIGGER domicile_observe_truncate AFTER TRUNCATE ON {} FOR EACH STATEMENT "
      "EXECUTE FUNCTION domicile.observed_truncate({})",
      table, spec(guard, 't', 'T')));
  guard.guard.push_back(
      fmt::format("ALTER TABLE {} ENABLE ALWAYS TRIGGER domicile_observe_truncate", table));
}

// `asks(row, spec)` is the expression for one version of a row. A key that changes is looked at
// twice, but only in statements that set its column.
void observe_rows(TableGuard& guard, const std::string& table,
                  const std::vector<std::string>& columns, char kind,
                  const std::function<std::string(const std::string&, const std::string&)>& asks) {
  std::vector<std::string> tables{table};
  // Partitions get their root's row triggers from PostgreSQL, inheriting tables do not.
  tables.insert(tables.end(), guard.inheriting.begin(), guard.inheriting.end());
  std::vector<std::string> names;
  std::vector<std::string> changed;
  for (const auto& column : columns) {
    names.push_back(pg::quote_identifier(column));
    changed.push_back(fmt::format("OLD.{0} IS DISTINCT FROM NEW.{0}", names.back()));
  }
  for (const auto& each : tables) {
    trigger(guard, each, "domicile_observe_insert", "AFTER INSERT",
            "NOT " + asks("NEW.", spec(guard, kind, 'I')));
    trigger(guard, each, "domicile_observe_update", "AFTER UPDATE",
            "NOT " + asks("NEW.", spec(guard, kind, 'U')));
    if (!columns.empty()) {
      trigger(guard, each, "domicile_observe_leave",
              fmt::format("AFTER UPDATE OF {}", fmt::join(names, ", ")),
              fmt::format("({}) AND NOT {}", fmt::join(changed, " OR "),
                          asks("OLD.", spec(guard, kind, 'U'))));
    }
    trigger(guard, each, "domicile_observe_delete", "AFTER DELETE",
            "NOT " + asks("OLD.", spec(guard, kind, 'D')));
    observe_truncate(guard, each);
  }
}

}  // namespace

void observe_key(TableGuard& guard, const std::string& table, const std::string& key, bool mixed) {
  observe_rows(
      guard, table, {key}, mixed ? 'm' : 'k', [&](const std::string& row, const std::string& what) {
        return fmt::format("domicile.observed({}{}, {})", row, pg::quote_identifier(key), what);
      });
}

void observe_path(TableGuard& guard, const std::string& table, const ResolvedPath& path,
                  domain::KeyType type) {
  guard.functions = path_grants(path);
  guard.functions.push_back(seen_function(path, type));
  observe_rows(guard, table, path.steps[0].columns, 'p',
               [&](const std::string& row, const std::string& what) {
                 std::string call = seen_function_name(path) + "(";
                 for (const auto& column : path.steps[0].columns)
                   call += row + pg::quote_identifier(column) + ", ";
                 return call + what + ")";
               });
}

void observe_person(TableGuard& guard, const std::string& table) {
  observe_rows(guard, table, {}, 's', [](const std::string&, const std::string& what) {
    return fmt::format("domicile.observed(NULL, {})", what);
  });
}

void observe_reference(TableGuard& guard, const std::string& table) {
  observe_rows(guard, table, {}, 'r', [](const std::string&, const std::string& what) {
    return fmt::format("domicile.observed_reference({})", what);
  });
}

}  // namespace domicile::store
