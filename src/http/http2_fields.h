// What the .cpp files of HTTP/2 share and nobody else sees: the fields of an answer in nghttp2's form
// (names in lower case, one buffer behind all of them), and where the library gets a body from.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <nghttp2/nghttp2.h>

namespace domicile::http {

class Http2Fields {
 public:
  // `text` is cleared and must outlive this.
  explicit Http2Fields(std::string& text) : text_(text) { text_.clear(); }
  void add(std::string_view name, std::string_view value);
  void add_status(int status) { add(":status", std::to_string(status)); }
  // Complete lines, "Name: value\r\n".
  void add_lines(std::string_view lines);
  // Valid until the next add().
  std::vector<nghttp2_nv>& native();

 private:
  struct Piece {
    std::size_t at, name_size, value_size;
  };
  std::string& text_;
  std::vector<Piece> pieces_;
  std::vector<nghttp2_nv> native_;
};

class Http2Stream;
nghttp2_data_provider body_of(Http2Stream& stream);

struct Http2SessionFree {
  void operator()(nghttp2_session_callbacks* callbacks) const {
    nghttp2_session_callbacks_del(callbacks);
  }
  void operator()(nghttp2_option* option) const { nghttp2_option_del(option); }
};
// A server's session that tells `connection` what happens.
class Http2Connection;
nghttp2_session* new_session(Http2Connection& connection);

}  // namespace domicile::http
