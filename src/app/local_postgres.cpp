#include "app/local_postgres.h"

#include <charconv>

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "crypto/random.h"
#include "crypto/sha256.h"
#include "pg/connection.h"

namespace domicile::app {
namespace {

constexpr int kLeastVersion = 15;
constexpr std::string_view kAnyServer =
    "*:*:*:*:";  // libpq's password file: any host, database, user

// A socket's path must fit in 107 bytes; a long data folder gets one in /tmp, named by the folder.
std::filesystem::path socket_folder_for(const std::filesystem::path& region_folder) {
  std::filesystem::path own = region_folder / "socket";
  if (own.string().size() < 80) return own;
  return fmt::format("/tmp/domicile-{}-{}", ::geteuid(),
                     crypto::sha256_hex(region_folder.string()).substr(0, 12));
}

constexpr std::string_view kSettings = R"(# Written by domicile up before every start.
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = '{socket}'
unix_socket_permissions = 0770
max_connections = 100
shared_buffers = 128MB
dynamic_shared_memory_type = posix
password_encryption = 'scram-sha-256'
max_prepared_transactions = 0
# Reference data is read from the log, in the master region; any region may become that. A region that
# is away for long costs no more disk than this, and starts afresh from a copy.
wal_level = logical
max_slot_wal_keep_size = 2GB
max_replication_slots = 16
max_wal_senders = 16
timezone = 'UTC'
log_timezone = 'UTC'
lc_messages = 'C'
# A refused row must not end up in the server's log.
log_error_verbosity = terse
log_min_error_statement = panic
log_parameter_max_length = 0
log_parameter_max_length_on_error = 0
log_line_prefix = '%m [%p] %q%u@%d '
)";

// No rule names "replication": nobody copies the whole server. Who publishes reference data may read
// the log of the application's database, and opens no other.
constexpr std::string_view kHostRules = R"(# Written by domicile up before every start.
local all postgres                scram-sha-256
local all all                     reject
host  all postgres 127.0.0.1/32   reject
host  {database} {publisher} 127.0.0.1/32 scram-sha-256
host  all {publisher} 127.0.0.1/32 reject
host  all all      127.0.0.1/32   scram-sha-256
)";

}  // namespace

Result<std::filesystem::path> find_postgresql() {
  std::filesystem::path found;
  int newest = 0;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator("/usr/lib/postgresql", ignored)) {
    const std::string name = entry.path().filename().string();
    int version = 0;
    const auto parsed = std::from_chars(name.data(), name.data() + name.size(), version);
    if (parsed.ec != std::errc{} || version < kLeastVersion || version <= newest) continue;
    if (::access((entry.path() / "bin" / "postgres").c_str(), X_OK) != 0) continue;
    newest = version;
    found = entry.path() / "bin";
  }
  if (newest > 0) return found;
  return fail(Code::unavailable,
              "PostgreSQL 15 or newer is not installed; on Debian and Ubuntu: "
              "apt-get install postgresql-15",
              "postgresql_missing");
}

std::string quote_dsn_value(std::string_view text) {
  std::string quoted = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + "'";
}

Result<std::filesystem::path> password_file(const LocalPaths& paths, const std::string& region,
                                            const std::string& role, const Account& owner) {
  const std::filesystem::path file = paths.secret(region, role);
  if (!std::filesystem::exists(file)) {
    TRY(write_owned(file, fmt::format("{}{}\n", kAnyServer, crypto::random_text(24)), owner, 0600));
  }
  return file;
}

Result<Secret> password_of(const LocalPaths& paths, const std::string& region,
                           const std::string& role) {
  const Secret line = TRY(read_secret_file(paths.secret(region, role)));
  if (!line.reveal().starts_with(kAnyServer)) {
    return fail(Code::invalid, paths.secret(region, role).string() + " is not a password file");
  }
  return Secret(std::string(line.reveal().substr(kAnyServer.size())));
}

LocalPostgres::LocalPostgres(const LocalPaths& paths, std::string region,
                             std::filesystem::path programs, Account account, std::uint16_t port)
    : paths_(paths),
      region_(std::move(region)),
      programs_(std::move(programs)),
      account_(std::move(account)),
      port_(port),
      socket_folder_(socket_folder_for(paths_.region(region_))) {}

