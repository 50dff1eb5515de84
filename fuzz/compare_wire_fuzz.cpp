// Any bytes as what another node answers in a comparison: refused, or read into something that is the same when it is
// written and read again.
#include <cstdint>
#include <cstdlib>

#include "reference/compare_job.h"
#include "reference/compare_wire.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace domicile::reference;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (const auto opened = decode_opened(bytes)) {
    const auto text = encode_opened(*opened);
    const auto again = decode_opened(text);
    if (!again || encode_opened(*again) != text) std::abort();
  }
  if (const auto open = decode_open(bytes); open && !decode_open(encode_open(*open))) std::abort();
  if (const auto progress = decode_progress(bytes);
      progress && !decode_progress(encode_progress(*progress)))
    std::abort();
  if (const auto job = decode_job(bytes); job && !decode_job(encode_job(*job))) std::abort();
  if (const auto digests = decode_digests(bytes, 1000);
      digests && encode_digests(*digests) != bytes)
    std::abort();
  if (const auto rows = decode_rows(bytes, 1000); rows && encode_rows(*rows) != bytes) std::abort();
  return 0;
}
