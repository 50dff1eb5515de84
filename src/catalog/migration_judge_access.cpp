// Who may reach a table, and by which ways around row security: grants, policies, views, definer
// functions, replication, extensions, roles.
#include <algorithm>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "catalog/migration_judge.h"

namespace domicile::catalog {

using sqltext::Node;

namespace {

constexpr const char* kEventTriggers =
    "`domicile region maintenance begin --ticket TICKET --for 1h --event-triggers-off "
    "--superuser-dsn-file FILE`, and `domicile region maintenance end --superuser-dsn-file FILE` "
    "brings them back";

std::string grantee_of(const Node& role) {
  const auto type = role.str("roletype");
  if (type == "ROLESPEC_PUBLIC") return "PUBLIC";
  if (type != "ROLESPEC_CSTRING") return "the present role";
  return std::string(role.str("rolename"));
}

}  // namespace

void MigrationJudge::grant(const Node& node) {
  if (!node.flag("is_grant")) return;
  std::vector<std::string> grantees;
  for (const Node& role : node["grantees"].children) grantees.push_back(grantee_of(role));
  const auto type = node.str("objtype");
  if (type == "OBJECT_SCHEMA") {
    const bool creates = !node.has("privileges") ||
                         std::ranges::any_of(node["privileges"].children, [](const Node& p) {
                           return p.str("priv_name") == "create";
                         });
    for (const auto& grantee : grantees) {
      if (!creates || (grantee != "PUBLIC" && grantee != "domicile_tenant" &&
                       grantee != "domicile_app" && grantee != "domicile_node"))
        continue;
      refuse("schema_create", fmt::format("{}", fmt::join(strings_of(node["objects"]), ", ")),
             fmt::format("{} could put objects in the way of others' statements", grantee),
             "grant USAGE only; migrations run as the owner");
    }
    return;
  }
  if (type != "OBJECT_TABLE") return;
  if (node.str("targtype") == "ACL_TARGET_ALL_IN_SCHEMA") {
    for (const auto& name : strings_of(node["objects"])) {
      bool said = false;  // once for all guarded tables of the schema
      for (Standing* standing : schema.in_schema(name)) {
        const bool guarded = schema.guarded_root(*standing) != nullptr;
        if (guarded && said) continue;
        const auto before = findings.size();
        grant_on_table(*standing, grantees, node["privileges"]);
        said = said || (guarded && findings.size() > before);
      }
    }
    return;
  }
  for (const Node& range_var : node["objects"].children) {
    if (Standing* standing = schema.existing(range_var))
      grant_on_table(*standing, grantees, node["privileges"]);
  }
}

void MigrationJudge::grant_on_table(Standing& standing, const std::vector<std::string>& grantees,
                                    const Node& privileges) {
  static const std::set<std::string_view> ordinary = {"select", "insert", "update", "delete"};
  if (standing.shape.relation == Relation::view) return;
  const std::string table = to_string(standing.shape.name);
  Standing* root = schema.guarded_root(standing);
  for (const auto& grantee : grantees) {
    if (grantee == "the present role" || grantee == options_.owner) continue;
    const bool tenant = grantee == "domicile_tenant" || grantee == "domicile_app";
    if (root != nullptr && root->enforced()) {
      bool fits = privileges.has("-") || !privileges.children.empty();
      for (const Node& privilege : privileges.children) {
        const auto name = privilege.str("priv_name");
        fits = fits &&
               (tenant ? ordinary.contains(name) : grantee == "domicile_node" && name == "select");
      }
      if (fits && root == &standing) continue;
      refuse("grant", table,
             fmt::format("{} would reach it{}", grantee,
                         root != &standing ? " past its root"
                         : tenant          ? " with more than rows"
                                           : ""),
             "let the role become a member of domicile_app (`domicile region init --app-role`): it "
             "then reads one organization at a time");
    } else if (standing.closed) {
      touch(standing, fmt::format("a grant to {} opens it", grantee), true);
    }
  }
}

void MigrationJudge::default_privileges(const Node& node) {
  if (!node.flag("is_grant")) return;
  for (const Node& role : node["grantees"].children) {
    const std::string grantee = grantee_of(role);
    if (grantee == "the present role" || grantee == options_.owner) continue;
    refuse("default_privileges", "", fmt::format("new tables would be born open to {}", grantee),
           "leave grants to `domicile region init`, which follows the catalog");
  }
}

void MigrationJudge::policy(const Node& range_var, std::string_view what) {
  Standing* standing = schema.existing(range_var);
  if (standing == nullptr) return;
  Standing* root = schema.guarded_root(*standing);
  const std::string table = to_string(standing->shape.name);
  if (root != nullptr && root->enforced()) {
    refuse("policy_changed", table,
           fmt::format("{}: policies are joined by OR, so each one may open the table", what),
           "leave the policies to the guard; narrow rows within the organization by a view or in "
           "the application");
  } else if (standing->closed) {
    touch(*standing, fmt::format("{} opens it", what), true);
  }
}

void MigrationJudge::rule(const Node& node) {
  Standing* standing = schema.existing(node["relation"]);
  Standing* root = standing == nullptr ? nullptr : schema.guarded_root(*standing);
  if (root == nullptr || !root->enforced()) return;
  refuse("rule", to_string(standing->shape.name),
         "a rule rewrites statements on a guarded table past its checks",
         "write a trigger instead");
}

void MigrationJudge::view(const Node& node) {
  for (const Node& option : node["options"].children) {
    const auto value = option["arg"].string();
    if (option.str("defname") == "security_invoker" && value != "false" && value != "off" &&
        value != "0")
      return;
  }
  std::vector<const Node*> reads;
  collect(node["query"], "RangeVar", reads);
  for (const Node* range_var : reads) {
    Standing* standing = schema.existing(*range_var);
    Standing* root = standing == nullptr ? nullptr : schema.guarded_root(*standing);
    if (root == nullptr || !root->secured()) continue;
    return advise(Severity::warning, "view_as_owner", to_string(schema.created(node["view"])),
                  "a view reads with its owner's rights: refused when a superuser makes it and "
                  "grants it, confined by forced row security when the tables' owner does",
                  "WITH (security_invoker = true)");
  }
}

void MigrationJudge::function(const Node& node) {
  const auto name = names_of(node.has("funcname") ? node["funcname"] : node["func"]["objname"]);
  if (name.size() > 1 && name[0].starts_with("domicile")) {
    return refuse("function_changed", fmt::format("{}", fmt::join(name, ".")),
                  "the guard's functions are as `region init` installed them", "leave them alone");
  }
  for (const Node& option : node[node.has("options") ? "options" : "actions"].children) {
    if (option.str("defname") != "security" || option["arg"].string() != "true") continue;
    advise(Severity::note, "definer_function", fmt::format("{}", fmt::join(name, ".")),
           "it runs with its owner's rights: forced row security confines the tables' owner, not a "
           "superuser (`region violations` reports those)",
           "SECURITY INVOKER, or keep its owner an ordinary role; SET search_path = pg_catalog, "
           "pg_temp");
  }
}

void MigrationJudge::extension(const std::string& name) {
  static const std::set<std::string_view> known = {
      "plpgsql",       "pgcrypto", "pg_trgm",   "btree_gin",         "btree_gist",
      "citext",        "hstore",   "ltree",     "uuid-ossp",         "unaccent",
      "fuzzystrmatch", "intarray", "tablefunc", "pg_stat_statements"};
  static const std::set<std::string_view> outward = {
      "dblink", "postgres_fdw", "file_fdw",   "adminpack", "pageinspect", "pg_surgery",
      "lo",     "aws_s3",       "aws_lambda", "pg_cron",   "http"};
  const bool untrusted =
      name.starts_with("pl") && (name.ends_with("u") || name.starts_with("plpython"));
  if (outward.contains(name) || name.ends_with("_fdw") || untrusted) {
    refuse("extension", name, "it reaches outside of the database, or past row security",
           "do that work outside of the regional database");
  } else if (!known.contains(name)) {
    report("extension", name, "Domicile has not looked at this extension",
           "accept it with `domicile region init --accept-findings` when you have");
  }
}

void MigrationJudge::outside(const Node& node) {
  const std::string name(node.str(node.has("pubname")      ? "pubname"
                                  : node.has("subname")    ? "subname"
                                  : node.has("servername") ? "servername"
                                  : node.has("fdwname")    ? "fdwname"
                                                           : "trigname"));
  if (node.is("AlterEventTrigStmt")) {
    if (name.starts_with("domicile_"))
      refuse("event_trigger", name, "only its owner may change it, and nobody should",
             kEventTriggers);
    return;
  }
  const bool publication = node.is("CreatePublicationStmt");
  const bool subscription = node.is("CreateSubscriptionStmt");
  refuse(publication    ? "publication"
         : subscription ? "subscription"
                        : "foreign_server",
         name,
         publication    ? "data would leave by logical replication"
         : subscription ? "data would come in by logical replication, past the door"
                        : "a path to another database",
         "databases of different regions are never connected; reference data travels by Domicile");
}

void MigrationJudge::role(const Node& node) {
  if (node.is("AlterRoleSetStmt") || node.is("AlterDatabaseSetStmt")) {
    const auto name = node["setstmt"].str("name");
    if (name == "search_path" || name == "row_security" || name == "session_replication_role")
      report("setting", std::string(node["role"].str("rolename")),
             fmt::format("{} for all its sessions", name), "set it in the application's sessions");
    return;
  }
  if (node.is("GrantRoleStmt")) {
    for (const auto& granted : node["granted_roles"].children) {
      const auto name = granted.str("priv_name");
      if (name.starts_with("domicile_") || name.starts_with("org_"))
        report("organization_membership", std::string(name),
               "memberships of the guard's roles are set by `region init` and by homing alone",
               "`domicile region init --app-role` or `--node-role`");
    }
    return;
  }
  for (const Node& option : node["options"].children) {
    const auto name = option.str("defname");
    if ((name != "superuser" && name != "bypassrls" && name != "isreplication") ||
        option["arg"].string() == "false")
      continue;
    report("role_attribute", std::string(node.has("role") ? node.str("role") : node["role"].text),
           fmt::format("{} passes row security", name), "no role of an application needs it");
  }
}

void MigrationJudge::drop_other(const Node& node) {
  const auto type = node.str("removeType");
  for (const Node& object : node["objects"].children) {
    const auto parts = object.is("ObjectWithArgs") ? strings_of(object["objname"])
                       : object.is("String")
                           ? std::vector<std::string>{std::string(object.string())}
                           : names_of(object);
    if (parts.empty()) continue;
    if (type == "OBJECT_EVENT_TRIGGER" && parts.back().starts_with("domicile_")) {
      refuse("event_trigger", parts.back(), "only its owner may drop it, and nobody should",
             kEventTriggers);
    } else if ((type == "OBJECT_FUNCTION" || type == "OBJECT_ROUTINE") && parts.size() > 1 &&
               parts[0].starts_with("domicile")) {
      refuse("function_changed", fmt::format("{}", fmt::join(parts, ".")),
             "the guard's functions are as `region init` installed them", "leave them alone");
    } else if (type == "OBJECT_POLICY" || type == "OBJECT_TRIGGER") {
      Node range_var;
      range_var.kind = Node::Kind::object;
      if (parts.size() > 2)
        range_var.children.push_back({.field = "schemaname", .text = parts[parts.size() - 3]});
      if (parts.size() > 1)
        range_var.children.push_back({.field = "relname", .text = parts[parts.size() - 2]});
      if (type == "OBJECT_POLICY") {
        policy(range_var, "a dropped policy");
        continue;
      }
      Standing* standing = schema.existing(range_var);
      if (standing != nullptr && standing->enforced() && parts.back().starts_with("domicile_"))
        refuse("guard_changed", to_string(standing->shape.name),
               fmt::format("trigger {} belongs to the guard", parts.back()), "leave it alone");
    }
  }
}

}  // namespace domicile::catalog