bool LocalPostgres::created() const { return std::filesystem::exists(cluster() / "PG_VERSION"); }

Result<void> LocalPostgres::create(Signals& signals) const {
  const std::filesystem::path fresh = cluster().string() + ".new";
  std::error_code ignored;
  std::filesystem::remove_all(fresh, ignored);  // of an interrupted run
  TRY(make_folder(fresh, account_, 0700));
  TRY(password_file(paths_, region_, "postgres", TRY(own_account())));
  const Secret password = TRY(password_of(paths_, region_, "postgres"));
  const std::filesystem::path handed = paths_.region(region_) / "initial.password";
  TRY(write_owned(handed, std::string(password.reveal()) + "\n", account_, 0600));
  Program initdb;
  initdb.command = {(programs_ / "initdb").string(),
                    "-D",
                    fresh.string(),
                    "-U",
                    "postgres",
                    "-A",
                    "scram-sha-256",
                    "--pwfile",
                    handed.string(),
                    "-E",
                    "UTF8",
                    "--locale=C.UTF-8",
                    "--data-checksums"};
  initdb.account = account_;
  const auto done = run_checked(initdb, signals, std::chrono::minutes(3),
                                fmt::format("{}: creating the database cluster", region_));
  std::filesystem::remove(handed, ignored);
  if (!done) {
    std::filesystem::remove_all(fresh, ignored);
    return std::unexpected(done.error());
  }
  std::error_code failed;
  std::filesystem::rename(fresh, cluster(), failed);
  if (failed)
    return fail(Code::unavailable,
                fmt::format("cannot name {}: {}", cluster().string(), failed.message()));
  return {};
}

Result<void> LocalPostgres::configure(const std::string& database,
                                      const std::string& publisher) const {
  TRY(make_folder(socket_folder_, account_, 0700));
  const std::string settings =
      fill_in(std::string(kSettings),
              {{"port", std::to_string(port_)}, {"socket", socket_folder_.string()}});
  TRY(write_owned(cluster() / "postgresql.conf", settings, account_, 0600));
  const std::string rules =
      fill_in(std::string(kHostRules), {{"database", database}, {"publisher", publisher}});
  return write_owned(cluster() / "pg_hba.conf", rules, account_, 0600);
}

// PostgreSQL takes a lock file for real when its pid lives, whoever that is by now.
void LocalPostgres::clear_stale_lock() const {
  const std::filesystem::path lock = cluster() / "postmaster.pid";
  const auto text = read_file(lock, 4096);
  if (!text) return;
  const long pid = std::strtol(text->c_str(), nullptr, 10);
  const auto command = read_file(fmt::format("/proc/{}/cmdline", pid));
  if (pid > 1 && command && command->find(cluster().string()) != std::string::npos) return;
  std::error_code ignored;
  std::filesystem::remove(lock, ignored);
}

Service LocalPostgres::service() const {
  Service service;
  service.name = region_ + "-postgresql";
  service.region = region_;
  service.what = "database";
  service.program.command = {(programs_ / "postgres").string(), "-D", cluster().string()};
  service.program.account = account_;
  service.program.folder = cluster();
  service.program.log = paths_.log(service.name);
  service.program.stop_signal = SIGINT;         // fast shutdown
  service.patience = std::chrono::seconds(90);  // it writes everything down, and disks may be busy
  service.last_resort = SIGQUIT;  // immediate shutdown: the log is replayed at the next start
  service.before = [self = *this] { self.clear_stale_lock(); };
  service.ready = [self = *this] {
    return pg::Connection::open(self.superuser_dsn("postgres")).has_value();
  };
  service.ready_limit = std::chrono::seconds(120);  // after a crash it replays its log first
  return service;
}

std::string LocalPostgres::dsn(const std::string& database, const std::string& role) const {
  return fmt::format("host=127.0.0.1 port={} dbname={} user={} passfile={}", port_, database, role,
                     quote_dsn_value(paths_.secret(region_, role).string()));
}

std::string LocalPostgres::superuser_dsn(const std::string& database) const {
  return fmt::format("host={} port={} dbname={} user=postgres passfile={}",
                     quote_dsn_value(socket_folder_.string()), port_, database,
                     quote_dsn_value(paths_.secret(region_, "postgres").string()));
}

}  // namespace domicile::app
