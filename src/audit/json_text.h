// Writes JSON into a string, one member after the other, without a tree in between: the ledger
// renders an event on the hot path. The caller keeps members in order and names unique. Text that
// is not UTF-8 gets U+FFFD for each bad byte, so that a line in the event file is always JSON.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace domicile::audit {

// Appends `text` as a JSON string with its quotes; only ", \ and control characters are escaped.
void append_json_string(std::string& out, std::string_view text);

// The longest prefix of at most `bytes_max` bytes that does not cut a UTF-8 character in two.
std::string_view utf8_prefix(std::string_view text, std::size_t bytes_max);

// The name of a member as it stands in the text, `,"name":`, made by the compiler.
class JsonKey {
 public:
  consteval JsonKey(const char* name) {  // letters, digits, underscores
    add(',');
    add('"');
    while (*name != '\0') add(*name++);
    add('"');
    add(':');
  }
  std::string_view after(bool another) const {
    return another ? std::string_view(text_, size_) : std::string_view(text_ + 1, size_ - 1);
  }

 private:
  constexpr void add(char c) { text_[size_++] = c; }  // past the end: does not compile
  char text_[32] = {};
  std::size_t size_ = 0;
};

class JsonText {
 public:
  explicit JsonText(std::string& out) : out_(out) {}

  JsonText& key(const JsonKey& name) {
    out_ += name.after(!first_);
    first_ = false;
    return *this;
  }
  JsonText& any_key(std::string_view name);  // whatever it holds
  void text(std::string_view value) { append_json_string(out_, value); }
  void number(std::uint64_t value);
  void boolean(bool value) { out_ += value ? "true" : "false"; }

  void open() {
    out_ += '{';
    first_ = true;
  }
  void close() {
    out_ += '}';
    first_ = false;
  }
  void open_list() {
    out_ += '[';
    first_ = true;
  }
  void close_list() {
    out_ += ']';
    first_ = false;
  }
  void item();  // before each element of a list

 private:
  void separate();
  std::string& out_;
  bool first_ = true;
};

}  // namespace domicile::audit
