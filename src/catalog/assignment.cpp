#include "catalog/assignment.h"

#include <algorithm>

#include <fmt/format.h>

namespace domicile::catalog {
namespace {

constexpr std::size_t kProblemsShown = 20;

std::string_view trim(std::string_view text) {
  const auto blank = [](char c) { return c == ' ' || c == '\t' || c == '\r'; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  if (text.size() >= 2 && text.front() == '"' && text.back() == '"')
    text = text.substr(1, text.size() - 2);
  return text;
}

}  // namespace

Result<Assignment> parse_assignment(std::string_view text, domain::KeyType key_type,
                                    std::string_view filename) {
  Assignment out;
  std::string problems;
  std::size_t count = 0;
  const auto problem = [&](std::size_t line, const std::string& what) {
    if (++count <= kProblemsShown) problems += fmt::format("{}:{}: {}\n", filename, line, what);
  };
  std::size_t number = 0;
  bool first = true;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    const std::string_view line = trim(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    ++number;
    if (line.empty() || line.front() == '#') continue;
    const std::size_t between = line.find_first_of(",;\t");
    if (between == std::string_view::npos) {
      problem(number, "an organization and a region are needed, with a comma between them");
      continue;
    }
    const auto key = domain::parse_org_key(trim(line.substr(0, between)), key_type);
    const auto region = domain::parse_region_id(trim(line.substr(between + 1)));
    const bool heading = std::exchange(first, false) &&
                         (!key || trim(line.substr(0, between)) == "organization") &&
                         trim(line.substr(between + 1)) == "region";
    if (heading) continue;
    if (!key) {
      problem(number, key.error().message);
    } else if (!region) {
      problem(number, region.error().message);
    } else if (!out.emplace(key->text(), region->text()).second) {
      problem(number, fmt::format("organization {} stands there twice", key->text()));
    }
  }
  if (count == 0) return out;
  if (count > kProblemsShown) problems += fmt::format("... and {} more\n", count - kProblemsShown);
  problems.pop_back();
  return fail(Code::invalid, problems, "assignment_invalid");
}

}  // namespace domicile::catalog
