// The files of a migration tool, brought into the order in which it runs them, reduced to the SQL
// that runs on the way up. Pure: reads no file, runs nothing; docs/migrations.md says what is known.
//
// What goes down again (down sections, undo files) is blanked, not cut, so that lines keep their
// numbers. Files that hold no SQL (Python, Ruby, XML...) come back as `unread`, with the command
// that prints their SQL.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/result.h"

namespace domicile::catalog {

struct SourceFile {
  std::string path;  // as the report names it
  std::string text;
};

enum class MigrationTool { plain, flyway, prisma, dbmate, goose, up_down, structure };
std::string_view to_string(MigrationTool tool);

struct Migration {
  std::string path;
  std::string text;  // to be run, top to bottom
  MigrationTool tool = MigrationTool::plain;
  bool transaction = true;  // the tool runs it in one transaction
};

struct UnreadFile {
  std::string path;
  std::string what;    // "a Django migration"
  std::string remedy;  // how to get its SQL
};

struct MigrationSet {
  std::vector<Migration> migrations;  // in the order they run
  std::vector<UnreadFile> unread;
};

struct MigrationFileOptions {
  std::map<std::string, std::string> placeholders;  // Flyway's ${name}
  bool no_transactions = false;  // plain files are run statement by statement (psql -f)
};

// Code::invalid when two files have the same version, or a version cannot be read.
Result<MigrationSet> arrange_migrations(std::vector<SourceFile> files,
                                        const MigrationFileOptions& options = {});

}  // namespace domicile::catalog
