// The folder that a dump is written into. While it is being written it holds the file `unfinished`,
// locked by the writer; manifest.json comes last, and makes it a dump. What an interrupted run left
// behind is known by that file without its lock, and the next run begins anew in its place; a run
// that fails takes everything away again. Never touched: a folder that holds a dump, or anything else.
// Internal to dump.h.
#pragma once

#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "crypto/sha256.h"

namespace domicile::store {

class DumpFolder {
 public:
  // Code::invalid for a folder in use, Code::conflict while another run writes into it.
  static Result<DumpFolder> create(const std::filesystem::path& path);
  DumpFolder(DumpFolder&&) = default;
  ~DumpFolder();

  bool took_over() const { return took_over_; }  // an unfinished dump was here
  std::filesystem::path path() const { return path_; }
  Result<void> write(const std::string& name, std::string_view text);
  // On disk, whole: the folder stays from here on.
  Result<void> finish(std::string_view manifest);

 private:
  struct Unlock {
    void operator()(FILE* file) const { fclose(file); }
  };
  DumpFolder(std::filesystem::path path, bool made) : path_(std::move(path)), made_(made) {}
  void clear() const;
  std::filesystem::path path_;
  bool made_ = false;  // by us: it goes again when the run fails
  bool took_over_ = false;
  std::unique_ptr<FILE, Unlock> lock_;
};

// A file of rows, hashed as it is written; on disk when close() has said so.
class RowFile {
 public:
  static Result<RowFile> create(const std::filesystem::path& path);
  bool write(std::string_view row);  // false: there is no use in going on, close() says why
  Result<std::string> close();       // the SHA-256, in hex

 private:
  struct Close {
    void operator()(FILE* file) const { fclose(file); }
  };
  RowFile(std::filesystem::path path, FILE* file);
  std::filesystem::path path_;
  std::unique_ptr<FILE, Close> file_;
  std::unique_ptr<crypto::Sha256> hash_;
  int failed_ = 0;  // errno
};

}  // namespace domicile::store
