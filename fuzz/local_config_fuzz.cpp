// The regions' file of domicile up: any text is a configuration or an error, never a crash.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "app/local_config.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto config = domicile::app::parse_local_config(text, "/etc/regions.toml");
  if (config && config->regions.empty()) __builtin_trap();
  return 0;
}
