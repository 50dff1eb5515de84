// A Sigma text with wildcards: `*` any run of characters, `?` one byte, a backslash before either
// (or before a backslash) takes its meaning away. Matching is linear in the text for each star.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace domicile::detect {

class Glob {
 public:
  enum class Case { ignored, counts };  // of ASCII letters
  static Glob parse(std::string_view pattern, Case letters);
  void open_front();  // as if it began with *
  void open_back();   // as if it ended with *
  bool matches(std::string_view text) const;
  std::optional<std::string> exact() const;  // the one text that fits (folded); none: wildcards

 private:
  static constexpr int kAny = -1, kOne = -2;
  std::vector<int> tokens_;  // a byte, or kAny, or kOne
  bool fold_ = true;
  bool wild_ = false;
};

}  // namespace domicile::detect
