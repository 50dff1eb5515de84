// Failed sign-ins of the directory. Never waits for the disk: a lock that a crash of the server forgets
// is a lock less, and an attacker must not set the pace of its log.
#include "store/directory_pg.h"
#include "store/directory_rows.h"

namespace domicile::store {
namespace {

constexpr const char* kFind =
    "SELECT tries, lockouts, extract(epoch FROM seen_at)::bigint,"
    " extract(epoch FROM locked_until)::bigint, extract(epoch FROM forget_at)::bigint"
    " FROM domicile_directory.failed_sign_in WHERE subject = $1";

std::optional<Lockout> lockout_of(const pg::Rows& rows) {
  if (rows.size() == 0) return std::nullopt;
  return Lockout{.tries = std::stod(std::string(rows.text(0, 0))),
                 .lockouts = rows.integer(0, 1),
                 .seen_at = rows.integer(0, 2),
                 .locked_until = rows.integer(0, 3),
                 .forget_at = rows.integer(0, 4)};
}

}  // namespace

Result<std::optional<Lockout>> PgDirectory::lockout(std::string_view subject) {
  return lockout_of(TRY(read(kFind, {bytea(subject)})));
}

Result<void> PgDirectory::add_failure(std::string_view subject, const LockoutRules& rules,
                                      std::int64_t now_s) {
  return write(Commit::yes, [&](pg::Connection& connection) -> Result<void> {
    TRY(connection.query("SET LOCAL synchronous_commit = off"));
    // Two failures of one name at once, at whichever nodes, are two.
    TRY(
        connection.query("SELECT pg_advisory_xact_lock(hashtextextended('domicile.failed_sign_in "
                         "' || $1, 0))",
                         {to_hex(subject)}));
    const auto before = lockout_of(TRY(connection.query(kFind, {bytea(subject)})));
    const Lockout next = after_failure(before ? &*before : nullptr, rules, now_s);
    TRY(connection.query(
        "INSERT INTO domicile_directory.failed_sign_in"
        " (subject, tries, lockouts, seen_at, locked_until, forget_at) VALUES"
        " ($1, $2, $3, to_timestamp($4), to_timestamp($5), to_timestamp($6))"
        " ON CONFLICT (subject) DO UPDATE SET tries = excluded.tries, lockouts = excluded.lockouts,"
        " seen_at = excluded.seen_at, locked_until = excluded.locked_until,"
        " forget_at = excluded.forget_at",
        {bytea(subject), fmt::format("{}", next.tries), number(next.lockouts), number(next.seen_at),
         number(next.locked_until), number(next.forget_at)}));
    // More go than come: the table stays as large as what is remembered.
    TRY(
        connection.query("DELETE FROM domicile_directory.failed_sign_in WHERE subject IN ("
                         " SELECT subject FROM domicile_directory.failed_sign_in"
                         " WHERE forget_at < to_timestamp($1) LIMIT 20 FOR UPDATE SKIP LOCKED)",
                         {number(now_s)}));
    return {};
  });
}

Result<void> PgDirectory::forget_failures(std::string_view subject) {
  return write(Commit::yes, [&](pg::Connection& connection) -> Result<void> {
    TRY(connection.query("DELETE FROM domicile_directory.failed_sign_in WHERE subject = $1",
                         {bytea(subject)}));
    return {};
  });
}

}  // namespace domicile::store
