// A node's configuration file: any bytes give a configuration or an error, never a crash.
#include <cstddef>
#include <cstdint>

#include "app/node_config.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)domicile::app::parse_node_config(text, "fuzz.toml", "/");
  return 0;
}
