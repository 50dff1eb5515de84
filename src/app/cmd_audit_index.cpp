// domicile audit index create|rebuild|status|grant|revoke: the derived index of a region's logs.
#include <filesystem>
#include <memory>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "app/cmd_audit_query.h"
#include "app/dsn_option.h"
#include "app/log_feed.h"
#include "base/clock.h"
#include "base/file.h"
#include "crypto/random.h"
#include "logindex/install.h"

namespace domicile::app {
namespace {

using Json = nlohmann::json;

struct IndexArguments {
  std::string dsn;
  std::string dsn_file;
  std::string database = "domicile_index";
  std::string loader_file;
  std::string reader_file;
  std::string directory;
  std::string origin;
  std::string organization;
  std::string login;
  std::string file;
  std::uint64_t from = 1;
  std::string key_directory;
  std::string master_file;
};

// The same server and options, another database and login. Later keywords win in libpq.
std::string login_dsn(const std::string& admin, const std::string& database,
                      const std::string& login, std::string_view password) {
  std::string base = pg::redact_dsn(admin);  // keyword=value without the password
  return fmt::format("{} dbname={} user={} password={}\n", base, database, login, password);
}

Result<void> new_file(const std::string& path, const std::string& content) {
  if (std::filesystem::exists(path)) {
    return fail(Code::invalid, fmt::format("{} exists: name a new file", path));
  }
  return write_file_atomic(path, content, 0600);
}

Result<int> create(const IndexArguments& arguments, const Cli& cli) {
  const std::string admin_dsn = TRY(database_dsn(arguments.dsn, arguments.dsn_file));
  for (const auto& file : {arguments.loader_file, arguments.reader_file}) {
    if (std::filesystem::exists(file)) {
      return fail(Code::invalid, fmt::format("{} exists: name a new file, or leave the index as it "
                                             "is: it can be built again with rebuild",
                                             file));
    }
  }
  auto admin = TRY(pg::Connection::open(admin_dsn));
  logindex::InstallOptions options{.database = arguments.database,
                                   .loader_password = Secret(crypto::random_text(24)),
                                   .reader_password = Secret(crypto::random_text(24))};
  TRY(logindex::create_database(admin, options));
  const std::string loader_dsn =
      login_dsn(admin_dsn, options.database, logindex::loader_login(options.database),
                options.loader_password.reveal());
  auto loader = TRY(pg::Connection::open(loader_dsn));
  const int steps = TRY(logindex::migrate_index(loader));
  TRY(new_file(arguments.loader_file, loader_dsn));
  TRY(new_file(arguments.reader_file,
               login_dsn(admin_dsn, options.database, logindex::reader_login(options.database),
                         options.reader_password.reveal())));
  if (cli.json) {
    print(Json({{"database", options.database},
                {"steps", steps},
                {"loader_dsn_file", arguments.loader_file},
                {"reader_dsn_file", arguments.reader_file}})
              .dump());
  } else {
    print(
        fmt::format("The index is in the database {} ({} steps). For the node: [audit_index] "
                    "dsn_file = \"{}\"; for questions: domicile audit query --dsn-file {}",
                    options.database, steps, arguments.loader_file, arguments.reader_file));
  }
  return 0;
}

Result<std::unique_ptr<audit::PersonalVault>> vault_of(const IndexArguments& arguments,
                                                       const Clock& clock) {
  if (arguments.key_directory.empty() != arguments.master_file.empty()) {
    return fail(Code::invalid, "--key-directory and --master-key-file go together");
  }
  if (arguments.master_file.empty()) return nullptr;
  return audit::PersonalVault::open_read_only({.key_directory = arguments.key_directory,
                                               .master_file = arguments.master_file,
                                               .clock = &clock});
}

Result<int> rebuild(const IndexArguments& arguments, const Cli& cli) {
  const SystemClock clock;
  const auto vault = TRY(vault_of(arguments, clock));
  const auto opener = vault != nullptr
                          ? opener_of(*vault)
                          : logindex::Opener([](const auto& entry) { return entry.line; });
  const std::string dsn = TRY(database_dsn(arguments.dsn, arguments.dsn_file));
  const auto feed = TRY(log_feed(arguments.directory));
  auto store = TRY(logindex::IndexStore::open(dsn, arguments.origin));
  TRY(logindex::migrate_index(store.connection()));
  TRY(store.reset(arguments.from));
  const auto today = std::chrono::floor<std::chrono::days>(clock.now());
  constexpr std::size_t kBatch = 8'192;
  std::uint64_t rows = 0;
  for (std::size_t taken = kBatch; taken > 0;) {
    taken = TRY(store.load(feed, opener, kBatch, today));
    rows += taken;
    if (!cli.quiet && rows % (kBatch * 16) == 0 && taken > 0) {
      fmt::print(stderr, "{} events\n", rows);
    }
  }
  print(cli.json ? Json({{"rows", rows}}).dump()
                 : fmt::format("{} events are in the index, from {} on", rows, arguments.from));
  return 0;
}

// Exit 1: something that the log holds is not in the index.
Result<int> status(const IndexArguments& arguments, const Cli& cli) {
  const std::string dsn = TRY(database_dsn(arguments.dsn, arguments.dsn_file));
  auto store = TRY(logindex::IndexStore::open(dsn, arguments.origin));
  const auto status = TRY(store.status());
  const bool whole = status.incomplete.empty();
  if (cli.json) {
    print(Json({{"origin", status.origin},
                {"first_sequence", status.first_sequence},
                {"complete_to", status.next_sequence - 1},
                {"rows", status.rows},
                {"bundles", status.bundles},
                {"whole", whole},
                {"incomplete", status.incomplete},
                {"loaded_at", status.loaded_at}})
              .dump());
    return whole ? 0 : 1;
  }
  print(fmt::format("{}: events {} to {}, {} rows in {} bundles of 256, last loaded {}",
                    status.origin, status.first_sequence, status.next_sequence - 1, status.rows,
                    status.bundles, status.loaded_at.empty() ? "never" : status.loaded_at));
  for (const auto& bundle : status.incomplete) print("NOT whole: " + bundle);
  if (!whole) print("build it again: domicile audit index rebuild");
  return whole ? 0 : 1;
}

Result<int> grant(const IndexArguments& arguments, const Cli& cli) {
  const std::string dsn = TRY(database_dsn(arguments.dsn, arguments.dsn_file));
  auto admin = TRY(pg::Connection::open(dsn));
  const auto where = TRY(admin.query("SELECT pg_catalog.current_database()"));
  const Secret password(crypto::random_text(24));
  if (std::filesystem::exists(arguments.file)) {
    return fail(Code::invalid, fmt::format("{} exists: name a new file", arguments.file));
  }
  TRY(logindex::grant_organization(admin, arguments.login, arguments.organization, password));
  TRY(new_file(arguments.file,
               login_dsn(dsn, std::string(where.text(0, 0)), arguments.login, password.reveal())));
  print(cli.json
            ? Json({{"login", arguments.login}, {"organization", arguments.organization}}).dump()
            : fmt::format("{} sees the trail of organization {} and nothing else; its address "
                          "is in {}",
                          arguments.login, arguments.organization, arguments.file));
  return 0;
}

Result<int> revoke(const IndexArguments& arguments, const Cli& cli) {
  auto admin = TRY(pg::Connection::open(TRY(database_dsn(arguments.dsn, arguments.dsn_file))));
  TRY(logindex::revoke_organization(admin, arguments.login));
  print(cli.json ? Json({{"login", arguments.login}}).dump()
                 : fmt::format("{} is gone", arguments.login));
  return 0;
}

}  // namespace

void add_audit_index(CLI::App& noun, Cli& cli) {
  auto arguments = std::make_shared<IndexArguments>();
  auto* index = noun.add_subcommand("index", "The derived, rebuildable index of the log");
  index->require_subcommand(1);
  const auto verb = [&](const char* name, const char* description, const char* dsn_help) {
    auto* added = index->add_subcommand(name, description);
    added->add_option("--dsn-file", arguments->dsn_file, dsn_help);
    added->add_option("--dsn", arguments->dsn, "... or its address, without a password");
    return added;
  };
  auto* creating = verb("create", "Make database, logins and tables",
                        "An administrator of the server (CREATEROLE, CREATEDB), any database");
  creating->add_option("--database", arguments->database, "Its name");
  creating->add_option("--loader-dsn-file", arguments->loader_file, "A new file for the node")
      ->required();
  creating->add_option("--reader-dsn-file", arguments->reader_file, "A new file for questions")
      ->required();
  creating->callback(cli.run([=, &cli] { return create(*arguments, cli); }));

  constexpr const char* kLoader = "The index's owner: the loader's file";
  auto* building =
      verb("rebuild", "Empty the index of one log, and load the whole log again", kLoader);
  building->add_option("directory", arguments->directory, "The event folder")->required();
  building->add_option("--origin", arguments->origin, "The log's name (audit.origin of the node)")
      ->required();
  building->add_option("--from", arguments->from, "Begin at this sequence");
  building->add_option("--key-directory", arguments->key_directory,
                       "The log's keys; without them nobody is named");
  building->add_option("--master-key-file", arguments->master_file, "... and the master key");
  building->callback(cli.run([=, &cli] { return rebuild(*arguments, cli); }));

  auto* telling =
      verb("status", "How far the index goes, and whether every bundle is whole; exit 1 if not",
           kLoader);
  telling->add_option("--origin", arguments->origin, "The log's name (audit.origin of the node)")
      ->required();
  telling->callback(cli.run([=, &cli] { return status(*arguments, cli); }));

  constexpr const char* kAdmin = "An administrator, connected to the index's database";
  auto* granting = verb("grant", "Make a login that sees one organization's trail", kAdmin);
  granting->add_option("--organization", arguments->organization, "The organization's key")
      ->required();
  granting->add_option("--login", arguments->login, "A new login")->required();
  granting->add_option("--to-file", arguments->file, "A new file for its address")->required();
  granting->callback(cli.run([=, &cli] { return grant(*arguments, cli); }));

  auto* revoking = verb("revoke", "Take an organization's login away", kAdmin);
  revoking->add_option("--login", arguments->login, "The login")->required();
  revoking->callback(cli.run([=, &cli] { return revoke(*arguments, cli); }));
}

}  // namespace domicile::app
