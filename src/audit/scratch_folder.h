// A folder for one test, gone afterwards.
#pragma once

#include <cstdlib>
#include <filesystem>

namespace domicile::audit {

class ScratchFolder {
 public:
  ScratchFolder() {
    char name[] = "/tmp/domicile-audit-XXXXXX";
    path_ = ::mkdtemp(name);
  }
  ~ScratchFolder() { std::filesystem::remove_all(path_); }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace domicile::audit
