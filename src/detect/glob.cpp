#include "detect/glob.h"

namespace domicile::detect {
namespace {

unsigned char folded(char c) {
  return static_cast<unsigned char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

}  // namespace

Glob Glob::parse(std::string_view pattern, Case letters) {
  Glob glob;
  glob.fold_ = letters == Case::ignored;
  const auto literal = [&](char c) {
    glob.tokens_.push_back(glob.fold_ ? folded(c) : static_cast<unsigned char>(c));
  };
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    const char next = i + 1 < pattern.size() ? pattern[i + 1] : '\0';
    if (c == '\\' && (next == '*' || next == '?' || next == '\\')) {
      literal(next);
      ++i;
    } else if (c == '*') {
      if (glob.tokens_.empty() || glob.tokens_.back() != kAny) glob.tokens_.push_back(kAny);
      glob.wild_ = true;
    } else if (c == '?') {
      glob.tokens_.push_back(kOne);
      glob.wild_ = true;
    } else {
      literal(c);
    }
  }
  return glob;
}

void Glob::open_front() {
  wild_ = true;
  if (tokens_.empty() || tokens_.front() != kAny) tokens_.insert(tokens_.begin(), kAny);
}

void Glob::open_back() {
  wild_ = true;
  if (tokens_.empty() || tokens_.back() != kAny) tokens_.push_back(kAny);
}

bool Glob::matches(std::string_view text) const {
  std::size_t at = 0, token = 0;
  std::size_t star = tokens_.size(), resume = 0;  // the last star, and where its run may end
  while (at < text.size()) {
    const int wanted = token < tokens_.size() ? tokens_[token] : -3;
    const int have = fold_ ? folded(text[at]) : static_cast<unsigned char>(text[at]);
    if (wanted == kAny) {
      star = token++;
      resume = at;
    } else if (wanted == kOne || wanted == have) {
      ++token;
      ++at;
    } else if (star < tokens_.size()) {
      token = star + 1;
      at = ++resume;
    } else {
      return false;
    }
  }
  while (token < tokens_.size() && tokens_[token] == kAny) ++token;
  return token == tokens_.size();
}

std::optional<std::string> Glob::exact() const {
  if (wild_) return std::nullopt;
  return std::string(tokens_.begin(), tokens_.end());
}

}  // namespace domicile::detect
