#include "trail/cloudtrail_folder.h"

#include <algorithm>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/encoding.h"
#include "crypto/sha256.h"
#include "trail/position_line.h"
#include "trail/record_splitter.h"

namespace domicile::trail {
namespace {

constexpr std::size_t kChunkBytes = 64u << 10;
constexpr std::size_t kFilesMax = 4'000'000;

class Inflater {
 public:
  Inflater() { ready_ = ::inflateInit2(&stream_, 16 + MAX_WBITS) == Z_OK; }
  ~Inflater() {
    if (ready_) ::inflateEnd(&stream_);
  }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  Result<void> feed(std::string_view packed,
                    const std::function<Result<void>(std::string_view)>& out) {
    if (!ready_) return fail(Code::internal, "zlib does not start");
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
    stream_.avail_in = static_cast<uInt>(packed.size());
    while (stream_.avail_in > 0) {
      if (ended_) {  // gzip files may be several members one after the other
        if (::inflateReset(&stream_) != Z_OK) return fail(Code::internal, "zlib does not go on");
        ended_ = false;
      }
      std::string plain(kChunkBytes, '\0');
      stream_.next_out = reinterpret_cast<Bytef*>(plain.data());
      stream_.avail_out = static_cast<uInt>(plain.size());
      const int result = ::inflate(&stream_, Z_NO_FLUSH);
      if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR) {
        return fail(Code::invalid, "not a gzip file, or damaged", "not_cloudtrail");
      }
      ended_ = result == Z_STREAM_END;
      plain.resize(plain.size() - stream_.avail_out);
      if (!plain.empty()) TRY(out(plain));
    }
    return {};
  }
  bool whole() const { return ended_; }

 private:
  z_stream stream_{};
  bool ready_ = false;
  bool ended_ = false;
};

bool wanted(const std::filesystem::path& path) {
  const std::string name = path.filename().string();
  // Digest files lie beside, and say nothing of acts.
  return (name.ends_with(".json.gz") || name.ends_with(".json")) && !name.contains('\n') &&
         !path.string().contains("CloudTrail-Digest");
}

}  // namespace

std::string to_line(const CloudFile& file) {
  return fmt::format("{} {} {} {}\n", file.sha256, file.size, file.changed_ns, file.path);
}

Result<CloudFileIndex> parse_cloud_index(std::string_view text) {
  CloudFileIndex index;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const auto end = text.find('\n');
    if (end == text.npos) return index;
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end + 1);
    CloudFile file;
    const auto blank = line.find(' ');
    if (blank == 64 && from_hex(line.substr(0, 64)) && index.read.size() < kFilesMax) {
      file.sha256 = line.substr(0, 64);
      line.remove_prefix(65);
      const auto size = take_number(line), changed = take_number(line);
      if (size && changed && !line.empty()) {
        file.size = *size;
        file.changed_ns = static_cast<std::int64_t>(*changed);
        file.path = line;
        index.read[file.path] = std::move(file);
        continue;
      }
    }
    return fail(Code::invalid, fmt::format("line {} is not one of a read file", number));
  }
  return index;
}

Result<std::vector<CloudFile>> CloudtrailFolder::waiting(std::size_t most) const {
  std::vector<CloudFile> out;
  std::error_code error;
  using Walk = std::filesystem::recursive_directory_iterator;
  for (Walk at(folder_, error), end; !error && at != end; at.increment(error)) {
    struct stat info{};
    if (!wanted(at->path()) || ::lstat(at->path().c_str(), &info) != 0 || !S_ISREG(info.st_mode)) {
      continue;
    }
    CloudFile file{.path = at->path().lexically_relative(folder_).string(),
                   .size = static_cast<std::uint64_t>(info.st_size),
                   .changed_ns = info.st_mtim.tv_sec * 1'000'000'000 + info.st_mtim.tv_nsec,
                   .sha256 = {}};
    const auto known = index_.read.find(file.path);
    if (known != index_.read.end() && known->second.size == file.size &&
        known->second.changed_ns == file.changed_ns) {
      continue;
    }
    out.push_back(std::move(file));
  }
  if (error) {
    return fail(Code::unavailable,
                fmt::format("{}: {}; the node must be able to read the folder of "
                            "CloudTrail's files",
                            folder_.string(), error.message()));
  }
  std::ranges::sort(out, {}, &CloudFile::path);
  if (out.size() > most) out.resize(most);
  return out;
}

Result<CloudFile> CloudtrailFolder::read(const CloudFile& file,
                                         const std::function<void(std::string_view)>& visit) const {
  const int fd = ::open((folder_ / file.path).c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return fail(Code::unavailable, fmt::format("{} cannot be opened", file.path));
  const std::unique_ptr<const int, void (*)(const int*)> closer(
      &fd, [](const int* of) { ::close(*of); });
  const bool packed = file.path.ends_with(".gz");
  crypto::Sha256 hash;
  Inflater inflater;
  RecordSplitter splitter;
  std::uint64_t plain_bytes = 0;
  const auto plain = [&](std::string_view bytes) -> Result<void> {
    plain_bytes += bytes.size();
    if (plain_bytes > kCloudFileBytesMax) {
      return fail(Code::invalid, "unpacks to more than 1 GiB", "not_cloudtrail");
    }
    return splitter.feed(bytes, visit);
  };
  Result<void> parsed;
  std::string chunk(kChunkBytes, '\0');
  for (;;) {
    const auto got = ::read(fd, chunk.data(), chunk.size());
    if (got < 0) return fail(Code::unavailable, fmt::format("{} cannot be read", file.path));
    if (got == 0) break;
    const std::string_view bytes(chunk.data(), static_cast<std::size_t>(got));
    hash.update(bytes);
    if (parsed) parsed = packed ? inflater.feed(bytes, plain) : plain(bytes);
  }
  if (parsed && packed && !inflater.whole()) {
    parsed = fail(Code::invalid, "the gzip file ends in the middle", "not_cloudtrail");
  }
  if (parsed) parsed = splitter.finish();
  if (!parsed) return std::unexpected(std::move(parsed).error().within(file.path));
  CloudFile done = file;
  const auto digest = hash.finish();
  done.sha256 = to_hex(crypto::view(digest));
  return done;
}

}  // namespace domicile::trail
