// Tells that something in a folder was made, named or written, so that whoever waits for another
// process's file need not look again and again. Make it before the first look, so that nothing is
// missed in between. One thread at a time.
#pragma once

#include <chrono>
#include <filesystem>

namespace domicile {

class FolderWatch {
 public:
  explicit FolderWatch(const std::filesystem::path& folder);
  FolderWatch(const FolderWatch&) = delete;
  FolderWatch& operator=(const FolderWatch&) = delete;
  ~FolderWatch();

  // False: nothing happened before `end`, or the folder cannot be watched.
  bool changed_before(std::chrono::steady_clock::time_point end) const;

 private:
  const int fd_;
};

}  // namespace domicile
