// What the ledger needs of a disk, small enough that a test can be the disk: it fails any call,
// runs full, and loses what was not flushed. Names are paths inside one folder ("tile/0/000.p/7");
// what is appended to lies in the folder itself.
//
// Thread-safe as long as each file has one thread. Errors: Code::unavailable for a full disk, else
// what the system said.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace domicile::audit {

class AppendFile {
 public:
  virtual ~AppendFile() = default;
  // At the end. After an error any part of `bytes` may have been written.
  virtual Result<void> append(std::string_view bytes) = 0;
  // What was appended is durable. After an error the content past the last successful flush is
  // unknown, and a later success proves nothing about it (the system may have dropped the pages).
  virtual Result<void> flush() = 0;
  // Cuts to `bytes` and makes the cut durable.
  virtual Result<void> truncate(std::uint64_t bytes) = 0;
};

struct NamedBytes {
  std::string name;
  std::string bytes;
};

class Folder {
 public:
  virtual ~Folder() = default;
  virtual Result<std::vector<std::string>> list() = 0;  // of the folder itself; sorted
  virtual Result<std::string> read(const std::string& name) = 0;
  // From `offset` on, at most `bytes_max`; fewer only at the file's end.
  virtual Result<std::string> read_part(const std::string& name, std::uint64_t offset,
                                        std::size_t bytes_max) = 0;
  virtual Result<std::unique_ptr<AppendFile>> open(const std::string& name) = 0;
  // A new, empty file; its name is durable on return. Refuses an existing name (Code::conflict).
  virtual Result<std::unique_ptr<AppendFile>> create(const std::string& name) = 0;
  virtual Result<void> remove(const std::string& name) = 0;
  // Writes whole files, replacing what has their names; folders in the names are made. On return
  // all are durable. After an error or a crash each is as it was or as it was to be.
  virtual Result<void> put(std::span<const NamedBytes> files) = 0;
  // Removes a folder inside the folder with everything in it, durable some time later; none is as
  // good.
  virtual Result<void> remove_folder(const std::string& name) = 0;
};

// Makes the folder (mode 0700) where absent, and locks it until destruction: a second writer, in
// this process or another, gets Code::conflict.
Result<std::unique_ptr<Folder>> open_disk_folder(const std::filesystem::path& path);
// For readers: no lock, and `create`, `open`, `remove` are refused.
Result<std::unique_ptr<Folder>> open_disk_folder_read_only(const std::filesystem::path& path);

}  // namespace domicile::audit
