#include "catalog/migration_files.h"

#include <algorithm>
#include <cctype>
#include <optional>
#include <tuple>

#include <fmt/format.h>

namespace domicile::catalog {
namespace {

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

std::string_view base_name(std::string_view path) {
  const auto slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}
std::string_view folder_name(std::string_view path) {
  const auto slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string_view{} : path.substr(0, slash);
}

bool contains(std::string_view text, std::string_view what) {
  return text.find(what) != std::string_view::npos;
}

// A line that is a comment and, without its dashes, begins with `wanted`.
std::optional<std::string_view> directive(std::string_view line, std::string_view wanted) {
  const auto begin = line.find_first_not_of(" \t");
  if (begin == std::string_view::npos || !line.substr(begin).starts_with("--")) return {};
  line.remove_prefix(begin + 2);
  line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
  if (!lower(line).starts_with(lower(wanted))) return {};
  line.remove_prefix(wanted.size());
  while (!line.empty() && std::isspace(static_cast<unsigned char>(line.back())) != 0)
    line.remove_suffix(1);
  while (!line.empty() && std::isspace(static_cast<unsigned char>(line.front())) != 0)
    line.remove_prefix(1);
  return line;
}

template <typename Each>
void each_line(std::string_view text, Each each) {
  for (std::size_t at = 0; at < text.size();) {
    auto end = text.find('\n', at);
    if (end == std::string_view::npos) end = text.size();
    each(at, end);
    at = end + 1;
  }
}

bool has_directive(std::string_view text, std::string_view wanted) {
  bool found = false;
  each_line(text, [&](std::size_t at, std::size_t end) {
    found = found || directive(text.substr(at, end - at), wanted).has_value();
  });
  return found;
}

// Blanks what stands before the first `up` line and after each `down` line.
void keep_up(std::string& text, std::string_view up, std::string_view down, bool& transaction) {
  bool keeping = false;
  std::string out = text;
  each_line(text, [&](std::size_t at, std::size_t end) {
    const auto line = std::string_view(text).substr(at, end - at);
    if (const auto rest = directive(line, up)) {
      keeping = true;
      if (contains(*rest, "transaction:false")) transaction = false;
    } else if (directive(line, down)) {
      keeping = false;
    }
    if (!keeping)
      std::fill(out.begin() + static_cast<long>(at), out.begin() + static_cast<long>(end), ' ');
  });
  text = std::move(out);
}

Result<void> replace_placeholders(std::string& text,
                                  const std::map<std::string, std::string>& values,
                                  const std::string& path) {
  for (auto at = text.find("${"); at != std::string::npos; at = text.find("${", at)) {
    const auto end = text.find('}', at);
    if (end == std::string::npos) return {};
    const std::string name = text.substr(at + 2, end - at - 2);
    const auto value = values.find(name);
    if (value == values.end()) {
      return fail(Code::invalid, fmt::format("{}: no value for ${{{}}}; add --placeholder {}=VALUE",
                                             path, name, name));
    }
    text.replace(at, end + 1 - at, value->second);
    at += value->second.size();
  }
  return {};
}

// Numbers compare as numbers: 2 before 10, 1.2 before 1.10.
std::string sortable(std::string_view version) {
  std::string out;
  for (std::size_t i = 0; i < version.size();) {
    if (std::isdigit(static_cast<unsigned char>(version[i])) == 0) {
      out += version[i++];
      continue;
    }
    std::size_t end = i;
    while (end < version.size() && std::isdigit(static_cast<unsigned char>(version[end])) != 0)
      ++end;
    std::size_t begin = i;
    while (begin + 1 < end && version[begin] == '0') ++begin;
    out += fmt::format("{:0>24}", version.substr(begin, end - begin));
    i = end;
  }
  return out;
}

struct Placed {
  std::string order;
  std::string version;  // "" where the tool knows none
  Migration migration;
};

bool flyway_name(std::string_view name) {
  return name.size() > 3 &&
         (name[0] == 'V' || name[0] == 'R' || name[0] == 'U' || name[0] == 'B') &&
         contains(name, "__") &&
         (name[0] == 'R' ? name[1] == '_' : std::isdigit(static_cast<unsigned char>(name[1])) != 0);
}

std::optional<UnreadFile> unread(const SourceFile& file) {
  const std::string path = file.path;
  if (path.ends_with(".py") && contains(file.text, "alembic")) {
    return UnreadFile{path, "an Alembic revision",
                      "print its SQL: alembic upgrade BASE:head --sql > migrations.sql"};
  }
  if (path.ends_with(".py") && contains(file.text, "django.db")) {
    return UnreadFile{path, "a Django migration",
                      "print its SQL: python manage.py sqlmigrate APP NAME > NAME.sql"};
  }
  if (path.ends_with(".rb") && contains(file.text, "ActiveRecord")) {
    return UnreadFile{
        path, "a Rails migration",
        "set config.active_record.schema_format = :sql, run bin/rails db:migrate on an "
        "empty database and check db/structure.sql"};
  }
  if (path.ends_with(".xml") || path.ends_with(".yaml") || path.ends_with(".yml")) {
    if (contains(file.text, "databaseChangeLog"))
      return UnreadFile{path, "a Liquibase changelog",
                        "print its SQL: liquibase update-sql > changes.sql"};
  }
  if (path.ends_with(".java") && flyway_name(base_name(path))) {
    return UnreadFile{path, "a Flyway migration in Java",
                      "run it against a test region, then `domicile region violations`"};
  }
  if ((path.ends_with(".ts") || path.ends_with(".js")) &&
      (contains(file.text, "queryRunner") || contains(file.text, "queryInterface") ||
       contains(file.text, "knex"))) {
    return UnreadFile{path, "a migration in JavaScript",
                      "print its SQL with the tool (knex: --debug, TypeORM: schema:log), or run it "
                      "against a test region and `domicile region violations`"};
  }
  return {};
}

class Arranger {
 public:
  explicit Arranger(const MigrationFileOptions& options) : options_(options) {}

