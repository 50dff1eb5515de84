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

std::string digits_of(const TableGuard& guard) {
  return crypto::sha256_hex(quoted(guard.name)).substr(0, 8);
}

// What domicile.observed() takes, see sql/region/0003.
std::string spec(const TableGuard& guard, char kind, char operation) {
  return pg::quote_literal(fmt::format("{}{}{}", kind, operation, digits_of(guard)));
}

void observe_truncate(TableGuard& guard, const std::string& table) {
  guard.guard.push_back(fmt::format(
      "CREATE TRIGGER domicile_observe_truncate AFTER TRUNCATE ON {} FOR EACH STATEMENT "
      "EXECUTE FUNCTION domicile.observed_truncate({})",
      table, spec(guard, 't', 'T')));
  guard.guard.push_back(
      fmt::format("ALTER TABLE {} ENABLE ALWAYS TRIGGER domicile_observe_truncate", table));
}

// domicile.observe_<digits>_<operation>(o): never true. The two usual cases are answered here, in
// as few calls as they need: a transaction in the row's own organization, and one without a
// context whose kind of statement this session has recorded before and may pass (the setting is
// explained at domicile_private.observe). EXECUTE is granted because default privileges may not.
std::string observer_name(const TableGuard& guard, char operation) {
  return fmt::format("domicile.observe_{}_{}", digits_of(guard),
                     static_cast<char>(operation | 0x20));
}

std::string observer(const TableGuard& guard, char kind, char operation, domain::KeyType type) {
  const std::string what = fmt::format("{}{}{}", kind, operation, digits_of(guard));
  // COPY is refused in any context; a statement that begins with one of these letters is none.
  const std::string no_copy =
      operation != 'I'
          ? ""
          : "\n       AND pg_catalog.strpos('IiUuMmWw', pg_catalog.left(pg_catalog.ltrim("
            "pg_catalog.current_query(), E' \\n\\r\\t'), 1)) OPERATOR(pg_catalog.>) 0";
  return fmt::format(
      R"(CREATE OR REPLACE FUNCTION {name}(o {type}) RETURNS boolean LANGUAGE plpgsql VOLATILE SECURITY DEFINER AS $observer$
DECLARE
  state pg_catalog.text;
  stamp pg_catalog.text;
  never pg_catalog.bool;
BEGIN
  IF pg_catalog.current_setting('domicile.entered', true) OPERATOR(pg_catalog.<>) '' THEN
    IF pg_catalog.current_setting('domicile.entered', true) OPERATOR(pg_catalog.=) o::pg_catalog.text
       AND coalesce(pg_catalog.current_setting('domicile.o_slots', true), '') OPERATOR(pg_catalog.=) '1'
       AND domicile_private.entered_now(){no_copy} THEN
      RETURN never;
    END IF;
  ELSE
    state := pg_catalog.current_setting('domicile.no_context{what}', true);
    stamp := domicile_private.statement_stamp();
    IF state OPERATOR(pg_catalog.~~) '_____________.%'
       AND pg_catalog.strpos(state, pg_catalog.to_hex(pg_catalog.hashtext(pg_catalog.current_query()))) OPERATOR(pg_catalog.>) 0
       AND {home_of} IS NOT NULL
       AND (pg_catalog.starts_with(state, stamp)
            OR pg_catalog.set_config('domicile.no_context{what}', pg_catalog.overlay(state, stamp, 1, 14), false) IS NOT NULL) THEN
      RETURN never;
    END IF;
    IF state OPERATOR(pg_catalog.<>) '' AND {home_of} IS NOT NULL THEN
      never := NOT (pg_catalog.starts_with(state, stamp)
                    OR domicile_private.observe_next('no_context', '{what}', o::pg_catalog.text, true, 'domicile.no_context{what}', state, stamp));
      RETURN never;
    END IF;
  END IF;
  never := NOT domicile_private.observe_other(o, '{what}');
  RETURN never;
END
$observer$;
GRANT EXECUTE ON FUNCTION {name}({type}) TO PUBLIC;
ALTER FUNCTION {name}({type}) OWNER TO domicile_owner)",
      fmt::arg("name", observer_name(guard, operation)), fmt::arg("type", domain::to_string(type)),
      fmt::arg("what", what), fmt::arg("no_copy", no_copy),
      fmt::arg("home_of", region_placeholders(type).at("home_of")));
}

// `asks(row, operation)` is the expression for one version of a row, true when it was refused. A
// key that changes is looked at twice, but only in statements that set its column.
void observe_rows(TableGuard& guard, const std::string& table,
                  const std::vector<std::string>& columns,
                  const std::function<std::string(const std::string&, char)>& asks) {
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
    trigger(guard, each, "domicile_observe_insert", "AFTER INSERT", asks("NEW.", 'I'));
    trigger(guard, each, "domicile_observe_update", "AFTER UPDATE", asks("NEW.", 'U'));
    if (!columns.empty()) {
      trigger(guard, each, "domicile_observe_leave",
              fmt::format("AFTER UPDATE OF {}", fmt::join(names, ", ")),
              fmt::format("({}) AND {}", fmt::join(changed, " OR "), asks("OLD.", 'U')));
    }
    trigger(guard, each, "domicile_observe_delete", "AFTER DELETE", asks("OLD.", 'D'));
    observe_truncate(guard, each);
  }
}

}  // namespace

void observe_key(TableGuard& guard, const std::string& table, const std::string& key, bool mixed,
                 domain::KeyType type) {
  for (const char operation : {'I', 'U', 'D'})
    guard.functions.push_back(observer(guard, mixed ? 'm' : 'k', operation, type));
  observe_rows(guard, table, {key}, [&](const std::string& row, char operation) {
    return fmt::format("{}({}{})", observer_name(guard, operation), row, pg::quote_identifier(key));
  });
}

void observe_path(TableGuard& guard, const std::string& table, const ResolvedPath& path,
                  domain::KeyType type) {
  guard.functions = path_grants(path);
  guard.functions.push_back(seen_function(path, type));
  observe_rows(guard, table, path.steps[0].columns, [&](const std::string& row, char operation) {
    std::string call = "NOT " + seen_function_name(path) + "(";
    for (const auto& column : path.steps[0].columns)
      call += row + pg::quote_identifier(column) + ", ";
    return call + spec(guard, 'p', operation) + ")";
  });
}

void observe_person(TableGuard& guard, const std::string& table) {
  observe_rows(guard, table, {}, [&](const std::string&, char operation) {
    return fmt::format("NOT domicile.observed(NULL, {})", spec(guard, 's', operation));
  });
}

void observe_reference(TableGuard& guard, const std::string& table) {
  observe_rows(guard, table, {}, [&](const std::string&, char operation) {
    return fmt::format("NOT domicile.observed_reference({})", spec(guard, 'r', operation));
  });
}

}  // namespace domicile::store
