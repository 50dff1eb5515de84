#include "store/dump_schema.h"

#include <algorithm>
#include <cstring>
#include <set>

#include <fcntl.h>
#include <fmt/format.h>
#include <libpq-fe.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sqltext/large_stack.h"
#include "sqltext/parse.h"
#include "sqltext/statements.h"

extern char** environ;

namespace domicile::store {
namespace {

using sqltext::Node;

// The connection as libpq's environment variables, over our own environment.
Result<std::vector<std::string>> environment_of(const std::string& dsn) {
  char* error = nullptr;
  PQconninfoOption* options = PQconninfoParse(dsn.c_str(), &error);
  if (options == nullptr) {
    PQfreemem(error);
    return fail(Code::invalid, "the database address is not a connection string");
  }
  std::vector<std::string> out;
  std::set<std::string> ours;
  for (const auto* option = options; option->keyword != nullptr; ++option) {
    if (option->val == nullptr || option->envvar == nullptr) continue;
    ours.insert(option->envvar);
    out.push_back(fmt::format("{}={}", option->envvar, option->val));
  }
  PQconninfoFree(options);
  for (char** at = environ; *at != nullptr; ++at) {
    const std::string_view entry = *at;
    if (!ours.contains(std::string(entry.substr(0, entry.find('='))))) out.emplace_back(entry);
  }
  return out;
}

struct Finished {
  std::string out;
  std::string err;
  int status = 0;
};

// Both pipes are read to their ends; error output is small, so it is read after.
Result<Finished> run(const std::vector<std::string>& command,
                     const std::vector<std::string>& environment) {
  int out[2];
  int err[2];
  if (pipe2(out, O_CLOEXEC) != 0) return fail(Code::unavailable, "no pipe");
  if (pipe2(err, O_CLOEXEC) != 0) {
    close(out[0]);
    close(out[1]);
    return fail(Code::unavailable, "no pipe");
  }
  const auto pointers = [](const std::vector<std::string>& texts) {
    std::vector<char*> list;
    for (const auto& text : texts) list.push_back(const_cast<char*>(text.c_str()));
    list.push_back(nullptr);
    return list;
  };
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, err[1], STDERR_FILENO);
  pid_t child = 0;
  auto argv = pointers(command);
  auto envp = pointers(environment);
  const int failed = posix_spawnp(&child, argv[0], &actions, nullptr, argv.data(), envp.data());
  posix_spawn_file_actions_destroy(&actions);
  close(out[1]);
  close(err[1]);
  const auto drain = [](int from) {
    std::string text;
    char buffer[1 << 16];
    for (ssize_t n = 0; (n = read(from, buffer, sizeof buffer)) > 0 || (n < 0 && errno == EINTR);)
      if (n > 0) text.append(buffer, static_cast<std::size_t>(n));
    close(from);
    return text;
  };
  Finished finished;
  finished.out = drain(out[0]);
  finished.err = drain(err[0]);
  if (failed != 0) {
    return fail(Code::unavailable,
                fmt::format("cannot run {}: {}; install PostgreSQL's client programs or name it "
                            "with --pg-dump",
                            command[0], std::strerror(failed)),
                "no_pg_dump");
  }
  while (waitpid(child, &finished.status, 0) < 0 && errno == EINTR) {
  }
  return finished;
}

// Without the statement, which is long, and in one line.
std::string first_words(std::string_view error) {
  std::string out;
  for (const char c : error.substr(0, error.find("pg_dump: detail: Query was"))) {
    const bool space = c == '\n' || c == '\t' || c == ' ';
    if (!space || (!out.empty() && out.back() != ' ')) out += space ? ' ' : c;
  }
  while (out.ends_with(' ')) out.pop_back();
  return out;
}

bool guard_role(std::string_view role) {
  return role.starts_with("domicile_") || role.starts_with("org_");
}

class Bare {
 public:
  Bare(BareSchema& out, const FormerRowSecurity& former) : out_(out), former_(former) {}

  Result<void> add(std::string_view text) {
    const auto tree = sqltext::parse_statement(text);
    if (!tree) {
      return fail(Code::invalid,
                  fmt::format("pg_dump wrote a statement that cannot be read ({}): {:.60}",
                              tree.error().message, text));
    }
    const Node& node = tree->statement;
    if (of_guard(node)) {
      ++out_.left_out;
      return {};
    }
    note_roles(node);
    out_.sql += node.is("CreateStmt") ? without_checks(text) : std::string(text);
    out_.sql += ";\n\n";
    return {};
  }

