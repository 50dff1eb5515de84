#include "policy/route_pattern.h"

#include <algorithm>

#include <fmt/format.h>

namespace domicile::policy {
namespace {

using Kind = PatternSegment::Kind;

bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= 63 && text.front() >= 'a' && text.front() <= 'z' &&
         std::ranges::all_of(text, [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
         });
}

bool is_literal(std::string_view text) {
  constexpr std::string_view kMarks =
      "-._~!$&'()*+,;=:@";  // RFC 3986 pchar, without percent-encoding
  return !text.empty() && text != "." && text != ".." && std::ranges::all_of(text, [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           kMarks.find(c) != std::string_view::npos;
  });
}

Result<PatternSegment> parse_segment(std::string_view text) {
  if (!text.starts_with('{')) {
    if (!is_literal(text)) {
      return fail(Code::invalid, fmt::format("'{}' is no path segment; write the decoded text, "
                                             "letters, digits and -._~!$&'()*+,;=:@,"
                                             " or a {{parameter}}",
                                             text));
    }
    return PatternSegment{.kind = Kind::literal, .text = std::string(text)};
  }
  if (!text.ends_with('}'))
    return fail(Code::invalid, fmt::format("'{}' has no closing brace at its end", text));
  text = text.substr(1, text.size() - 2);
  const bool rest = text.ends_with("...");
  if (rest) text.remove_suffix(3);
  if (!is_name(text)) {
    return fail(Code::invalid,
                fmt::format("'{{{}}}' is no parameter; write {{name}} with a-z, 0-9 and _", text));
  }
  return PatternSegment{.kind = rest ? Kind::rest : Kind::parameter, .text = std::string(text)};
}

}  // namespace

Result<Pattern> parse_pattern(std::string_view text) {
  if (!text.starts_with('/')) return fail(Code::invalid, "a path starts with /");
  text.remove_prefix(1);
  Pattern pattern;
  while (!text.empty()) {
    const auto slash = text.find('/');
    pattern.push_back(TRY(parse_segment(text.substr(0, slash))));
    if (pattern.size() > kMaxSegments) {
      return fail(Code::invalid, fmt::format("a path has at most {} segments", kMaxSegments));
    }
    const PatternSegment& last = pattern.back();
    for (std::size_t i = 0; i + 1 < pattern.size(); ++i) {
      if (last.kind != Kind::literal && pattern[i].kind != Kind::literal &&
          pattern[i].text == last.text) {
        return fail(Code::invalid, fmt::format("parameter {{{}}} stands twice", last.text));
      }
    }
    if (slash == std::string_view::npos) return pattern;
    if (last.kind == Kind::rest)
      return fail(Code::invalid, "{name...} can only be the last segment");
    text.remove_prefix(slash + 1);
    if (text.empty())
      return fail(Code::invalid, "a path does not end with /; the gateway refuses such requests");
  }
  return pattern;
}

bool overlap(const Pattern& a, const Pattern& b) {
  for (std::size_t i = 0;; ++i) {
    if (i == a.size() || i == b.size()) return a.size() == b.size();
    if (a[i].kind == Kind::rest || b[i].kind == Kind::rest) return true;
    if (a[i].kind == Kind::literal && b[i].kind == Kind::literal && a[i].text != b[i].text)
      return false;
  }
}

bool within(const Pattern& a, const Pattern& b) {
  for (std::size_t i = 0;; ++i) {
    if (i == a.size() || i == b.size()) return a.size() == b.size();
    if (b[i].kind == Kind::rest) return true;
    if (a[i].kind == Kind::rest) return false;
    if (b[i].kind == Kind::literal && (a[i].kind != Kind::literal || a[i].text != b[i].text))
      return false;
  }
}

}  // namespace domicile::policy
