// Frames of the reference stream as hostile bytes: records end where the frame ends, or the frame is refused.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "reference/frame.h"
#include "reference/table_shape.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace domicile::reference;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  auto reader = FrameReader::open(bytes);
  if (!reader) return 0;
  std::size_t seen = FrameWriter::kHead;
  for (;;) {
    const auto record = reader->next();
    if (!record) return 0;
    if (!*record) break;
    seen += 5 + (*record)->bytes.size();
    (void)parse_shape({"app", "t"}, (*record)->bytes);
  }
  if (seen != bytes.size()) std::abort();
  return 0;
}