  std::set<std::string> roles;

 private:
  static std::string table_of(const Node& range_var) {
    return std::string(range_var.str("schemaname")) + "." + std::string(range_var.str("relname"));
  }

  bool of_guard(const Node& node) const {
    if (node.is("CreatePolicyStmt")) return node.str("policy_name").starts_with("domicile_");
    if (node.is("CreateTrigStmt")) return node.str("trigname").starts_with("domicile_");
    // Event triggers belong to a superuser, and a restore may have none.
    if (node.is("CreateEventTrigStmt") || node.is("AlterEventTrigStmt") ||
        node.str("objectType") == "OBJECT_EVENT_TRIGGER" ||
        node.str("objtype") == "OBJECT_EVENT_TRIGGER")
      return true;
    if (node.is("GrantStmt")) {
      return std::ranges::all_of(node["grantees"].children,
                                 [](const Node& role) { return guard_role(role.str("rolename")); });
    }
    if (!node.is("AlterTableStmt")) return false;
    const auto former = former_.find(table_of(node["relation"]));
    const bool enabled = former == former_.end() || former->second.first;
    const bool forced = former == former_.end() || former->second.second;
    return std::ranges::all_of(node["cmds"].children, [&](const Node& command) {
      const auto type = command.str("subtype");
      const bool named = command.str("name").starts_with("domicile_") ||
                         command["def"].str("conname").starts_with("domicile_");
      return named || (!enabled && type == "AT_EnableRowSecurity") ||
             (!forced && type == "AT_ForceRowSecurity");
    });
  }

  void note_roles(const Node& node) {
    if (node.is("GrantStmt")) {
      for (const Node& role : node["grantees"].children) note(role.str("rolename"));
    } else if (node.is("AlterOwnerStmt")) {
      note(node["newowner"].str("rolename"));
    } else if (node.is("AlterTableStmt")) {
      for (const Node& command : node["cmds"].children) note(command["newowner"].str("rolename"));
    }
  }
  void note(std::string_view role) {
    if (!role.empty() && !guard_role(role)) roles.emplace(role);
  }

  // pg_dump writes one line per column and constraint.
  std::string without_checks(std::string_view text) {
    std::vector<std::string> lines;
    for (std::size_t at = 0; at <= text.size();) {
      auto end = text.find('\n', at);
      if (end == std::string_view::npos) end = text.size();
      const auto line = text.substr(at, end - at);
      at = end + 1;
      if (line.starts_with("    CONSTRAINT domicile_")) {
        ++out_.left_out;
        continue;
      }
      if (line.starts_with(")") && !lines.empty() && lines.back().ends_with(","))
        lines.back().pop_back();
      lines.emplace_back(line);
    }
    std::string out;
    for (const auto& line : lines) out += (out.empty() ? "" : "\n") + line;
    return out;
  }

  BareSchema& out_;
  const FormerRowSecurity& former_;
};

}  // namespace

Result<std::string> run_pg_dump(const PgDumpOptions& options, std::string_view section) {
  std::vector<std::string> command = {options.program,
                                      "--schema-only",
                                      fmt::format("--section={}", section),
                                      fmt::format("--snapshot={}", options.snapshot),
                                      "--exclude-schema=domicile*",
                                      "--no-publications",
                                      "--no-subscriptions",
                                      "--no-security-labels",
                                      "--lock-wait-timeout=60000"};
  for (const auto& schema : options.schemas) command.push_back("--schema=" + schema);
  for (const auto& table : options.tables) command.push_back("--table=" + table);
  auto done = TRY(run(command, TRY(environment_of(options.dsn))));
  if (done.status != 0) {
    const bool lost = done.err.contains("server closed the connection") ||
                      done.err.contains("terminating connection") ||
                      done.err.contains("connection to server");
    return fail(lost ? Code::unavailable : Code::invalid,
                "pg_dump failed: " + first_words(done.err), "pg_dump");
  }
  return std::move(done.out);
}

Result<BareSchema> without_guard(std::string_view sql, const FormerRowSecurity& former) {
  BareSchema out;
  Bare bare(out, former);
  Result<void> result;
  sqltext::on_large_stack([&] {
    const auto statements = sqltext::split_statements(sql);
    for (const auto& statement : statements) {
      if (statement.psql) continue;  // \restrict: for psql alone
      result = bare.add(statement.text);
      if (!result) return;
    }
  });
  TRY(std::move(result));
  out.roles.assign(bare.roles.begin(), bare.roles.end());
  return out;
}

}  // namespace domicile::store
