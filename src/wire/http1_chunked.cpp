#include "wire/http1_chunked.h"

#include <algorithm>

#include "wire/http1_chars.h"

namespace domicile::wire {
namespace {
constexpr std::uint32_t kSizeDigitsMax = 15;  // keeps sums of 64 bits far away
constexpr std::uint32_t kExtensionBytesMax = 256;
constexpr std::uint32_t kTrailerBytesMax = 8 * 1024;
}  // namespace

ChunkedDecoder::Step ChunkedDecoder::step(std::string_view input) {
  Step result;
  while (result.consumed < input.size() && state_ != State::done) {
    if (state_ == State::data) {
      const std::size_t size =
          static_cast<std::size_t>(std::min<std::uint64_t>(left_, input.size() - result.consumed));
      result.data = input.substr(result.consumed, size);
      result.consumed += size;
      left_ -= size;
      if (left_ == 0) state_ = State::data_cr;
      return result;
    }
    const bool trailer = state_ >= State::trailer_first;
    result.fault = take(input[result.consumed]);
    if (result.fault != Fault::none) return result;
    if (trailer) {
      result.trailers =
          input.substr(result.consumed - result.trailers.size(), result.trailers.size() + 1);
    }
    ++result.consumed;
  }
  return result;
}

Fault ChunkedDecoder::take(char c) {
  switch (state_) {
    case State::size_first:
    case State::size:
    case State::extension:
    case State::size_lf: return take_size(c);
    case State::data_cr:
      if (c != '\r') return Fault::bad_chunk_end;
      state_ = State::data_lf;
      return Fault::none;
    case State::data_lf:
      if (c != '\n') return Fault::bad_chunk_end;
      state_ = State::size_first;
      return Fault::none;
    default: return take_trailer(c);
  }
}

Fault ChunkedDecoder::take_size(char c) {
  if (state_ == State::size_lf) {
    if (c != '\n') return Fault::bare_cr;
    state_ = left_ == 0 ? State::trailer_first : State::data;
    return Fault::none;
  }
  if (state_ == State::extension) {
    if (c == '\r') {
      state_ = State::size_lf;
    } else if (!is_class(c, kFieldValueChar) || ++line_bytes_ > kExtensionBytesMax) {
      return c == '\n' ? Fault::bare_lf : Fault::bad_chunk_extension;
    }
    return Fault::none;
  }
  if (const int digit = hex_value(c); digit >= 0) {
    if (state_ == State::size_first) left_ = line_bytes_ = 0;
    state_ = State::size;
    if (++line_bytes_ > kSizeDigitsMax) return Fault::bad_chunk_size;
    left_ = left_ * 16 + static_cast<std::uint64_t>(digit);
    return Fault::none;
  }
  if (state_ == State::size_first) return Fault::bad_chunk_size;
  if (c == '\r') {
    state_ = State::size_lf;
  } else if (c == ';') {
    state_ = State::extension;
    line_bytes_ = 0;
  } else {
    return c == '\n' ? Fault::bare_lf : Fault::bad_chunk_size;
  }
  return Fault::none;
}

Fault ChunkedDecoder::take_trailer(char c) {
  if (++trailer_bytes_ > kTrailerBytesMax) return Fault::trailer_too_large;
  switch (state_) {
    case State::trailer_first:
      if (c == '\r') {
        state_ = State::end_lf;
      } else if (is_class(c, kTokenChar)) {
        state_ = State::trailer_name;
      } else {
        return c == '\n' ? Fault::bare_lf : Fault::bad_trailer;
      }
      return Fault::none;
    case State::trailer_name:
      if (c == ':') {
        state_ = State::trailer_value;
      } else if (!is_class(c, kTokenChar)) {
        return Fault::bad_trailer;
      }
      return Fault::none;
    case State::trailer_value:
      if (c == '\r') {
        state_ = State::trailer_lf;
      } else if (!is_class(c, kFieldValueChar)) {
        return c == '\n' ? Fault::bare_lf : Fault::bad_trailer;
      }
      return Fault::none;
    case State::trailer_lf:
    case State::end_lf:
      if (c != '\n') return Fault::bare_cr;
      state_ = state_ == State::end_lf ? State::done : State::trailer_first;
      return Fault::none;
    default: return Fault::bad_trailer;
  }
}

std::string_view chunk_head(std::uint64_t size, std::array<char, 20>& out) {
  std::size_t at = out.size();
  out[--at] = '\n';
  out[--at] = '\r';
  do {
    out[--at] = "0123456789abcdef"[size & 15];
    size >>= 4;
  } while (size != 0);
  return {out.data() + at, out.size() - at};
}

}  // namespace domicile::wire
