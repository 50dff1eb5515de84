// What a person sees while regions start: one line a step on standard error and in the log file.
// `domicile up --detach` hands the same lines from the background process to the terminal.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "base/result.h"

namespace domicile::app {

class Progress {
 public:
  explicit Progress(bool quiet) : quiet_(quiet) {}
  // Also append every line, with the time, to this file.
  Result<void> log_to(const std::filesystem::path& file);
  // From now on nothing goes to the terminal.
  void leave_terminal() { quiet_ = true; }

  void step(std::string_view region,
            std::string_view what);  // "ca-central-1  creating the cluster"
  void note(std::string_view what);

  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

 private:
  void line(const std::string& text);
  bool quiet_;
  int log_ = -1;
};

}  // namespace domicile::app
