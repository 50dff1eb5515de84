// Any bytes as a path: what is accepted has no dot segment, no empty segment, no slash that was not one,
// and is its own canonical form.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "wire/http1_path.h"

using namespace domicile::wire;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view raw(reinterpret_cast<const char*>(data), size);
  std::string scratch(2 * size, '\0');
  CleanPath path;
  if (clean_path(raw, scratch, path) != Fault::none) return 0;
  CHECK(path.decoded.starts_with('/') && path.canonical.starts_with('/'));
  CHECK(!path.decoded.contains("//") && !path.decoded.contains('\\'));
  CHECK(path.decoded.find('\0') == std::string_view::npos);
  const std::string closed = std::string(path.decoded) + "/";
  CHECK(!closed.contains("/../") && !closed.contains("/./"));
  std::size_t canonical_slashes = 0;
  std::size_t decoded_slashes = 0;
  for (const char c : path.canonical) {
    CHECK(c > 0x20 && c < 0x7f);
    canonical_slashes += c == '/';
  }
  for (const char c : path.decoded) decoded_slashes += c == '/';
  CHECK(canonical_slashes == decoded_slashes);
  const std::string canonical(path.canonical);
  const std::string decoded(path.decoded);
  std::string again_scratch(2 * canonical.size(), '\0');
  CleanPath again;
  CHECK(clean_path(canonical, again_scratch, again) == Fault::none);
  CHECK(again.canonical == canonical && again.decoded == decoded);
  return 0;
}
