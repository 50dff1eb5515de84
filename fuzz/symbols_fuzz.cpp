// Any bytes as another node's coded symbols: refused, or a difference that ends, and bytes that are the same again.
#include <cstdint>
#include <cstdlib>

#include "digest/difference.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace domicile;
  if (size == 0) return 0;
  const std::size_t count = data[0];
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const auto symbols = digest::decode_symbols(bytes, count);
  if (!symbols) return 0;
  const auto again = digest::decode_symbols(digest::encode_symbols(*symbols), count);
  if (!again || *again != *symbols) std::abort();
  digest::Difference difference;
  const auto half = symbols->size() / 2;
  const std::span<const digest::Symbol> all(*symbols);
  if (!difference.extend(all.first(half), all.subspan(half, half))) return 0;
  if (difference.complete() &&
      difference.only_left().size() + difference.only_right().size() > half + 1)
    std::abort();
  return 0;
}
