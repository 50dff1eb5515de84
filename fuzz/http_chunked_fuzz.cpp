// Any bytes as a chunked body: the same payload and verdict in one piece and byte by byte, and every
// piece of payload a view into the input.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "wire/http1_chunked.h"

using namespace domicile::wire;

namespace {

struct Outcome {
  std::string payload;
  Fault fault = Fault::none;
  bool done = false;
  std::size_t used = 0;
  bool operator==(const Outcome&) const = default;
};

Outcome decode(std::string_view bytes, std::size_t piece) {
  ChunkedDecoder decoder;
  Outcome out;
  for (std::size_t at = 0; at < bytes.size() && !decoder.done(); at += piece) {
    std::string_view input = bytes.substr(at, piece);
    while (!input.empty() && !decoder.done()) {
      const auto step = decoder.step(input);
      if (step.fault != Fault::none) {
        out.fault = step.fault;
        return out;
      }
      CHECK(step.consumed > 0 && step.consumed <= input.size());
      CHECK(step.data.empty() ||
            (step.data.data() >= input.data() &&
             step.data.data() + step.data.size() <= input.data() + input.size()));
      out.payload += step.data;
      out.used += step.consumed;
      input.remove_prefix(step.consumed);
    }
  }
  out.done = decoder.done();
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const Outcome whole = decode(bytes, size == 0 ? 1 : size);
  CHECK(whole.fault != Fault::none || whole == decode(bytes, 1));
  CHECK(decode(bytes, 1).fault == whole.fault);
  return 0;
}
