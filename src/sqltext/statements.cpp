#include "sqltext/statements.h"

#include <cctype>

namespace domicile::sqltext {
namespace {

bool word_start(char c) {
  return std::isalpha(static_cast<unsigned char>(c)) != 0 || c == '_' || (c & 0x80) != 0;
}
bool word_part(char c) {
  return word_start(c) || std::isdigit(static_cast<unsigned char>(c)) != 0 || c == '$';
}
bool same_word(std::string_view text, std::string_view lower) {
  if (text.size() != lower.size()) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (std::tolower(static_cast<unsigned char>(text[i])) != lower[i]) return false;
  }
  return true;
}

class Splitter {
 public:
  explicit Splitter(std::string_view text) : text_(text) {}

  std::vector<Statement> run() {
    while (at_ < text_.size()) step();
    end_statement();
    return std::move(found_);
  }

 private:
  char peek(std::size_t ahead = 0) const {
    return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
  }
  void advance(std::size_t count) {
    for (; count > 0 && at_ < text_.size(); --count) line_ += text_[at_++] == '\n';
  }
  void to_line_end() {
    while (at_ < text_.size() && text_[at_] != '\n') ++at_;
  }

  void step() {
    const char c = peek();
    if (std::isspace(static_cast<unsigned char>(c)) != 0) return advance(1);
    if (c == '-' && peek(1) == '-') return to_line_end();
    if (c == '/' && peek(1) == '*') return comment();
    if (c == '\\' && tokens_ == 0) return psql_command();
    if (c == ';' && parentheses_ <= 0 && blocks_ == 0) {
      const bool data_follows = copy_ && from_stdin_;
      end_statement();
      advance(1);
      return data_follows ? skip_copy_data() : void();
    }
    begin_token();
    if (c == '\'') return quoted('\'', false);
    if (c == '"') return quoted('"', false);
    if (c == '$') return dollar();
    if (word_start(c)) return word();
    if (std::isdigit(static_cast<unsigned char>(c)) != 0) {
      while (word_part(peek()) || peek() == '.') advance(1);
      return;
    }
    parentheses_ += c == '(' ? 1 : c == ')' ? -1 : 0;
    advance(1);
  }

  void begin_token() {
    if (tokens_++ > 0) return;
    start_ = at_;
    start_line_ = line_;
  }

  void end_statement() {
    if (tokens_ > 0) {
      std::string_view text = text_.substr(start_, at_ - start_);
      while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back())) != 0)
        text.remove_suffix(1);
      found_.push_back({text, start_line_, tokens_, false});
    }
    tokens_ = 0;
    parentheses_ = 0;
    blocks_ = 0;
    routine_ = copy_ = from_stdin_ = false;
    last_word_ = {};
  }

  void comment() {  // nested, as in PostgreSQL
    int depth = 0;
    do {
      if (peek() == '/' && peek(1) == '*') {
        ++depth;
        advance(2);
      } else if (peek() == '*' && peek(1) == '/') {
        --depth;
        advance(2);
      } else {
        advance(1);
      }
    } while (depth > 0 && at_ < text_.size());
  }

  void quoted(char quote, bool backslashes) {
    advance(1);
    while (at_ < text_.size()) {
      if (backslashes && peek() == '\\') {
        advance(2);
      } else if (peek() == quote && peek(1) == quote) {
        advance(2);
      } else if (peek() == quote) {
        return advance(1);
      } else {
        advance(1);
      }
    }
  }

  void dollar() {
    std::size_t end = at_ + 1;
    if (end < text_.size() && word_start(text_[end])) {
      while (end < text_.size() && word_part(text_[end]) && text_[end] != '$') ++end;
    }
    if (end >= text_.size() || text_[end] != '$') return advance(1);  // $1
    const std::string_view tag = text_.substr(at_, end + 1 - at_);
    const auto close = text_.find(tag, end + 1);
    advance(close == std::string_view::npos ? text_.size() : close + tag.size() - at_);
  }

  void word() {
    const std::size_t begin = at_;
    while (at_ < text_.size() && word_part(text_[at_])) ++at_;
    const std::string_view word = text_.substr(begin, at_ - begin);
    if (peek() == '\'' && same_word(word, "e")) return quoted('\'', true);
    if (tokens_ == 1) copy_ = same_word(word, "copy");
    if (copy_ && same_word(word, "stdin") && same_word(last_word_, "from")) from_stdin_ = true;
    if (tokens_ <= 4 && (same_word(word, "function") || same_word(word, "procedure")))
      routine_ = true;
    if (routine_) blocks(word);
    last_word_ = word;
  }

  // BEGIN ATOMIC ... END holds semicolons; CASE ends with END as well.
  void blocks(std::string_view word) {
    if (same_word(word, "atomic") && same_word(last_word_, "begin")) ++blocks_;
    if (blocks_ == 0) return;
    if (same_word(word, "case")) ++blocks_;
    if (same_word(word, "end")) --blocks_;
  }

  void psql_command() {
    const std::size_t begin = at_;
    to_line_end();
    found_.push_back({text_.substr(begin, at_ - begin), line_, 0, true});
  }

  void skip_copy_data() {
    to_line_end();
    advance(1);
    while (at_ < text_.size()) {
      const std::size_t begin = at_;
      to_line_end();
      std::string_view data = text_.substr(begin, at_ - begin);
      advance(1);
      if (data == "\\." || data == "\\.\r") return;
    }
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::size_t line_ = 1;
  std::size_t start_ = 0;
  std::size_t start_line_ = 1;
  std::size_t tokens_ = 0;
  int parentheses_ = 0;
  int blocks_ = 0;
  bool routine_ = false;
  bool copy_ = false;
  bool from_stdin_ = false;
  std::string_view last_word_;
  std::vector<Statement> found_;
};

}  // namespace

std::vector<Statement> split_statements(std::string_view text) { return Splitter(text).run(); }

}  // namespace domicile::sqltext
