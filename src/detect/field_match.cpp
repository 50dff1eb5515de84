#include "detect/field_match.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <re2/re2.h>

#include "detect/glob.h"

namespace domicile::detect {

using Kind = FieldValue::Kind;

struct FieldMatch::Matcher {
  virtual ~Matcher() = default;
  virtual bool fits(const FieldValue& value) const = 0;
  virtual bool fits_absence() const { return false; }  // the event has no such field
};

namespace {

std::optional<double> number_of(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

struct TextMatcher final : FieldMatch::Matcher {
  Glob glob;
  explicit TextMatcher(Glob g) : glob(std::move(g)) {}
  bool fits(const FieldValue& value) const override {
    if (value.kind == Kind::text) return glob.matches(value.text);
    if (value.kind == Kind::null || value.kind == Kind::object) return false;
    return glob.matches(value.as_text());
  }
};

struct NullMatcher final : FieldMatch::Matcher {
  bool fits(const FieldValue& value) const override { return value.kind == Kind::null; }
  bool fits_absence() const override { return true; }
};

struct ExistsMatcher final : FieldMatch::Matcher {
  bool wanted;
  explicit ExistsMatcher(bool w) : wanted(w) {}
  bool fits(const FieldValue&) const override { return wanted; }
  bool fits_absence() const override { return !wanted; }
};

struct NumberMatcher final : FieldMatch::Matcher {
  enum class Op { equal, gt, gte, lt, lte };
  Op op;
  double wanted;
  NumberMatcher(Op o, double w) : op(o), wanted(w) {}
  bool fits(const FieldValue& value) const override {
    std::optional<double> have;
    if (value.kind == Kind::number) have = value.number;
    if (value.kind == Kind::text) have = number_of(value.text);
    if (!have) return false;
    switch (op) {
      case Op::equal: return *have == wanted;
      case Op::gt: return *have > wanted;
      case Op::gte: return *have >= wanted;
      case Op::lt: return *have < wanted;
      case Op::lte: return *have <= wanted;
    }
    return false;
  }
};

struct RegexMatcher final : FieldMatch::Matcher {
  std::unique_ptr<re2::RE2> expression;
  explicit RegexMatcher(std::unique_ptr<re2::RE2> e) : expression(std::move(e)) {}
  bool fits(const FieldValue& value) const override {
    if (value.kind == Kind::null || value.kind == Kind::object) return false;
    return re2::RE2::PartialMatch(value.as_text(), *expression);
  }
};

using Address = std::array<unsigned char, 16>;

// IPv4 as ::ffff:a.b.c.d, so that both kinds are compared alike.
std::optional<Address> address_of(const std::string& text, unsigned* bits_before = nullptr) {
  Address out{};
  if (inet_pton(AF_INET, text.c_str(), out.data() + 12) == 1) {
    out[10] = out[11] = 0xff;
    if (bits_before != nullptr) *bits_before = 96;
    return out;
  }
  if (inet_pton(AF_INET6, text.c_str(), out.data()) != 1) return std::nullopt;
  if (bits_before != nullptr) *bits_before = 0;
  return out;
}

struct CidrMatcher final : FieldMatch::Matcher {
  Address network{};
  unsigned bits = 0;
  bool fits(const FieldValue& value) const override {
    if (value.kind != Kind::text) return false;
    const auto address = address_of(std::string(value.text));
    if (!address) return false;
    for (unsigned bit = 0; bit < bits; ++bit) {
      const unsigned mask = 0x80u >> (bit % 8);
      if (((*address)[bit / 8] & mask) != (network[bit / 8] & mask)) return false;
    }
    return true;
  }
};

struct Modifiers {
  bool contains = false, startswith = false, endswith = false, all = false, cased = false;
  bool re = false, cidr = false, exists = false;
  bool regex_i = false, regex_m = false, regex_s = false;
  std::optional<NumberMatcher::Op> compare;
  unsigned kinds = 0;  // how many of contains..compare: at most one says how to compare
};

bool set_modifier(Modifiers& m, std::string_view name) {
  using Op = NumberMatcher::Op;
  const auto kind = [&m](bool& flag) { flag = true, ++m.kinds; };
  if (name == "contains")
    kind(m.contains);
  else if (name == "startswith")
    kind(m.startswith);
  else if (name == "endswith")
    kind(m.endswith);
  else if (name == "re")
    kind(m.re);
  else if (name == "cidr")
    kind(m.cidr);
  else if (name == "exists")
    kind(m.exists);
  else if (name == "gt")
    m.compare = Op::gt, ++m.kinds;
  else if (name == "gte")
    m.compare = Op::gte, ++m.kinds;
  else if (name == "lt")
    m.compare = Op::lt, ++m.kinds;
  else if (name == "lte")
    m.compare = Op::lte, ++m.kinds;
  else if (name == "all")
    m.all = true;
  else if (name == "cased")
    m.cased = true;
  else if (name == "i" && m.re)
    m.regex_i = true;
  else if (name == "m" && m.re)
    m.regex_m = true;
  else if (name == "s" && m.re)
    m.regex_s = true;
  else
    return false;
  return true;
}

std::unexpected<Error> at_line(const YamlNode& node, std::string what) {
  return fail(Code::invalid, fmt::format("line {}: {}", node.line, what));
}

using Made = Result<std::unique_ptr<const FieldMatch::Matcher>>;

Made make_regex(const Modifiers& m, const YamlNode& value) {
  re2::RE2::Options options(re2::RE2::Quiet);
  options.set_max_mem(1 << 20);
  const std::string flags =
      std::string(m.regex_i ? "i" : "") + (m.regex_m ? "m" : "") + (m.regex_s ? "s" : "");
  auto expression = std::make_unique<re2::RE2>(
      flags.empty() ? value.text : fmt::format("(?{}){}", flags, value.text), options);
  if (!expression->ok()) {
    return at_line(value, fmt::format("\"{}\" is no regular expression of RE2: {} (RE2 has no "
                                      "look-around and no back-references)",
                                      value.text, expression->error()));
  }
  return std::make_unique<const RegexMatcher>(std::move(expression));
}

Made make_cidr(const YamlNode& value) {
  const std::size_t slash = value.text.find('/');
  unsigned before = 0;
  const auto network = address_of(value.text.substr(0, slash), &before);
  const auto bits = slash == std::string::npos
                        ? std::nullopt
                        : number_of(std::string_view(value.text).substr(slash + 1));
  const unsigned bits_max = 128 - before;
  if (!network || !bits || *bits < 0 || *bits > bits_max || *bits != static_cast<unsigned>(*bits)) {
    return at_line(
        value, fmt::format("\"{}\" is no network: write 10.0.0.0/8 or 2001:db8::/32", value.text));
  }
  auto made = std::make_unique<CidrMatcher>();
  made->network = *network;
  made->bits = before + static_cast<unsigned>(*bits);
  return made;
}

Made make_text(const Modifiers& m, const YamlNode& value) {
  const auto number = value.plain ? number_of(value.text) : std::nullopt;
  if (number && m.kinds == 0) {
    return std::make_unique<const NumberMatcher>(NumberMatcher::Op::equal, *number);
  }
  Glob glob = Glob::parse(value.text, m.cased ? Glob::Case::counts : Glob::Case::ignored);
  if (m.contains || m.endswith) glob.open_front();
  if (m.contains || m.startswith) glob.open_back();
  return std::make_unique<const TextMatcher>(std::move(glob));
}

Made make_matcher(const Modifiers& m, const YamlNode& value) {
  if (value.kind == YamlNode::Kind::null) {
    if (m.kinds > 0 || m.cased) return at_line(value, "null takes no modifier: remove it");
    return std::make_unique<const NullMatcher>();
  }
  if (!value.is_text()) {
    return at_line(value, "a value is a text, a number, true, false or null, or a list of these");
  }
  if (m.exists) {
    if (!value.plain || (value.text != "true" && value.text != "false")) {
      return at_line(value, "|exists is true or false");
    }
    return std::make_unique<const ExistsMatcher>(value.text == "true");
  }
  if (m.compare) {
    const auto number = number_of(value.text);
    if (!number)
      return at_line(value, fmt::format("\"{}\" is no number to compare with", value.text));
    return std::make_unique<const NumberMatcher>(*m.compare, *number);
  }
  if (m.re) return make_regex(m, value);
  if (m.cidr) return make_cidr(value);
  return make_text(m, value);
}

bool acceptable_field(std::string_view name) {
  return name.size() <= 200 &&
         std::ranges::all_of(name,
                             [](char c) {
                               return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                                      (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-';
                             }) &&
         !name.starts_with('.') && !name.ends_with('.') &&
         name.find("..") == std::string_view::npos;
}

std::string shown(const YamlNode& value) {
  if (value.kind == YamlNode::Kind::null) return "null";
  if (value.is_text()) return value.text;
  std::string out = "[";
  for (const auto& item : value.items) {
    if (out.size() > 1) out += ", ";
    out += item.is_text() ? item.text : "null";
  }
  return out + "]";
}

}  // namespace

FieldMatch::FieldMatch() = default;
FieldMatch::FieldMatch(FieldMatch&&) noexcept = default;
FieldMatch& FieldMatch::operator=(FieldMatch&&) noexcept = default;
FieldMatch::~FieldMatch() = default;

Result<FieldMatch> FieldMatch::parse(std::string_view key, const YamlNode& value) {
  FieldMatch test;
  Modifiers modifiers;
  std::size_t bar = std::min(key.find('|'), key.size());
  test.field_ = key.substr(0, bar);
  test.source_ = fmt::format("{}: {}", key, shown(value));
  if (!acceptable_field(test.field_)) {
    return at_line(value, fmt::format("\"{}\" is no field: write a dotted path of letters, digits, "
                                      "_ and -, such as unmapped.details.ticket",
                                      test.field_));
  }
  while (bar < key.size()) {
    key.remove_prefix(bar + 1);
    bar = std::min(key.find('|'), key.size());
    const auto name = key.substr(0, bar);
    if (!set_modifier(modifiers, name)) {
      return at_line(value,
                     fmt::format("the modifier \"{}\" is not supported: contains, startswith, "
                                 "endswith, all, cased, re, cidr, exists, gt, gte, lt and "
                                 "lte are",
                                 name));
    }
  }
  if (modifiers.kinds > 1) {
    return at_line(value, "two modifiers that each say how to compare: keep one");
  }
  test.all_ = modifiers.all;
  if (!value.is_list()) {
    test.matchers_.push_back(TRY(make_matcher(modifiers, value)));
    return test;
  }
  if (value.items.empty()) return at_line(value, "an empty list fits nothing: write a value");
  for (const YamlNode& item : value.items) {
    test.matchers_.push_back(TRY(make_matcher(modifiers, item)));
  }
  return test;
}

bool FieldMatch::matches(std::span<const FieldValue> values) const {
  const auto fits = [&](const auto& matcher) {
    if (values.empty()) return matcher->fits_absence();
    return std::ranges::any_of(values, [&](const FieldValue& v) { return matcher->fits(v); });
  };
  return all_ ? std::ranges::all_of(matchers_, fits) : std::ranges::any_of(matchers_, fits);
}

std::vector<std::string> FieldMatch::exact_texts() const {
  std::vector<std::string> texts;
  if (all_ && matchers_.size() > 1) return {};
  for (const auto& matcher : matchers_) {
    const auto* text = dynamic_cast<const TextMatcher*>(matcher.get());
    const auto exact = text == nullptr ? std::nullopt : text->glob.exact();
    if (!exact) return {};
    texts.push_back(*exact);
  }
  return texts;
}

}  // namespace domicile::detect
