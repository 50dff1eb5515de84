// Reads one [[route]] table of the route file. Internal to route_policy_parse.cpp, and the only
// header here that names toml++.
#pragma once

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "policy/route_pattern.h"
#include "policy/route_policy.h"

// Declared, not included: toml++ is heavy.
namespace toml {
inline namespace v3 {
class node;
class table;
}  // namespace v3
}  // namespace toml

namespace domicile::policy {

inline constexpr std::size_t kMaxFindings = 50;

// Everything that is wrong with a file, each with its line.
class Findings {
 public:
  explicit Findings(std::string_view file) : file_(file) {}
  void add(std::uint32_t line, std::string_view message) {
    if (++count_ <= kMaxFindings)
      text_ += fmt::format("{}{}:{}: {}", text_.empty() ? "" : "\n", file_, line, message);
  }
  bool none() const { return count_ == 0; }
  std::unexpected<Error> error() const {
    return fail(Code::invalid, count_ <= kMaxFindings ? text_
                                                      : fmt::format("{}\n... and {} more", text_,
                                                                    count_ - kMaxFindings));
  }

 private:
  std::string_view file_;
  std::string text_;
  std::size_t count_ = 0;
};

std::uint32_t line_of(const toml::node& node);
void refuse_unknown_keys(const toml::table& table, std::initializer_list<std::string_view> known,
                         std::string_view where, Findings& findings);
// The string at `key`; empty and silent when absent.
std::string text_at(const toml::table& table, std::string_view key, Findings& findings);
bool is_label(std::string_view text);
std::optional<AuditStrictness> parse_audit(const toml::table& table, Findings& findings);

struct Defaults {
  AuditStrictness audit = AuditStrictness::strict;
  std::string upstream = "app";
};

class RouteReader {
 public:
  RouteReader(const toml::table& table, const Defaults& defaults, Findings& findings);
  void read();  // what is wrong goes to findings
  RouteRule& rule() { return rule_; }
  Pattern& pattern() { return pattern_; }

 private:
  void add(std::string_view key, std::string_view message);  // at the key's line, or the route's
  std::string required(std::string_view key, std::string_view what);
  void read_methods();
  void read_path();
  void read_organization();
  void read_path_place(std::string_view name);
  void read_header_place(std::string_view name);
  void read_needs();
  void read_activity();

  const toml::table& table_;
  Findings& findings_;
  RouteRule rule_;
  Pattern pattern_;
};

}  // namespace domicile::policy
