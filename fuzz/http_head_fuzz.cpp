// Any bytes as a request and as a response head: never a crash, never a view outside the input, the
// same verdict however the bytes arrive, and no accepted head without exactly one reading of its body.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "base/check.h"
#include "wire/http1_path.h"
#include "wire/http1_request.h"
#include "wire/http1_response.h"

using namespace domicile::wire;

namespace {

bool inside(std::string_view part, std::string_view whole) {
  return part.empty() ||
         (part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size());
}

HeadScanner::State scan_in_pieces(std::string_view bytes, std::size_t limit, std::size_t& size) {
  HeadScanner scanner;
  auto state = HeadScanner::State::more;
  for (std::size_t have = 1; have <= bytes.size() && state == HeadScanner::State::more; ++have) {
    state = scanner.scan(bytes.substr(0, have), limit);
  }
  size = scanner.head_size();
  return state;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  HeadLimits limits;
  limits.head_bytes_max = 2048;
  limits.fields_max = 20;
  HeadScanner scanner;
  const auto state = scanner.scan(bytes, limits.head_bytes_max);
  std::size_t pieced_size = 0;
  const auto pieced = scan_in_pieces(bytes, limits.head_bytes_max, pieced_size);
  CHECK((pieced == HeadScanner::State::complete) == (state == HeadScanner::State::complete));
  if (state != HeadScanner::State::complete) return 0;
  CHECK(pieced_size == scanner.head_size());
  const std::string_view head = bytes.substr(0, scanner.head_size());

  static RequestHead request;
  if (request.parse(head, limits) == Fault::none) {
    for (const Field& field : request.section.fields()) {
      CHECK(inside(field.name, head) && inside(field.value, head));
      CHECK(field.value.find_first_of(std::string_view("\r\n\0", 3)) == std::string_view::npos);
      CHECK(field.name.find_first_of(" \t:\r\n") == std::string_view::npos);
    }
    CHECK(inside(request.path, head) && inside(request.query, head) && inside(request.host, head));
    CHECK(request.path.starts_with('/'));
    CHECK(!(request.section.body == BodyKind::chunked && request.section.has_content_length));
    CHECK(request.section.body != BodyKind::until_close);
  }
  static ResponseHead response;
  if (response.parse(head, Method::get, limits) == Fault::none) {
    CHECK(response.status >= 100 && response.status <= 599);
    CHECK(inside(response.reason_phrase, head));
    CHECK(!(response.section.body == BodyKind::chunked && response.section.has_content_length));
  }
  return 0;
}
