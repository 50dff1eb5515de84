#include "trail/record_splitter.h"

#include <fmt/format.h>

namespace domicile::trail {
namespace {

constexpr std::size_t kNameBytesMax = 256;
constexpr unsigned kDepthMax = 200;

bool blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

}  // namespace

Result<void> RecordSplitter::wrong(std::string_view what) const {
  return fail(Code::invalid, fmt::format("at byte {}: {}", at_, what), "not_cloudtrail");
}

// Inside a text nothing is structure; outside, only braces, brackets, commas and colons are.
Result<void> RecordSplitter::feed(std::string_view bytes, const Visit& visit) {
  for (const char c : bytes) {
    ++at_;
    const bool keep = state_ == State::records && (depth_ > 0 || c == '{');
    if (keep) {
      record_ += c;
      if (record_.size() > kCloudRecordBytesMax) return wrong("a record is longer than 1 MiB");
    }
    if (in_text_) {
      if (state_ == State::colon && name_.size() < kNameBytesMax && c != '"') name_ += c;
      if (escaped_) {
        escaped_ = false;
      } else if (c == '\\') {
        escaped_ = true;
      } else if (c == '"') {
        in_text_ = false;
      }
      continue;
    }
    if (c == '"') {
      if (state_ == State::member) {
        name_.clear();
        state_ = State::colon;
      } else if (state_ == State::value && depth_ == 0) {
        state_ = State::after_value;
      } else if (state_ == State::records && depth_ == 0) {
        return wrong("an element of Records is no object");
      } else if (state_ == State::begin || state_ == State::colon || state_ == State::end ||
                 (state_ == State::after_value && depth_ == 0)) {
        return wrong("a text where none belongs");
      }
      in_text_ = true;
      continue;
    }
    if (blank(c)) continue;
    TRY(structural(c, visit));
  }
  return {};
}

Result<void> RecordSplitter::structural(char c, const Visit& visit) {
  switch (state_) {
    case State::begin:
      if (c != '{') return wrong("not a JSON object");
      state_ = State::member;
      return {};
    case State::member:
      if (c == '}') {
        state_ = State::end;
        return {};
      }
      return c == ',' ? Result<void>() : wrong("not a member's name");
    case State::colon:
      if (c != ':') return wrong("no colon after a name");
      state_ = State::value;
      return {};
    case State::value:
      if (c == '[' && depth_ == 0 && name_ == "Records") {
        state_ = State::records;
        return {};
      }
      if (c == '{' || c == '[') {
        if (++depth_ > kDepthMax) return wrong("nested too deep");
        return {};
      }
      if (depth_ > 0 && (c == '}' || c == ']')) {
        if (--depth_ == 0) state_ = State::after_value;
        return {};
      }
      if (depth_ == 0 && (c == ',' || c == '}')) state_ = c == ',' ? State::member : State::end;
      return {};
    case State::after_value:
      if (c == ',') {
        state_ = State::member;
        return {};
      }
      if (c != '}') return wrong("something behind a value");
      state_ = State::end;
      return {};
    case State::records:
      if (c == '{' || c == '[') {
        if (c == '[' && depth_ == 0) return wrong("an element of Records is no object");
        if (++depth_ > kDepthMax) return wrong("nested too deep");
        return {};
      }
      if (depth_ == 0) {
        if (c == ']') state_ = State::after_value;
        return c == ']' || c == ',' ? Result<void>() : wrong("an element of Records is no object");
      }
      if ((c == '}' || c == ']') && --depth_ == 0) {
        visit(record_);
        record_.clear();
      }
      return {};
    case State::end: return wrong("something behind the object");
  }
  return {};
}

Result<void> RecordSplitter::finish() const {
  if (state_ != State::end) return wrong("the file ends in the middle");
  return {};
}

}  // namespace domicile::trail
