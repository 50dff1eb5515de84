// Takes {"Records":[{...},{...}]} apart while it streams by: each element of the array whole, nothing
// else kept. Memory is one record, whatever the file's size; a file of another form, or a record
// longer than kCloudRecordBytesMax, is an error. Whether an element is JSON its reader says.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace domicile::trail {

constexpr std::size_t kCloudRecordBytesMax = 1u << 20;  // CloudTrail's own limit is 256 KiB

class RecordSplitter {
 public:
  using Visit = std::function<void(std::string_view record)>;
  Result<void> feed(std::string_view bytes, const Visit& visit);
  // Success when the file ended where its object ends.
  Result<void> finish() const;

 private:
  enum class State { begin, member, colon, value, records, after_value, end };
  Result<void> structural(char c, const Visit& visit);
  Result<void> wrong(std::string_view what) const;

  State state_ = State::begin;
  bool in_text_ = false;
  bool escaped_ = false;
  unsigned depth_ = 0;    // within the record, or within another member's value
  std::string name_;      // of the member at hand
  std::string record_;    // so far
  std::uint64_t at_ = 0;  // bytes seen
};

}  // namespace domicile::trail
