#include "digest/symbols.h"

#include <bit>
#include <cmath>

namespace domicile::digest {
namespace {

// Of a keyed hash, so nobody can choose it: one mixing makes it independent of the sum.
std::uint64_t check_of(const Hash128& element) {
  std::uint64_t x = element.low ^ std::rotl(element.high, 23);
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
  x = (x ^ x >> 27) * 0x94d049bb133111eb;
  return x ^ x >> 31;
}

std::uint64_t next_random(std::uint64_t& state) {  // SplitMix64
  std::uint64_t x = state += 0x9e3779b97f4a7c15;
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
  x = (x ^ x >> 27) * 0x94d049bb133111eb;
  return x ^ x >> 31;
}

void put_number(std::string& out, std::int64_t value) {
  auto rest = static_cast<std::uint64_t>(value) << 1 ^ static_cast<std::uint64_t>(value >> 63);
  while (rest >= 0x80) {
    out.push_back(static_cast<char>(rest | 0x80));
    rest >>= 7;
  }
  out.push_back(static_cast<char>(rest));
}

bool take_number(std::string_view& bytes, std::int64_t& value) {
  std::uint64_t raw = 0;
  for (unsigned shift = 0; shift < 64 && !bytes.empty(); shift += 7) {
    const auto byte = static_cast<std::uint8_t>(bytes[0]);
    bytes.remove_prefix(1);
    if (shift == 63 && byte > 1) return false;
    raw |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
    if (byte >= 0x80) continue;
    value = static_cast<std::int64_t>(raw >> 1 ^ (0 - (raw & 1)));
    return true;
  }
  return false;
}

}  // namespace

void Symbol::add(const Hash128& element) {
  sum += element;
  check += check_of(element);
  ++count;
}

void Symbol::remove(const Hash128& element) {
  sum -= element;
  check -= check_of(element);
  --count;
}

Symbol& Symbol::operator-=(const Symbol& other) {
  sum -= other.sum;
  check -= other.check;
  // Counts of a stranger may be anything; they wrap rather than overflow.
  count = static_cast<std::int64_t>(static_cast<std::uint64_t>(count) -
                                    static_cast<std::uint64_t>(other.count));
  return *this;
}

void Walk::next() {
  // The inverse of the distribution of gaps (the paper's section 4.2) at a random point, rounded up. IEEE 754
  // rounds division and square root the same everywhere, so both sides walk alike.
  const double random = static_cast<double>(next_random(state_));
  const double gap =
      (static_cast<double>(at_) + 1.5) * (4294967296.0 / std::sqrt(random + 1.0) - 1.0);
  at_ += static_cast<std::uint64_t>(gap) + 1;
}

void Sketch::add(const Hash128& element) {
  const std::uint64_t end = first_ + symbols_.size();
  const std::uint64_t check = check_of(element);
  for (Walk walk(element); walk.at() < end; walk.next()) {
    if (walk.at() < first_) continue;
    Symbol& symbol = symbols_[walk.at() - first_];
    symbol.sum += element;
    symbol.check += check;
    ++symbol.count;
  }
}

std::string encode_symbols(std::span<const Symbol> symbols) {
  std::string out;
  out.reserve(symbols.size() * 28);
  for (const Symbol& symbol : symbols) {
    symbol.sum.append_to(out);
    char check[8];
    std::memcpy(check, &symbol.check, 8);
    out.append(check, 8);
    put_number(out, symbol.count);
  }
  return out;
}

Result<std::vector<Symbol>> decode_symbols(std::string_view bytes, std::size_t count) {
  std::vector<Symbol> out;
  out.reserve(std::min(count, bytes.size() / 25 + 1));
  while (!bytes.empty() && out.size() < count) {
    Symbol symbol;
    if (bytes.size() < 25) break;
    symbol.sum = Hash128::from(bytes);
    std::memcpy(&symbol.check, bytes.data() + 16, 8);
    bytes.remove_prefix(24);
    if (!take_number(bytes, symbol.count)) break;
    out.push_back(symbol);
  }
  if (out.size() != count || !bytes.empty())
    return fail(Code::invalid, "these are not the coded symbols that were asked for",
                "compare_symbols");
  return out;
}

}  // namespace domicile::digest
