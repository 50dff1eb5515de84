#include "app/directory_verb.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <pwd.h>
#include <termios.h>
#include <unistd.h>

#include "app/dsn_option.h"
#include "base/encoding.h"
#include "base/file.h"
#include "crypto/random.h"
#include "issuer/login.h"
#include "issuer/password.h"

namespace domicile::app {
namespace {

constexpr std::size_t kSecretBytesMax = 4096;

// Echo off, for as long as it lives.
class Quiet {
 public:
  Quiet() : changed_(::tcgetattr(STDIN_FILENO, &before_) == 0) {
    if (!changed_) return;
    termios quiet = before_;
    quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
  }
  ~Quiet() {
    if (changed_) ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &before_);
  }
  Quiet(const Quiet&) = delete;
  Quiet& operator=(const Quiet&) = delete;

 private:
  termios before_{};
  bool changed_;
};

Result<Secret> read_line() {
  std::string line;
  line.reserve(kSecretBytesMax);  // never moved, so never left behind in freed memory
  for (;;) {
    const int c = std::fgetc(stdin);
    if (c == EOF || c == '\n') break;
    if (line.size() == kSecretBytesMax)
      return fail(Code::invalid, "the password on standard input is too long");
    line.push_back(static_cast<char>(c));
  }
  return Secret(std::move(line));
}

Result<Secret> ask(const char* question) {
  std::fputs(question, stderr);
  const Quiet quiet;
  auto answer = read_line();
  std::fputs("\n", stderr);
  return answer;
}

std::string account_name() {
  for (const char* name : {"SUDO_USER", "LOGNAME", "USER"}) {
    if (const char* value = std::getenv(name); value != nullptr && *value != '\0') return value;
  }
  const passwd* entry = ::getpwuid(::geteuid());
  return entry == nullptr ? fmt::format("uid {}", ::geteuid()) : entry->pw_name;
}

}  // namespace

void add_directory_options(CLI::App& verb, DirectoryOptions& options, Verb kind) {
  verb.add_option("--dsn-file", options.dsn_file,
                  "File (mode 600) with the regional database's connection string")
      ->type_name("FILE");
  verb.add_option("--dsn", options.dsn, "Connection string itself; without both: DOMICILE_DSN")
      ->type_name("DSN");
  if (kind == Verb::reads) return;
  verb.add_option("--by", options.by,
                  "Who does this, for the event log; without it your account's name");
  verb.add_flag("--dry-run", options.dry_run, "Try everything, change nothing");
}

Result<std::unique_ptr<store::PgDirectory>> open_directory(const DirectoryOptions& options) {
  std::string dsn = TRY(database_dsn(options.dsn, options.dsn_file));
  return std::make_unique<store::PgDirectory>(
      store::PgDirectory::Options{.dsn = std::move(dsn), .connections = 1});
}

Result<store::PgDirectory::Administrator> administrator(const DirectoryOptions& options) {
  std::string name = options.by.empty() ? account_name() : options.by;
  const bool printable =
      std::ranges::all_of(name, [](unsigned char c) { return c >= ' ' && c != 127; });
  if (name.empty() || name.size() > 128 || !printable) {
    return fail(Code::invalid, "--by is a name of 1 to 128 printable characters");
  }
  using Commit = store::PgDirectory::Commit;
  return store::PgDirectory::Administrator{std::move(name),
                                           options.dry_run ? Commit::no : Commit::yes};
}

Result<Secret> read_password(const std::string& file) {
  if (!file.empty() && file != "-") return read_secret_file(file);
  if (file.empty() && ::isatty(STDIN_FILENO) == 1) return ask("Password: ");
  return read_line();
}

Result<Secret> read_new_password(const std::string& file) {
  Secret password = TRY(read_password(file));
  if (file.empty() && ::isatty(STDIN_FILENO) == 1) {
    if (!equal_constant_time(password.reveal(), TRY(ask("Again: ")).reveal())) {
      return fail(Code::invalid, "the two passwords differ; nothing was changed");
    }
  }
  TRY(issuer::PasswordHasher::check_new(password));
  return password;
}

Result<std::int64_t> parse_utc(std::string_view text) {
  int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0, end = 0;
  const std::string copy(text);
  const int fields = std::sscanf(copy.c_str(), "%4d-%2d-%2dT%2d:%2d:%2dZ%n", &year, &month, &day,
                                 &hour, &minute, &second, &end);
  const std::chrono::year_month_day date{std::chrono::year(year),
                                         std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day))};
  if (fields != 6 || end != 20 || copy.size() != 20 || !date.ok() || hour < 0 || hour > 23 ||
      minute < 0 || minute > 59 || second < 0 || second > 59) {
    return fail(Code::invalid,
                fmt::format("'{}' is not a time: write it as 2026-12-31T23:59:59Z", text));
  }
  const auto days = std::chrono::sys_days(date).time_since_epoch();
  return std::chrono::seconds(days).count() + hour * 3600 + minute * 60 + second;
}

std::string utc(std::int64_t unix_seconds) {
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(static_cast<std::time_t>(unix_seconds)));
}

Result<std::int64_t> parse_duration(std::string_view text) {
  const std::int64_t unit = text.ends_with('s')   ? 1
                            : text.ends_with('m') ? 60
                            : text.ends_with('h') ? 3600
                            : text.ends_with('d') ? 86400
                                                  : 0;
  std::int64_t count = 0;
  const bool number = text.size() >= 2 && text.size() <= 6 &&
                      std::ranges::all_of(text.substr(0, text.size() - 1),
                                          [](char c) { return c >= '0' && c <= '9'; });
  if (number) count = std::stoll(std::string(text.substr(0, text.size() - 1)));
  if (unit == 0 || count == 0) {
    return fail(Code::invalid,
                fmt::format("'{}' is not a duration: write it as 90s, 30m, 8h or 7d", text));
  }
  return count * unit;
}

Result<std::vector<domain::RoleName>> parse_roles(const std::vector<std::string>& texts) {
  std::vector<domain::RoleName> out;
  for (const auto& text : texts) out.push_back(TRY(domain::parse_role_name(text)));
  std::ranges::sort(out);
  out.erase(std::ranges::unique(out).begin(), out.end());
  return out;
}

Result<std::vector<domain::Permission>> parse_permissions(const std::vector<std::string>& texts) {
  std::vector<domain::Permission> out;
  for (const auto& text : texts) out.push_back(TRY(domain::parse_permission(text)));
  std::ranges::sort(out);
  out.erase(std::ranges::unique(out).begin(), out.end());
  return out;
}

std::string new_id(std::string_view prefix) {
  return std::string(prefix) + crypto::random_text(16);
}

void add_which_user(CLI::App& verb, WhichUser& which) {
  auto* id = verb.add_option("--id", which.id, "The user's identifier");
  auto* organization =
      verb.add_option("--org", which.organization, "Key of the user's organization");
  auto* login = verb.add_option("--login", which.login, "Login name in that organization");
  organization->needs(login);
  login->needs(organization);
  id->excludes(organization);
}

Result<store::UserAccount> find_user(store::PgDirectory& directory, const WhichUser& which) {
  if (which.id.empty() && which.login.empty()) {
    return fail(Code::invalid, "name the user: --org KEY --login NAME, or --id ID");
  }
  auto found = which.id.empty()
                   ? TRY(directory.find_user(TRY(domain::parse_org_key(which.organization)),
                                             issuer::canonical_login(which.login)))
                   : TRY(directory.find_user(domain::UserId(which.id)));
  if (!found) return fail(Code::not_found, "no such user in this region");
  return std::move(*found);
}

}  // namespace domicile::app
