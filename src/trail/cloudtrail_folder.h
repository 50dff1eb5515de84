// A folder of CloudTrail's log files (an export of the bucket, with its subfolders): each file once,
// .json.gz or .json. What was read stands in a state file, a line each with its hash: a file that is
// there again with another content, under a name that was read, was changed by somebody.
//
// Big files stream through; memory is one record. A bomb ends at kCloudFileBytesMax. One thread at a
// time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"

namespace domicile::trail {

constexpr std::uint64_t kCloudFileBytesMax = 1u << 30;  // unpacked

struct CloudFile {
  std::string path;  // relative to the folder
  std::uint64_t size = 0;
  std::int64_t changed_ns = 0;
  std::string sha256;
};

struct CloudFileIndex {
  std::map<std::string, CloudFile> read;  // by path
};
std::string to_line(const CloudFile& file);
// A last line that a crash cut off is left out; anything else that is no line is Code::invalid.
Result<CloudFileIndex> parse_cloud_index(std::string_view text);

class CloudtrailFolder {
 public:
  CloudtrailFolder(std::filesystem::path folder, CloudFileIndex index)
      : folder_(std::move(folder)), index_(std::move(index)) {}

  // Files that were not read yet, or changed since, by name; at most `most`.
  Result<std::vector<CloudFile>> waiting(std::size_t most) const;
  const CloudFile* find(const std::string& path) const {  // null: it was not read yet
    const auto at = index_.read.find(path);
    return at == index_.read.end() ? nullptr : &at->second;
  }

  // Each record's text; the file with its hash. Code::invalid: no CloudTrail file (what it held before
  // that place was visited).
  Result<CloudFile> read(const CloudFile& file,
                         const std::function<void(std::string_view)>& visit) const;
  void done(const CloudFile& file) { index_.read[file.path] = file; }

 private:
  std::filesystem::path folder_;
  CloudFileIndex index_;
};

}  // namespace domicile::trail
