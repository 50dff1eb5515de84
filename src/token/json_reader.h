// JSON from strangers, read strictly: one object, valid UTF-8 (RFC 7493 section 2), no duplicate
// member names at any level, nesting and member counts bounded. simdjson does the reading; the
// buffers are kept between reads, so that a token costs no allocation here. What read() returns
// lives until the next read(). One thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace simdjson::dom {
class parser;
class object;
class element;
}  // namespace simdjson::dom

namespace domicile::token {

class JsonReader {
 public:
  static constexpr std::size_t kDepthMax = 8;
  static constexpr std::size_t kMembersMax = 256;  // of one object or array

  JsonReader();
  ~JsonReader();
  JsonReader(JsonReader&&) noexcept;
  JsonReader& operator=(JsonReader&&) noexcept;

  // False when the text is not such an object.
  bool read(std::string_view json, simdjson::dom::object& out);
  // The same for base64url text (canonical, without padding).
  bool read_base64url(std::string_view text, simdjson::dom::object& out);

 private:
  bool parse(simdjson::dom::object& out);
  std::unique_ptr<simdjson::dom::parser> parser_;
  std::string buffer_;  // the text, and simdjson's padding behind it
  std::size_t length_ = 0;
};

// Members by type; false when absent or of another type. The views live as long as the document.
bool get_text(const simdjson::dom::object& object, std::string_view name, std::string_view& out);
bool get_whole(const simdjson::dom::object& object, std::string_view name, std::int64_t& out);
bool has(const simdjson::dom::object& object, std::string_view name);

// Decodes to the end of `out` without intermediate strings; false, and `out` as it was, when not
// canonical.
bool append_base64url(std::string_view text, std::string& out);

}  // namespace domicile::token
