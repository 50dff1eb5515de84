#include "token/json_reader.h"

#include <algorithm>
#include <array>
#include <vector>

#include <simdjson.h>

namespace domicile::token {
namespace {

using simdjson::dom::element;
using simdjson::dom::element_type;

bool distinct_names(const simdjson::dom::object& object) {
  std::array<std::string_view, JsonReader::kMembersMax> names;
  std::size_t count = 0;
  for (const auto field : object) {
    if (count == names.size()) return false;
    names[count++] = field.key;  // unescaped: "aud" is "aud", however it was written
  }
  std::sort(names.begin(), names.begin() + count);
  return std::adjacent_find(names.begin(), names.begin() + count) == names.begin() + count;
}

bool well_formed(element value) {  // depth is bounded by the parser
  if (value.type() == element_type::OBJECT) {
    const simdjson::dom::object object = value.get_object().value_unsafe();
    if (!distinct_names(object)) return false;
    for (const auto field : object) {
      if (!well_formed(field.value)) return false;
    }
  } else if (value.type() == element_type::ARRAY) {
    const simdjson::dom::array array = value.get_array().value_unsafe();
    if (array.size() > JsonReader::kMembersMax) return false;
    for (const element item : array) {
      if (!well_formed(item)) return false;
    }
  }
  return true;
}

constexpr auto kAlphabet = [] {
  std::array<std::uint8_t, 256> table{};
  table.fill(0xff);
  constexpr std::string_view digits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  for (std::size_t i = 0; i < digits.size(); ++i) {
    table[static_cast<unsigned char>(digits[i])] = static_cast<std::uint8_t>(i);
  }
  return table;
}();

}  // namespace

JsonReader::JsonReader() : parser_(std::make_unique<simdjson::dom::parser>()) {}
JsonReader::~JsonReader() = default;
JsonReader::JsonReader(JsonReader&&) noexcept = default;
JsonReader& JsonReader::operator=(JsonReader&&) noexcept = default;

bool JsonReader::read(std::string_view json, simdjson::dom::object& out) {
  buffer_.assign(json);
  return parse(out);
}

bool JsonReader::read_base64url(std::string_view text, simdjson::dom::object& out) {
  buffer_.clear();
  return append_base64url(text, buffer_) && parse(out);
}

bool JsonReader::parse(simdjson::dom::object& out) {
  length_ = buffer_.size();
  buffer_.append(simdjson::SIMDJSON_PADDING, ' ');
  if (parser_->capacity() < length_ || parser_->max_depth() != kDepthMax) {
    const std::size_t capacity = std::max<std::size_t>(length_, 4096);
    if (parser_->allocate(capacity, kDepthMax) != simdjson::SUCCESS) return false;
  }
  element root;
  if (parser_->parse(buffer_.data(), length_, false).get(root) != simdjson::SUCCESS) return false;
  if (root.get(out) != simdjson::SUCCESS) return false;
  return well_formed(root);
}

bool get_text(const simdjson::dom::object& object, std::string_view name, std::string_view& out) {
  return object[name].get(out) == simdjson::SUCCESS;
}

bool get_whole(const simdjson::dom::object& object, std::string_view name, std::int64_t& out) {
  element value;
  // get<int64_t> would turn nothing into a number, but say so: whole numbers only, never 1.0 or
  // "1".
  if (object[name].get(value) != simdjson::SUCCESS || value.type() != element_type::INT64)
    return false;
  out = value.get_int64().value_unsafe();
  return true;
}

bool has(const simdjson::dom::object& object, std::string_view name) {
  return object[name].error() == simdjson::SUCCESS;
}

bool append_base64url(std::string_view text, std::string& out) {
  if (text.size() % 4 == 1) return false;
  const std::size_t before = out.size();
  const std::size_t tail = text.size() % 4;
  out.resize(before + text.size() / 4 * 3 + (tail == 0 ? 0 : tail - 1));
  char* to = out.data() + before;
  const auto* from = reinterpret_cast<const unsigned char*>(text.data());
  unsigned bad = 0;
  for (std::size_t i = text.size() / 4; i > 0; --i, from += 4) {
    const std::uint32_t a = kAlphabet[from[0]], b = kAlphabet[from[1]], c = kAlphabet[from[2]],
                        d = kAlphabet[from[3]];
    bad |= a | b | c | d;  // an invalid character sets bits 6 and 7
    const std::uint32_t bits = a << 18 | b << 12 | c << 6 | d;
    *to++ = static_cast<char>(bits >> 16);
    *to++ = static_cast<char>(bits >> 8);
    *to++ = static_cast<char>(bits);
  }
  if (tail != 0) {
    const std::uint32_t a = kAlphabet[from[0]], b = kAlphabet[from[1]],
                        c = tail == 3 ? kAlphabet[from[2]] : 0;
    const std::uint32_t bits = a << 18 | b << 12 | c << 6;
    bad |= a | b | c;
    if ((tail == 2 ? b & 15 : c & 3) != 0) bad |= 0xc0;  // bits that no byte holds
    *to++ = static_cast<char>(bits >> 16);
    if (tail == 3) *to++ = static_cast<char>(bits >> 8);
  }
  if ((bad & 0xc0) != 0) out.resize(before);
  return (bad & 0xc0) == 0;
}

}  // namespace domicile::token
