// What stands for persons, and what is asked of the log, from any bytes: decoders neither crash nor
// accept what their encoders would not write, and a line never gains a person that it does not
// commit to.
#include <cstdint>
#include <string>

#include "audit/key_file.h"
#include "audit/log_act.h"
#include "audit/log_holds.h"
#include "audit/personal_text.h"
#include "base/check.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namespace audit = domicile::audit;
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  if (const auto values = audit::decode_values(bytes)) {
    CHECK(audit::encode_values(*values) == bytes);
    for (const auto& value : *values) {
      std::string line = bytes;
      const bool found = audit::reveal(line, value);
      CHECK(found || line == bytes);
      std::string committed = "{\"uid\":\"" + audit::commitment_of(value) + "\"}";
      CHECK(audit::reveal(committed, value));
    }
  }
  if (const auto parts = audit::decode_sealed(bytes)) CHECK(audit::encode_sealed(*parts) == bytes);
  const auto hash = audit::sealed_hash_in(bytes);
  CHECK(hash.empty() || hash.size() == 43);
  (void)audit::is_commitment(bytes);
  if (const auto slot = audit::decode_key_slot(bytes, 7)) {
    CHECK(slot->kind == audit::KeyKind::erased ||
          audit::decode_key_slot(audit::encode_key_slot(*slot, 7), 7));
  }
  if (const auto act = audit::parse_act(bytes)) CHECK(audit::parse_act(audit::encode_act(*act)));
  if (const auto holds = audit::LegalHolds::parse(bytes, "fuzz")) {
    const auto again = audit::LegalHolds::parse(holds->text(), "fuzz");
    CHECK(again && again->all().size() == holds->all().size());
  }
  return 0;
}
