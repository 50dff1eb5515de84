// Rule files: what is accepted must survive being asked about an event.
#include <cstddef>
#include <cstdint>
#include <string>

#include "detect/detector.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace domicile::detect;
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto rules = RuleSet::create({{"fuzzed.yml", text}});
  if (!rules) return 0;
  Detector detector(**rules, 10);
  constexpr const char* kEvent =
      R"({"time":1,"metadata":{"event_code":"request","tenant_uid":"7"},"a":[1,"x",null,true]})";
  for (std::uint64_t i = 1; i < 4; ++i) {
    if (!detector.feed(i, kEvent)) __builtin_trap();
  }
  Detector other(**rules, 10);
  if (!other.load(detector.save())) __builtin_trap();
  return 0;
}
