// A request head that comes as HTTP/2 fields (RFC 9113 section 8.3), held to the rules of one that
// comes as text and filled into the same RequestHead: whatever HTTP/1 refuses by name is refused by
// the same name, and what could mean something else once it is written as HTTP/1 again (upper-case
// names, line ends in values, fields of a connection, a second authority) is refused as well.
//
// The fields are copied as they come, up to the limits; the views that finish() fills point into
// this object and hold until the next begin(). Keep one per loop and reuse it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "wire/http1_request.h"

namespace domicile::wire {

class Http2Head {
 public:
  void begin();
  void add(std::string_view name, std::string_view value, const HeadLimits& limits);
  // So much over the limit that its sender wants something else than an answer.
  bool excessive(const HeadLimits& limits) const;

  struct Transport {
    bool ends = false;       // the request has no DATA
    bool encrypted = false;  // :scheme must be https then
  };
  Fault finish(RequestHead& head, const HeadLimits& limits, Transport transport);
  // The fields were trailers: checked as those of a chunked body are, and dropped.
  Fault check_trailers() const;

 private:
  struct Piece {
    std::uint32_t at;
    std::uint32_t name_size;
    std::uint32_t value_size;
  };
  struct Pseudo {
    std::string_view method, scheme, authority, path;
    bool has_method = false, has_scheme = false, has_authority = false, has_path = false;
  };
  std::string_view name_of(const Piece& piece) const;
  std::string_view value_of(const Piece& piece) const;
  Fault take_pseudo(Pseudo& pseudo, std::size_t& regular) const;
  Fault take_line(RequestHead& head, const Pseudo& pseudo, const HeadLimits& limits,
                  Transport transport) const;
  Fault take_fields(RequestHead& head, const Pseudo& pseudo, std::size_t regular,
                    const HeadLimits& limits);
  Fault join_cookies(FieldSection& section, std::size_t regular, const HeadLimits& limits);

  std::string bytes_;
  std::string cookies_;
  std::vector<Piece> pieces_;
  std::size_t total_ = 0;    // as HTTP/1 would have needed for them
  std::size_t counted_ = 0;  // fields without pseudo fields and the crumbs of a cookie
  Fault fault_ = Fault::none;
};

}  // namespace domicile::wire
