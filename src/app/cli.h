// What every CLI verb shares. A verb is one file, cmd_<noun>.cpp, with one function declared here
// that adds the noun and its verbs to the program. Results go to standard output (text, or JSON
// with
// --output json), progress and errors to standard error.
//
// Exit codes: 0 done; 1 the answer is no (a check failed, a request was refused); 2 bad input or
// usage; 3 something needed is unavailable (database, registry, disk); 4 our own fault.
#pragma once

#include <functional>
#include <string>

#include <CLI/CLI.hpp>

#include "base/result.h"

namespace domicile::app {

struct Cli {
  bool json = false;   // --output json
  bool quiet = false;  // no progress
  int exit_code = 0;   // set by the verb that ran

  // Wraps a verb's body for CLI11: prints the error, sets the exit code. The body returns the exit
  // code.
  std::function<void()> run(std::function<Result<int>()> body);
};

int exit_code_of(Code code);
void print(const std::string& text);  // to standard output, with a newline

void add_verbs(CLI::App& root, Cli& cli);  // all of the following
void add_catalog(CLI::App& root, Cli& cli);
void add_region(CLI::App& root, Cli& cli);
void add_org(CLI::App& root, Cli& cli);
void add_registry(CLI::App& root, Cli& cli);
void add_user(CLI::App& root, Cli& cli);
void add_client(CLI::App& root, Cli& cli);
void add_grant(CLI::App& root, Cli& cli);
void add_reference(CLI::App& root, Cli& cli);
void add_key(CLI::App& root, Cli& cli);
void add_token(CLI::App& root, Cli& cli);
void add_check(CLI::App& root, Cli& cli);
void add_audit(CLI::App& root, Cli& cli);
void add_rule(CLI::App& root, Cli& cli);
void add_explain(CLI::App& root, Cli& cli);
void add_doctor(CLI::App& root, Cli& cli);
void add_dump(CLI::App& root, Cli& cli);  // dump and restore
void add_serve(CLI::App& root, Cli& cli);
void add_up(CLI::App& root, Cli& cli);

}  // namespace domicile::app
