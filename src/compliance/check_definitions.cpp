#include <algorithm>
#include <array>

#include "compliance/check.h"

namespace domicile::compliance {
namespace {

constexpr std::array kChecks{
    CheckDefinition{"DOM-CAN-001", "Organizations homed in one region have no row in any other",
                    "Find out how the rows came there, move or erase them with evidence, and treat "
                    "it as an incident",
                    "critical", "SOC 2 C1.1 CC6.7"},
    CheckDefinition{"DOM-CAN-002", "Each region's canary row is found at home and nowhere else",
                    "A canary found abroad is a leak: treat it as an incident. One missing at "
                    "home: plant it again",
                    "critical", "SOC 2 C1.1 CC6.7"},
    CheckDefinition{"DOM-CAT-001", "Every table is classified",
                    "Run domicile catalog scan, decide the table's class, and apply it with "
                    "domicile region init",
                    "high", "SOC 2 C1.1"},
    CheckDefinition{"DOM-CAT-002", "Every classified table exists",
                    "Remove the table from the catalog, or mark it planned", "low", "SOC 2 C1.1"},
    CheckDefinition{"DOM-CAT-003", "Every classified table has its guard applied",
                    "Run domicile region init", "high", "SOC 2 C1.1"},
    CheckDefinition{"DOM-CAT-004", "Every table of organizations is enforced",
                    "Look at what observe recorded, then set the table's mode to enforce", "medium",
                    "SOC 2 C1.1"},
    CheckDefinition{
        "DOM-CON-001", "Connections to the database are encrypted, or never leave the machine",
        "Set sslmode=verify-full in the DSN and hostssl in pg_hba.conf", "high", "SOC 2 CC6.7"},
    CheckDefinition{"DOM-EP-001", "The endpoint is the database that the configuration names",
                    "Compare the DSN with the configuration; after a planned rebuild, write down "
                    "the new identifiers",
                    "critical", "SOC 2 C1.1"},
    CheckDefinition{"DOM-EP-002", "The database says that it is this region",
                    "Correct the DSN: a database is one region for life", "critical", "SOC 2 C1.1"},
    CheckDefinition{"DOM-EP-003", "No two regions share a database or a lineage",
                    "One of them is a copy of the other: find out which one, and close it",
                    "critical", "SOC 2 C1.1"},
    CheckDefinition{"DOM-EP-004", "The region is open on an approved timeline and accepts writes",
                    "Run domicile region reconcile", "high", "SOC 2 A1.2"},
    CheckDefinition{"DOM-GRD-001", "The guard's CHECKs and triggers are the ones that were applied",
                    "Run domicile region init, and find out who changed them", "critical",
                    "SOC 2 CC6.1 CC8.1"},
    CheckDefinition{"DOM-GRD-002", "Rows stored before the guard have been validated",
                    "Run domicile region validate", "high", "SOC 2 C1.1"},
    CheckDefinition{"DOM-GRD-003", "No rule rewrites statements on a guarded table", "DROP RULE",
                    "high", "SOC 2 CC6.1"},
    CheckDefinition{"DOM-GRD-004", "Guarded tables have the owner they had when they were guarded",
                    "ALTER TABLE ... OWNER TO the former owner, or run domicile region init",
                    "high", "SOC 2 CC6.1"},
    CheckDefinition{"DOM-GRD-005", "Domicile's functions are the ones that were installed",
                    "Run domicile region init, and find out who changed them", "critical",
                    "SOC 2 CC6.1 CC8.1"},
    CheckDefinition{"DOM-GRD-006", "Domicile's schemas and tables belong to it alone",
                    "Give them back to domicile_owner and revoke what others were granted",
                    "critical", "SOC 2 CC6.1"},
    CheckDefinition{"DOM-GRD-007", "The DDL assertion is armed",
                    "ALTER EVENT TRIGGER domicile_ddl ENABLE ALWAYS, or run domicile region init",
                    "high", "SOC 2 CC8.1"},
    CheckDefinition{"DOM-GRD-008", "The check at commit is armed", "Run domicile region init",
                    "high", "SOC 2 CC8.1"},
    CheckDefinition{"DOM-GRD-009", "Observing tables observe as they were set up",
                    "Run domicile region init", "low", "SOC 2 CC7.2"},
    CheckDefinition{"DOM-GRD-010",
                    "The guard admits a homed organization and refuses one that is nowhere",
                    "Run domicile region init; if it persists, treat the region as unguarded",
                    "critical", "SOC 2 C1.1 CC6.1"},
    CheckDefinition{"DOM-GRD-999", "The database reports nothing that this version does not know",
                    "Update domicile, and look at the finding's text", "high", "SOC 2 CC7.1"},
    CheckDefinition{"DOM-PUB-001",
                    "No publication lets data leave by logical replication, except reference "
                    "tables from the master region",
                    "DROP PUBLICATION, or domicile region init for domicile_reference", "critical",
                    "SOC 2 CC6.7"},
    CheckDefinition{"DOM-PUB-002", "No subscription lets data in by logical replication",
                    "DROP SUBSCRIPTION", "critical", "SOC 2 CC6.7"},
    CheckDefinition{"DOM-PUB-003",
                    "No logical replication slot reads the database's log, except for a region "
                    "that follows",
                    "SELECT pg_drop_replication_slot(...)", "critical", "SOC 2 CC6.7"},
    CheckDefinition{"DOM-PUB-004",
                    "No foreign server, mapping or table is a path to another database",
                    "DROP SERVER ... CASCADE", "critical", "SOC 2 CC6.7"},
    CheckDefinition{"DOM-PUB-005", "No foreign-data wrapper is installed",
                    "DROP FOREIGN DATA WRAPPER ... CASCADE", "high", "SOC 2 CC6.7"},
    CheckDefinition{"DOM-PUB-006", "Only extensions that were looked at are installed",
                    "DROP EXTENSION, or accept it with a reason", "high", "SOC 2 CC6.8"},
    CheckDefinition{
        "DOM-PUB-007", "Replicas and their slots are the declared ones",
        "Stop the replica, or declare it (replicas) when it stands inside the jurisdiction",
        "critical", "SOC 2 C1.1 CC6.7"},
    CheckDefinition{"DOM-PUB-008", "The database's log is archived only where that is declared",
                    "Switch archive_mode off, or declare where the archive lies (wal_archive)",
                    "high", "SOC 2 C1.1"},
    CheckDefinition{"DOM-REF-001", "Reference tables of the master region are published whole",
                    "Run domicile region init --master", "high", "SOC 2 PI1.3"},
    CheckDefinition{"DOM-REF-002",
                    "Reference tables refuse every writer but the master region and the applier",
                    "Set the table's mode to enforce, and run domicile region init", "high",
                    "SOC 2 CC6.1 PI1.3"},
    CheckDefinition{"DOM-REF-003", "Reference data arrives, and soon",
                    "domicile reference status says what stands in the way", "medium",
                    "SOC 2 A1.2 PI1.4"},
    CheckDefinition{"DOM-REF-004",
                    "Reference tables were compared with the master's within a day, and are equal",
                    "domicile reference compare --repair; set compare_at in the node's "
                    "configuration",
                    "medium", "SOC 2 PI1.4"},
    CheckDefinition{"DOM-REF-005", "No finding about reference data is open",
                    "domicile reference status lists them", "high", "SOC 2 CC7.2"},
    CheckDefinition{
        "DOM-RES-001", "Every distinct organization in every table is homed here",
        "Find out how the rows came there; move the organization, or erase its rows with evidence",
        "critical", "SOC 2 C1.1 CC6.7"},
    CheckDefinition{"DOM-RES-002", "Every row of a table of organizations names its organization",
                    "Fill the key, or class the table as mixed", "high", "SOC 2 C1.1"},
    CheckDefinition{"DOM-RLS-001", "Row security is enabled and forced on every enforced table",
                    "Run domicile region init", "critical", "SOC 2 CC6.1"},
    CheckDefinition{"DOM-RLS-002", "The tables' policies are the ones that were applied",
                    "Drop the foreign policy, or run domicile region init", "critical",
                    "SOC 2 CC6.1"},
    CheckDefinition{"DOM-RLS-003", "Only the roles of tenants have grants on guarded tables",
                    "REVOKE the grant", "high", "SOC 2 CC6.3"},
    CheckDefinition{"DOM-RLS-004", "Unique keys do not tell one tenant of another's values",
                    "Lead the unique index by the organization, or accept it with a reason", "low",
                    "SOC 2 CC6.1"},
    CheckDefinition{"DOM-RLS-005",
                    "Foreign keys between tables of organizations hold the organization",
                    "Add the organization to the foreign key, or accept it with a reason", "medium",
                    "SOC 2 CC6.1"},
    CheckDefinition{
        "DOM-ROL-001",
        "No role beyond the declared ones is superuser, bypasses row security, replicates or "
        "creates roles",
        "ALTER ROLE ... NOSUPERUSER NOBYPASSRLS NOREPLICATION NOCREATEROLE, or declare it (roles)",
        "critical", "SOC 2 CC6.3"},
    CheckDefinition{"DOM-ROL-002", "Organization roles have no special attribute",
                    "ALTER ROLE ... NOSUPERUSER NOBYPASSRLS NOCREATEROLE NOCREATEDB NOREPLICATION",
                    "critical", "SOC 2 CC6.3"},
    CheckDefinition{"DOM-ROL-003", "Organization roles are in no other role, and nobody is in them",
                    "REVOKE the membership", "critical", "SOC 2 CC6.3"},
    CheckDefinition{"DOM-ROL-004", "Exactly the region's active organizations are homed",
                    "Run domicile region reconcile", "critical", "SOC 2 C1.1"},
    CheckDefinition{"DOM-ROL-005", "The homed organizations are those that the registry homes here",
                    "Run domicile region reconcile", "critical", "SOC 2 C1.1"},
    CheckDefinition{
        "DOM-ROL-006", "Domicile's own roles are as installed, with only declared members",
        "REVOKE the membership, or declare the member (roles)", "critical", "SOC 2 CC6.3"},
    CheckDefinition{
        "DOM-ROL-007",
        "Nobody is in a predefined role that reads, writes or runs programs past the guard",
        "REVOKE the membership", "high", "SOC 2 CC6.3"},
    CheckDefinition{"DOM-RTE-001", "The home region serves an organization's requests",
                    "Look at the home node's log and at the organization's placement", "high",
                    "SOC 2 A1.1 CC6.1"},
    CheckDefinition{"DOM-RTE-002",
                    "Every other region sends an organization's requests home and serves none",
                    "Treat a served request as an incident; a wrong target: compare the regions' "
                    "URLs in the registry",
                    "critical", "SOC 2 C1.1 CC6.7"},
    CheckDefinition{"DOM-SET-001",
                    "No ALTER ROLE or ALTER DATABASE SET changes what the guard relies on",
                    "ALTER ROLE/DATABASE ... RESET", "high", "SOC 2 CC6.1"},
    CheckDefinition{"DOM-SET-002",
                    "Refused rows do not reach the server's log, or that log is declared to stay",
                    "Set log_min_error_statement to fatal and log_parameter_max_length_on_error to "
                    "0, or declare the log's place (server_log)",
                    "medium", "SOC 2 C1.1"},
    CheckDefinition{"DOM-SET-003", "There are no prepared transactions, and none can be made",
                    "ROLLBACK PREPARED, and set max_prepared_transactions to 0", "high",
                    "SOC 2 C1.1"},
    CheckDefinition{"DOM-SET-004", "There are no large objects",
                    "Move them into a classified table: SELECT lo_unlink(...)", "medium",
                    "SOC 2 C1.1"},
    CheckDefinition{"DOM-SET-005", "No object is born with grants",
                    "ALTER DEFAULT PRIVILEGES ... REVOKE", "high", "SOC 2 CC6.3"},
    CheckDefinition{
        "DOM-SET-006", "No function outside Domicile runs with rights past row security",
        "ALTER FUNCTION ... SECURITY INVOKER, or change its owner", "critical", "SOC 2 CC6.1"},
    CheckDefinition{"DOM-SET-007",
                    "The server has the fixes of known row-security and privilege leaks",
                    "Update PostgreSQL to the current minor version", "high", "SOC 2 CC7.1"},
    CheckDefinition{"DOM-SET-008", "Tenants and the public cannot create schemas or objects",
                    "REVOKE CREATE", "high", "SOC 2 CC6.3"},
    CheckDefinition{"DOM-SET-009", "No event trigger but Domicile's runs on DDL",
                    "DROP EVENT TRIGGER, or accept it with a reason", "medium", "SOC 2 CC8.1"},
};

static_assert(std::ranges::is_sorted(kChecks, {}, &CheckDefinition::id));

}  // namespace

std::span<const CheckDefinition> check_definitions() { return kChecks; }

const CheckDefinition* find_check(std::string_view id) {
  const auto at = std::ranges::lower_bound(kChecks, id, {}, &CheckDefinition::id);
  return at != kChecks.end() && at->id == id ? &*at : nullptr;
}

}  // namespace domicile::compliance
