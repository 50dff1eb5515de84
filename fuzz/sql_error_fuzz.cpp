// What people paste into domicile explain: any bytes are an answer or none, and the answer is whole.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "app/explain_sql.h"
#include "base/check.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto found = domicile::app::explain_sql(text);
  if (found.known != nullptr) {
    CHECK(!found.known->code.empty() && !found.known->remedy.empty());
    CHECK(found.known->sqlstate.empty() || found.sqlstate == found.known->sqlstate);
  }
  return 0;
}
