// Any bytes as a message of COPY: refused, or fields whose bytes make up the message again.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "digest/copy_rows.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace domicile;
  const std::string_view message(reinterpret_cast<const char*>(data), size);
  const std::string header("PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0", 19);
  digest::CopyRows rows;
  if (!rows.next(header)) std::abort();
  const auto row = rows.next(message);
  if (!row || *row == nullptr) return 0;
  std::string again(message.substr(0, 2));
  for (std::size_t i = 0; i < (*row)->size(); ++i) {
    if ((*row)->null(i) && !(*row)->value(i).empty()) std::abort();
    again += (*row)->bytes(i, i + 1);
  }
  if (again != message) std::abort();
  return 0;
}
