// Follows the files of a server's log in a folder: across rotation, truncation and restarts, each
// record once, in bounded memory. Files are read in order of their last change. A record that is cut
// off at the end of a file waits for its rest; one longer than kServerRecordBytesMax is passed over
// and counted.
//
// What is wrong with the files is told, for it may be somebody's doing: the file that was being
// written is gone or shorter, a session's numbers of lines do not follow each other.
//
// One thread at a time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "trail/server_line.h"

namespace domicile::trail {

struct FileMark {
  std::uint64_t inode = 0;
  std::uint64_t offset = 0;  // everything before it was read
  std::uint64_t head_bytes =
      0;  // of the file's beginning, whose hash is kept: the same file still?
  std::string head_sha256;
};

struct FolderPosition {
  std::map<std::string, FileMark> files;  // by name
  std::string current;                    // the file that was being written
};

// As text, one line a file; nullopt for anything else.
std::string to_text(const FolderPosition& position);
std::optional<FolderPosition> parse_position(std::string_view text);

struct FolderProblem {
  std::string what;  // "removed", "truncated", "gap", "too_long", "unreadable"
  std::string file;
  std::string detail;
};

class LogFolder {
 public:
  LogFolder(std::filesystem::path folder, FolderPosition position)
      : folder_(std::move(folder)), position_(std::move(position)) {}

  using Visit = std::function<void(const ServerRecord& record)>;
  // Up to about `most` records; how many there were. Code::unavailable: the folder cannot be read.
  Result<std::size_t> read(std::size_t most, const Visit& visit,
                           std::vector<FolderProblem>& problems);
  const FolderPosition& position() const { return position_; }
  // From the end: a folder that is seen for the first time and whose past is nobody's business.
  Result<void> skip_to_end();

 private:
  struct Listed;
  Result<std::vector<Listed>> list() const;
  void forget_missing(const std::vector<Listed>& files, std::vector<FolderProblem>& problems);
  Result<std::size_t> read_file(const Listed& file, std::size_t most, const Visit& visit,
                                std::vector<FolderProblem>& problems);
  void note_line(const ServerRecord& record, const std::string& file,
                 std::vector<FolderProblem>& problems);

  std::filesystem::path folder_;
  FolderPosition position_;
  std::map<std::string, std::uint64_t> lines_;  // session -> its last line; bounded
};

}  // namespace domicile::trail
