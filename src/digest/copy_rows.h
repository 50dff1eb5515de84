// What COPY ... (FORMAT binary) sends, row by row. A row's bytes are its canonical form as they come:
// every field stands behind its length, NULL is the length -1, so no value can pose as another one,
// as NULL, or as two.
//
// The values themselves are canonical because of what is selected (reference/compare_columns.h): binary
// for types whose binary form is one-to-one with their text, text for all others.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace domicile::digest {

class CopyRow {
 public:
  std::size_t size() const { return starts_.size() - 1; }
  bool null(std::size_t field) const;
  std::string_view value(std::size_t field) const;  // "" for NULL
  // The fields first..last-1 with their lengths, as they were sent.
  std::string_view bytes(std::size_t first, std::size_t last) const;

 private:
  friend class CopyRows;
  std::string_view message_;
  std::vector<std::uint32_t> starts_;  // of each field's length; the last is the end
};

class CopyRows {
 public:
  // One message of the server: a row, or none (header or trailer alone). The row holds until the next
  // call, while `message` does. Code::invalid for anything that is no such message.
  Result<const CopyRow*> next(std::string_view message);
  // For rows that come without the header.
  static CopyRows after_header() {
    CopyRows out;
    out.begun_ = true;
    return out;
  }
  bool ended() const { return ended_; }  // the trailer was seen

 private:
  bool begun_ = false;
  bool ended_ = false;
  CopyRow row_;
};

}  // namespace domicile::digest