  Result<void> add(SourceFile file) {
    if (auto other = unread(file)) {
      set_.unread.push_back(*std::move(other));
      return {};
    }
    if (!file.path.ends_with(".sql")) return {};
    Placed placed;
    placed.migration = {.path = file.path, .text = std::move(file.text)};
    Migration& migration = placed.migration;
    const std::string name(base_name(file.path));
    placed.order = "1" + sortable(folder_name(file.path)) + "/" + sortable(name);
    if (name == "structure.sql") {
      migration.tool = MigrationTool::structure;
      migration.transaction = false;
    } else if (name == "migration.sql") {
      migration.tool = MigrationTool::prisma;
    } else if (flyway_name(name)) {
      if (name[0] == 'U') return {};
      migration.tool = MigrationTool::flyway;
      std::string version = name.substr(1, name.find("__") - 1);
      std::replace(version.begin(), version.end(), '_', '.');
      placed.version = name[0] == 'R' ? "" : version;
      placed.order = name[0] == 'R' ? "2" + name : "1" + sortable(version);
      TRY(replace_placeholders(migration.text, options_.placeholders, migration.path));
    } else if (name.ends_with(".down.sql")) {
      return {};
    } else if (name.ends_with(".up.sql")) {
      migration.tool = MigrationTool::up_down;
      migration.transaction = !has_directive(migration.text, "no-transaction");
    } else if (has_directive(migration.text, "migrate:up")) {
      migration.tool = MigrationTool::dbmate;
      keep_up(migration.text, "migrate:up", "migrate:down", migration.transaction);
    } else if (has_directive(migration.text, "+goose Up")) {
      migration.tool = MigrationTool::goose;
      migration.transaction = !has_directive(migration.text, "+goose NO TRANSACTION");
      keep_up(migration.text, "+goose Up", "+goose Down", migration.transaction);
    } else {
      migration.transaction =
          !options_.no_transactions && !has_directive(migration.text, "no-transaction");
    }
    placed_.push_back(std::move(placed));
    return {};
  }

  Result<MigrationSet> finish() {
    std::ranges::sort(placed_, {}, [](const Placed& placed) {
      return std::tie(placed.order, placed.migration.path);
    });
    for (std::size_t i = 0; i < placed_.size(); ++i) {
      if (i > 0 && !placed_[i].version.empty() &&
          sortable(placed_[i].version) == sortable(placed_[i - 1].version) &&
          placed_[i].migration.tool == placed_[i - 1].migration.tool) {
        return fail(Code::invalid, fmt::format("{} and {} have the same version {}; rename one",
                                               placed_[i - 1].migration.path,
                                               placed_[i].migration.path, placed_[i].version));
      }
      set_.migrations.push_back(std::move(placed_[i].migration));
    }
    return std::move(set_);
  }

 private:
  const MigrationFileOptions& options_;
  std::vector<Placed> placed_;
  MigrationSet set_;
};

}  // namespace

std::string_view to_string(MigrationTool tool) {
  switch (tool) {
    case MigrationTool::plain: return "plain SQL";
    case MigrationTool::flyway: return "Flyway";
    case MigrationTool::prisma: return "Prisma";
    case MigrationTool::dbmate: return "dbmate";
    case MigrationTool::goose: return "goose";
    case MigrationTool::up_down: return "up and down files";
    case MigrationTool::structure: return "a schema dump";
  }
  return "";
}

Result<MigrationSet> arrange_migrations(std::vector<SourceFile> files,
                                        const MigrationFileOptions& options) {
  Arranger arranger(options);
  for (SourceFile& file : files) TRY(arranger.add(std::move(file)));
  return arranger.finish();
}

}  // namespace domicile::catalog
