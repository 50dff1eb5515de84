// The replication stream as hostile bytes: never a crash, nothing read past the end, and what relations_of() says is what
// parse() says.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "wire/pgoutput.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace domicile::wire;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  (void)replication::parse(bytes);
  (void)parse_lsn(bytes);
  const auto parsed = pgoutput::parse(bytes);
  if (!parsed) return 0;
  const auto relations = pgoutput::relations_of(bytes);
  if (!relations) std::abort();
  if (const auto* insert = std::get_if<pgoutput::Insert>(&*parsed)) {
    if (relations->size() != 1 || relations->front() != insert->relation) std::abort();
    for (const auto& field : insert->row) {
      if (field.value.data() != nullptr &&
          (field.value.data() < bytes.data() ||
           field.value.data() + field.value.size() > bytes.data() + bytes.size()))
        std::abort();
    }
  }
  return 0;
}
