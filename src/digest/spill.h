// The hashes of a table's rows in a file, in the order of the scan, so that whatever is asked about them
// later (further symbols, where the row of a hash lies) reads the file and never the table again. 24 bytes
// a row, sequential both ways; the file has no name, so it is gone when the process is, however it ends.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "base/result.h"
#include "digest/hash128.h"

namespace domicile::digest {

// Where a row version lies: the table's part (0 unless it is partitioned), and its ctid.
struct Locator {
  std::uint16_t part = 0;
  std::uint16_t offset = 0;
  std::uint32_t block = 0;
  friend bool operator==(const Locator&, const Locator&) = default;
};

struct SpilledRow {
  Hash128 hash;
  Locator where;
};
static_assert(sizeof(SpilledRow) == 24);

// One thread at a time. Errors: Code::unavailable with the folder and what the system said.
class Spill {
 public:
  static Result<Spill> create(const std::filesystem::path& folder);
  Spill(Spill&& other) noexcept;
  Spill& operator=(Spill&& other) noexcept;
  ~Spill();

  Result<void> add(const SpilledRow& row);
  Result<void> each(const std::function<void(const SpilledRow&)>& row);
  std::uint64_t rows() const { return rows_; }

 private:
  Spill(int fd, std::string folder);
  Result<void> flush();

  int fd_ = -1;
  std::string folder_;
  std::string buffer_;
  std::uint64_t rows_ = 0;
};

}  // namespace domicile::digest
