// Chunked transfer coding (RFC 9112 section 7.1), decoded piece by piece without copying. Sizes are
// plain hex digits, lines end in CRLF and nothing else, extensions are bounded and dropped,
// trailers are checked, and kept or dropped by the caller. One decoder serves one body.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "wire/http1_fault.h"

namespace domicile::wire {

class ChunkedDecoder {
 public:
  struct Step {
    std::size_t consumed = 0;   // bytes of the input that are dealt with
    std::string_view data;      // payload among them, a view into the input; may be empty
    std::string_view trailers;  // bytes of the trailer section among them, with its empty line
    Fault fault = Fault::none;
  };
  // Consumes input until it has a piece of payload, the body ends, or the input does. Call it again
  // with the rest while it consumed something and done() is false.
  Step step(std::string_view input);
  bool done() const { return state_ == State::done; }

 private:
  enum class State : std::uint8_t {
    size_first,
    size,
    extension,
    size_lf,
    data,
    data_cr,
    data_lf,
    trailer_first,
    trailer_name,
    trailer_value,
    trailer_lf,
    end_lf,
    done,
  };
  Fault take(char c);
  Fault take_size(char c);
  Fault take_trailer(char c);

  State state_ = State::size_first;
  std::uint64_t left_ = 0;        // payload bytes still to come in this chunk
  std::uint32_t line_bytes_ = 0;  // size digits, or extension bytes
  std::uint32_t trailer_bytes_ = 0;
};

// "1a2b\r\n" into `out`; the head of a chunk that carries `size` bytes.
std::string_view chunk_head(std::uint64_t size, std::array<char, 20>& out);

}  // namespace domicile::wire
