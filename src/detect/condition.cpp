#include "detect/condition.h"

#include <algorithm>

#include <fmt/format.h>

#include "detect/glob.h"

namespace domicile::detect {
namespace {

constexpr std::size_t kTokensMax = 500;
constexpr unsigned kDepthMax = 40;

Result<std::vector<std::string>> tokens_of(std::string_view text) {
  std::vector<std::string> tokens;
  std::string word;
  const auto flush = [&] {
    if (!word.empty()) tokens.push_back(std::exchange(word, {}));
  };
  for (const char c : text) {
    if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
      flush();
    } else if (c == '(' || c == ')') {
      flush();
      tokens.emplace_back(1, c);
    } else if (c == '|') {
      return fail(Code::invalid, "a condition with | is not supported: write a correlation");
    } else {
      word += c;
    }
  }
  flush();
  if (tokens.size() > kTokensMax) {
    return fail(Code::invalid, fmt::format("a condition of more than {} words", kTokensMax));
  }
  return tokens;
}

class Parser {
 public:
  Parser(std::vector<std::string> tokens, const std::vector<std::string>& selections)
      : tokens_(std::move(tokens)), selections_(selections), used_(selections.size(), false) {}

  Result<Condition> whole() {
    auto condition = TRY(either());
    if (at_ < tokens_.size()) {
      return fail(Code::invalid, fmt::format("the condition does not end before \"{}\": join with "
                                             "and or or",
                                             tokens_[at_]));
    }
    for (std::size_t i = 0; i < used_.size(); ++i) {
      if (!used_[i]) {
        return fail(Code::invalid, fmt::format("the condition does not use the selection \"{}\": "
                                               "use it or remove it",
                                               selections_[i]));
      }
    }
    return condition;
  }

 private:
  bool take(std::string_view word) {
    if (at_ >= tokens_.size() || !equal(tokens_[at_], word)) return false;
    ++at_;
    return true;
  }
  static bool equal(std::string_view a, std::string_view b) {
    return std::ranges::equal(a, b, [](char x, char y) { return std::tolower(x) == y; });
  }

  Result<Condition> joined(Condition::Kind kind, std::string_view word,
                           Result<Condition> (Parser::*part)()) {
    Condition first = TRY((this->*part)());
    if (at_ >= tokens_.size() || !equal(tokens_[at_], word)) return first;
    Condition all;
    all.kind = kind;
    all.parts.push_back(std::move(first));
    while (take(word)) all.parts.push_back(TRY((this->*part)()));
    return all;
  }
  Result<Condition> either() { return joined(Condition::Kind::any, "or", &Parser::both); }
  Result<Condition> both() { return joined(Condition::Kind::all, "and", &Parser::single); }

  Result<Condition> single() {
    if (++depth_ > kDepthMax) return fail(Code::invalid, "the condition is nested too deeply");
    auto condition = one();
    --depth_;
    return condition;
  }
  Result<Condition> one() {
    if (take("not")) {
      Condition negation;
      negation.kind = Condition::Kind::negation;
      negation.parts.push_back(TRY(single()));
      return negation;
    }
    if (take("(")) {
      auto inner = TRY(either());
      if (!take(")")) return fail(Code::invalid, "the condition misses a closing parenthesis");
      return inner;
    }
    if (at_ >= tokens_.size()) {
      return fail(Code::invalid, "the condition ends where a selection should stand");
    }
    if (at_ + 1 < tokens_.size() && equal(tokens_[at_ + 1], "of")) return counted();
    const std::string& name = tokens_[at_++];
    const auto found = std::ranges::find(selections_, name);
    if (found == selections_.end()) {
      return fail(Code::invalid, fmt::format("the condition names \"{}\", and there is no such "
                                             "selection",
                                             name));
    }
    return use(static_cast<std::size_t>(found - selections_.begin()));
  }
  Condition use(std::size_t index) {
    used_[index] = true;
    Condition condition;
    condition.selection = index;
    return condition;
  }
  Result<Condition> counted() {
    const std::string how_many = tokens_[at_];
    at_ += 2;
    Condition condition;
    if (equal(how_many, "all")) {
      condition.kind = Condition::Kind::all;
    } else if (how_many == "1" || equal(how_many, "any")) {
      condition.kind = Condition::Kind::any;
    } else {
      return fail(Code::invalid, fmt::format("\"{} of\" is not supported: 1 of, any of and all of "
                                             "are",
                                             how_many));
    }
    if (at_ >= tokens_.size()) return fail(Code::invalid, "the condition ends after \"of\"");
    const std::string& pattern = tokens_[at_++];
    const bool them = equal(pattern, "them");
    const Glob glob = Glob::parse(pattern, Glob::Case::counts);
    for (std::size_t i = 0; i < selections_.size(); ++i) {
      if (them ? !selections_[i].starts_with('_') : glob.matches(selections_[i])) {
        condition.parts.push_back(use(i));
      }
    }
    if (condition.parts.empty()) {
      return fail(Code::invalid, fmt::format("no selection fits \"of {}\"", pattern));
    }
    return condition;
  }

  std::vector<std::string> tokens_;
  const std::vector<std::string>& selections_;
  std::vector<bool> used_;
  std::size_t at_ = 0;
  unsigned depth_ = 0;
};

}  // namespace

Result<Condition> Condition::parse(std::string_view text,
                                   const std::vector<std::string>& selections) {
  return Parser(TRY(tokens_of(text)), selections).whole();
}

bool Condition::holds(const std::function<bool(std::size_t)>& fits) const {
  const auto part_holds = [&](const Condition& part) { return part.holds(fits); };
  switch (kind) {
    case Kind::selection: return fits(selection);
    case Kind::negation: return !parts.front().holds(fits);
    case Kind::all: return std::ranges::all_of(parts, part_holds);
    case Kind::any: return std::ranges::any_of(parts, part_holds);
  }
  return false;
}

}  // namespace domicile::detect
