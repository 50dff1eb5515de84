// One event of the log as rules see it: fields by their dotted OCSF path. A path goes through
// lists: `resources.name` is the name of every resource. A rule set numbers its paths once
// (FieldIndex), so that an event is asked for each path at most once however many rules name it.
//
// load() parses into memory that the next load() uses again; values point into it. One thread.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"

namespace domicile::detect {

struct FieldValue {
  enum class Kind { text, number, boolean, null, object };
  Kind kind = Kind::null;
  std::string_view text;  // of a text
  double number = 0;      // of a number; 1 or 0 of a boolean
  std::string as_text() const;
};

class FieldIndex {
 public:
  std::size_t add(const std::string& path);
  const std::vector<std::string>& paths() const { return paths_; }

 private:
  std::unordered_map<std::string, std::size_t> known_;
  std::vector<std::string> paths_;
};

class EventDocument {
 public:
  explicit EventDocument(const FieldIndex& index);  // must outlive the document
  ~EventDocument();
  EventDocument(EventDocument&&) noexcept;
  EventDocument& operator=(EventDocument&&) noexcept;

  Result<void> load(std::string_view json);
  std::span<const FieldValue> values(std::size_t field);
  std::span<const FieldValue> everything();  // every value anywhere, for keywords
  // The first text or number at any path; empty where there is none.
  std::string first(std::string_view path) const;
  std::int64_t time_ms() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace domicile::detect
