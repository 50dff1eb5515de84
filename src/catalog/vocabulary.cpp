// The words that tell a table's purpose: tools' own tables, static lists, things that people make.
#include <algorithm>
#include <set>

#include "catalog/naming.h"

namespace domicile::catalog {
namespace {

using Words = std::set<std::string_view>;

const Words kMigrations = {"schema_migrations",
                           "schema_migration",
                           "ar_internal_metadata",
                           "alembic_version",
                           "django_migrations",
                           "_prisma_migrations",
                           "flyway_schema_history",
                           "schema_version",
                           "databasechangelog",
                           "databasechangeloglock",
                           "knex_migrations",
                           "knex_migrations_lock",
                           "sequelizemeta",
                           "sequelizedata",
                           "typeorm_metadata",
                           "migrations",
                           "goose_db_version",
                           "gorp_migrations",
                           "__efmigrationshistory",
                           "doctrine_migration_versions",
                           "phinxlog",
                           "atlas_schema_revisions",
                           "schema_migrations_lock",
                           "pgmigrations",
                           "node_pgmigrations",
                           "__drizzle_migrations",
                           "data_migrations",
                           "dbmate_migrations",
                           "refinery_schema_history",
                           "_sqlx_migrations",
                           "ecto_migrations",
                           "aerich",
                           "kysely_migration",
                           "kysely_migration_lock",
                           "mikro_orm_migrations",
                           "migration_versions"};

const Words kMachinery = {"spatial_ref_sys",
                          "django_content_type",
                          "django_session",
                          "django_site",
                          "auth_permission",
                          "auth_group",
                          "auth_group_permissions",
                          "django_admin_log",
                          "django_celery_beat_periodictasks",
                          "delayed_jobs",
                          "que_jobs",
                          "que_values",
                          "que_lockers",
                          "oban_jobs",
                          "oban_peers",
                          "failed_jobs",
                          "job_batches",
                          "cache_locks",
                          "pg_stat_statements",
                          "geometry_columns",
                          "geography_columns",
                          "revinfo",
                          "hibernate_sequence",
                          "spring_session"};

const Words kMachineryPrefixes = {"good_job", "solid_queue",   "solid_cache",     "solid_cable",
                                  "celery",   "django_celery", "graphile_worker", "pgboss",
                                  "qrtz",     "shedlock",      "telescope",       "pulse",
                                  "hangfire", "batch_job_",    "batch_step_",     "flipper_"};

const Words kMachineryWords = {"job",      "queue",    "cache",         "lock",        "heartbeat",
                               "outbox",   "inbox",    "cron",          "worker",      "scheduler",
                               "schedule", "task",     "session",       "throttle",    "lease",
                               "nonce",    "sequence", "metric",        "healthcheck", "cola",
                               "fila",     "bus",      "warteschlange", "coda",        "wachtrij"};

const Words kStaticLists = {
    "country", "currency", "language", "lang", "locale", "timezone", "subdivision", "province",
    "continent", "holiday", "nationality", "permission", "capability", "weekday", "calendar", "iso",
    "unit", "vat", "incoterm", "zone", "postcode", "region", "state", "isco", "icd", "naics",
    "translation", "glossary", "feature", "industry", "carrier", "plan", "emoji", "city", "amenity",
    "airport", "breed", "species", "cuisine", "sport", "religion", "profession", "occupation",
    "specialty", "county", "sector", "discipline", "nutrient", "taxonomy", "license", "licence",
    "standard", "qualification", "qualifikation", "allergen", "jurisdiction", "uf",
    // in other languages
    "land", "laender", "bundesland", "waehrung", "sprache", "feiertag", "pays", "devise", "langue",
    "ferie", "pais", "moneda", "idioma", "provincia", "feriado", "valuta", "lingua", "paese",
    "municipio", "festivo", "permiso", "recht", "berechtigung", "droit", "permesso"};

const Words kListWords = {
    "type",    "kind",      "status",  "category", "code",      "level",     "priority",  "stage",
    "class",   "role",      "reason",  "severity", "grade",     "tier",      "method",    "rate",
    "skill",   "template",  "subject", "topic",    "color",     "size",      "format",    "option",
    "rubric",  "badge",     "theme",   "icon",     "mime",      "frequency", "gender",    "degree",
    "genre",   "style",     "typ",     "art",      "kategorie", "categorie", "categoria", "tipo",
    "statut",  "stato",     "estado",  "stufe",    "soort",     "rol",       "rolle",     "ruolo",
    "vorlage", "plantilla", "modello", "sjabloon", "klasse"};

// The first word says what a thing is in Romance languages: tipo_documento, forma_pago.
const Words kListWordsFirst = {"tipo",   "tipos",   "type",   "types",   "categoria", "categorie",
                               "estado", "estatus", "statut", "etat",    "stato",     "forma",
                               "formas", "clase",   "motivo", "motif",   "moyen",     "medio",
                               "modo",   "mode",    "metodo", "methode", "nivel",     "niveau",
                               "genre",  "genero",  "grado",  "codigo",  "unidad",    "modele"};

// German puts words together: Zahlungsart, Formularvorlage, Fahrzeugtyp.
const std::string_view kListEndings[] = {
    "sart", "vorlage", "kategorie", "typ", "status", "klasse", "land", "satzart",
    // and so do frameworks with names of models: hearingtype
    "type", "category", "holiday", "country", "currency", "language", "reason", "priority",
    "permission", "severity"};

const Words kMadeByPeople = {
    "log",          "event",       "message",   "document",  "file",         "upload",
    "blob",         "attachment",  "address",   "payment",   "invoice",      "conversation",
    "thread",       "content",     "note",      "comment",   "request",      "response",
    "import",       "export",      "report",    "image",     "asset",        "post",
    "reply",        "order",       "cart",      "basket",    "booking",      "appointment",
    "ticket",       "lead",        "contact",   "deal",      "customer",     "patient",
    "subscription", "transaction", "transfer",  "ledger",    "entry",        "record",
    "submission",   "answer",      "attempt",   "token",     "key",          "secret",
    "credential",   "webhook",     "delivery",  "email",     "notification", "audit",
    "activity",     "history",     "version",   "revision",  "snapshot",     "visit",
    "click",        "photo",       "media",     "recording", "video",        "draft",
    "meeting",      "call",        "survey",    "feedback",  "review",       "rating",
    "location",     "device",      "card",      "wallet",    "balance",      "quote",
    "contract",     "agreement",   "signature", "folder",    "page",         "snippet",
    "artifact",     "payload",     "body",      "link",      "setting",      "preference",
    "profile",      "party",       "household"};

bool any_word(const std::vector<std::string>& words, const Words& known) {
  return std::ranges::any_of(words,
                             [&](const std::string& w) { return known.contains(singular(w)); });
}

}  // namespace

std::optional<std::string> migration_table(std::string_view table) {
  std::string lower;
  for (char c : table) lower.push_back(c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c);
  if (kMigrations.contains(lower)) return "a migration tool's own table, by its name";
  const auto words = words_of(table);
  const std::string_view head = words.empty() ? std::string_view() : std::string_view(words.back());
  if (words.size() <= 2 && (head.starts_with("migrac") || head.starts_with("migraz")))
    return "a migration tool's own table, by its name";
  return std::nullopt;
}

std::optional<std::string> framework_table(std::string_view table) {
  if (kMachinery.contains(table)) return "a framework's own table, by its name";
  for (std::string_view prefix : kMachineryPrefixes) {
    if (table.starts_with(prefix)) return "a framework's queue or cache, by its name";
  }
  return std::nullopt;
}

bool application_wide(std::string_view table) {
  static const Words kWide = {"application", "app",      "global", "system",
                              "platform",    "instance", "site",   "server"};
  auto words = words_of(table);
  if (words.size() > 2 && (words[0] == "tbl" || words[0] == "tb" || words[0] == "t"))
    words.erase(words.begin());
  return words.size() > 1 && kWide.contains(singular(words.front()));
}

std::optional<std::string> machinery_table(std::string_view table) {
  if (auto framework = framework_table(table)) return framework;
  const auto words = words_of(table);
  if (!words.empty() && (kMachineryWords.contains(singular(words.back())) ||
                         (words.size() > 1 && kMachineryWords.contains(singular(words.front()))))) {
    return "named like a queue, a cache or another part of the machinery";
  }
  return std::nullopt;
}

namespace {

// A queue by its shape: which queue, what to do, and when or how often it was tried.
bool queue_shaped(const TableShape& table) {
  static const Words kWork = {"payload", "body", "args", "arg", "data", "params", "job", "handler"};
  static const Words kTurn = {"attempt",  "available", "reserved",  "locked",   "delivered",
                              "run",      "scheduled", "retry",     "intento",  "disponible",
                              "versuche", "tentative", "tentativo", "tentativa"};
  bool queue = false;
  bool work = false;
  bool turn = false;
  for (const Column& column : table.columns) {
    const auto words = words_of(column.name);
    queue = queue || any_word(words, {"queue", "cola", "warteschlange", "coda", "fila"});
    work = work || any_word(words, kWork);
    turn = turn || any_word(words, kTurn);
  }
  return queue && work && turn;
}

}  // namespace

std::optional<std::string> solid_machinery(const TableShape& table) {
  if (auto framework = framework_table(table.name.name)) return framework;
  static const Words kBusiness = {"job",      "worker", "schedule", "task", "session",
                                  "sequence", "metric", "inbox",    "lock", "bus"};
  static const Words kTraits = {"queue",      "payload", "attempt",   "arg",        "handler",
                                "locked",     "retry",   "cron",      "worker",     "exception",
                                "lease",      "error",   "scheduled", "expiration", "heartbeat",
                                "serialized", "reserved"};
  const auto words = words_of(table.name.name);
  const auto known = [](const std::string& word) {
    return kMachineryWords.contains(word) && !kBusiness.contains(word);
  };
  const auto why = machinery_table(table.name.name);
  if (queue_shaped(table)) return why ? why : "it has the shape of a queue";
  if (!why) return std::nullopt;
  if (known(singular(words.back())) || (words.size() > 1 && known(singular(words.front()))))
    return why;
  const auto traits = std::ranges::count_if(
      table.columns, [](const Column& column) { return any_word(words_of(column.name), kTraits); });
  return traits >= 2 ? why : std::nullopt;
}

int lookup_weight(std::string_view table) {
  const std::string head = head_noun(table);
  const auto words = words_of(table);
  const bool first = words.size() > 1 && kListWordsFirst.contains(words.front());
  const bool english = words.size() > 1 && (words.front() == "type" || words.front() == "mode");
  if (first && (!english || !kMadeByPeople.contains(head))) return 3;
  if (kMadeByPeople.contains(head)) return -5;
  if (kStaticLists.contains(head)) return 5;
  if (words.size() == 1 && kListWords.contains(head)) return 3;
  if (kListWords.contains(head)) return 3;
  if (any_word(words, kStaticLists)) return 3;
  const bool ending = std::ranges::any_of(kListEndings, [&](std::string_view end) {
    return head.size() > end.size() + 2 && head.ends_with(end);
  });
  return ending ? 3 : 0;
}

bool content_column(const Column& column) {
  static const Words kContent = {"body",     "content", "payload", "data",    "url",    "filename",
                                 "checksum", "token",   "html",    "message", "path",   "blob",
                                 "raw",      "byte",    "etag",    "sha",     "answer", "response",
                                 "request",  "amount",  "total",   "price",   "balance"};
  if (column.type == "bytea") return true;
  const auto words = words_of(column.name);
  return any_word(words, kContent);
}

}  // namespace domicile::catalog
