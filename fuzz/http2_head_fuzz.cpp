// Any fields as an HTTP/2 request head: never a crash, and whatever is accepted says the same once it
// is written as HTTP/1 text and read by the other codec: nothing hides in a name, a value or a path.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "wire/http2_request.h"

using namespace domicile::wire;

namespace {

std::string as_text(const RequestHead& head) {
  std::string out(head.method_name);
  out.append(" ").append(head.path);
  if (head.has_query) out.append("?").append(head.query);
  out.append(" HTTP/1.1\r\n");
  for (const Field& field : head.section.fields()) {
    out.append(field.name).append(": ").append(field.value).append("\r\n");
  }
  if (head.section.body == BodyKind::chunked) out.append("transfer-encoding: chunked\r\n");
  return out.append("\r\n");
}

}  // namespace

// The first byte: how the request ends and travels. Then fields, '\x1e' between name and value,
// '\x1f' behind them; those of a plain request come first when bit 2 is set.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  std::string_view bytes(reinterpret_cast<const char*>(data + 1), size - 1);
  HeadLimits limits;
  limits.head_bytes_max = 2048;
  limits.target_bytes_max = 512;
  limits.fields_max = 20;
  static Http2Head fields;
  static RequestHead head, again;
  fields.begin();
  if ((data[0] & 4) != 0) {
    fields.add(":method", "POST", limits);
    fields.add(":scheme", "https", limits);
    fields.add(":authority", "a.example", limits);
    fields.add(":path", "/a?b", limits);
  }
  while (!bytes.empty()) {
    const std::string_view field = bytes.substr(0, bytes.find('\x1f'));
    const std::size_t middle = field.find('\x1e');
    fields.add(field.substr(0, middle),
               middle == std::string_view::npos ? std::string_view{} : field.substr(middle + 1),
               limits);
    bytes.remove_prefix(std::min(bytes.size(), field.size() + 1));
  }
  (void)fields.check_trailers();
  const bool ends = (data[0] & 1) != 0;
  if (fields.finish(head, limits, {.ends = ends, .encrypted = (data[0] & 2) != 0}) != Fault::none) {
    return 0;
  }
  const std::string text = as_text(head);
  limits.head_bytes_max = 8192;
  limits.fields_max = kFieldsCapacity;
  CHECK(again.parse(text, limits) == Fault::none);
  CHECK(again.method_name == head.method_name && again.method == head.method);
  CHECK(again.path == head.path && again.query == head.query && again.has_query == head.has_query);
  CHECK(again.host == head.host && again.authorization == head.authorization);
  CHECK(again.section.content_length == head.section.content_length);
  CHECK(again.section.body == head.section.body);
  CHECK(again.expect_continue == head.expect_continue && again.persistent && head.persistent);
  CHECK(!again.section.upgrade && !head.section.upgrade);
  for (std::size_t i = 0; i < head.section.count; ++i) {
    CHECK(again.section.storage[i].name == head.section.storage[i].name);
    CHECK(again.section.storage[i].value == head.section.storage[i].value);
  }
  return 0;
}
