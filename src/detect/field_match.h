// One line of a Sigma selection: a field, how it is compared (the modifiers), and the values.
//
//   status_code|startswith: quota_        any value of the list fits (with |all: every one)
//   unmapped.details.ticket: null         there is no such field
//
// Texts are compared without regard to the case of ASCII letters unless |cased is there, and `*`
// and `?` are wildcards. Modifiers: contains, startswith, endswith, all, cased, re (RE2; with i, m,
// s), cidr, exists, gt, gte, lt, lte. A modifier that is not among these is refused: a rule that is
// understood in part would watch something else than its author meant.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "detect/event_document.h"
#include "detect/yaml_tree.h"

namespace domicile::detect {

class FieldMatch {
 public:
  // `key` as in the file; an empty field name makes a keyword test. Errors name the line.
  static Result<FieldMatch> parse(std::string_view key, const YamlNode& value);
  FieldMatch(FieldMatch&&) noexcept;
  FieldMatch& operator=(FieldMatch&&) noexcept;
  ~FieldMatch();

  const std::string& field() const { return field_; }
  const std::string& source() const { return source_; }  // as it stood in the file
  bool matches(std::span<const FieldValue> values) const;
  // What the field must be equal to, where the test is that simple; empty otherwise.
  std::vector<std::string> exact_texts() const;

  struct Matcher;

 private:
  FieldMatch();
  std::string field_;
  std::string source_;
  bool all_ = false;
  std::vector<std::unique_ptr<const Matcher>> matchers_;
};

}  // namespace domicile::detect
