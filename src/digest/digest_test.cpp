#include <algorithm>
#include <random>
#include <set>

#include <gtest/gtest.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>

#include "digest/copy_rows.h"
#include "digest/difference.h"
#include "digest/keyed_hash.h"
#include "digest/spill.h"

namespace domicile::digest {
namespace {

std::vector<Hash128> elements(std::size_t count, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<Hash128> out(count);
  for (Hash128& element : out) element = {random(), random()};
  return out;
}

// OpenSSL's SipHash, 16 bytes.
std::string reference_hash(std::string_view key, std::string_view message) {
  EVP_MAC* mac = EVP_MAC_fetch(nullptr, "SIPHASH", nullptr);
  EVP_MAC_CTX* context = EVP_MAC_CTX_new(mac);
  std::size_t size = 16;
  const OSSL_PARAM params[] = {OSSL_PARAM_construct_size_t(OSSL_MAC_PARAM_SIZE, &size),
                               OSSL_PARAM_END};
  EXPECT_EQ(
      EVP_MAC_init(context, reinterpret_cast<const unsigned char*>(key.data()), key.size(), params),
      1);
  EVP_MAC_update(context, reinterpret_cast<const unsigned char*>(message.data()), message.size());
  std::string out(16, '\0');
  EVP_MAC_final(context, reinterpret_cast<unsigned char*>(out.data()), &size, out.size());
  EVP_MAC_CTX_free(context);
  EVP_MAC_free(mac);
  return out;
}

TEST(KeyedHash, IsSipHashOf128BitsAsOpensslHasIt) {
  std::mt19937_64 random(7);
  for (std::size_t length = 0; length < 300; ++length) {
    std::string key(16, '\0');
    std::string message(length, '\0');
    for (char& c : key) c = static_cast<char>(random());
    for (char& c : message) c = static_cast<char>(random());
    std::string ours;
    (*KeyedHash::create(Secret(key)))(message).append_to(ours);
    EXPECT_EQ(ours, reference_hash(key, message)) << length;
  }
  EXPECT_FALSE(KeyedHash::create(Secret("short")));
}

TEST(Hash128, AddsAndSubtractsModulo) {
  Hash128 sum{UINT64_MAX, UINT64_MAX};
  sum += Hash128{1, 0};
  EXPECT_EQ(sum, Hash128{});
  sum -= Hash128{1, 0};
  EXPECT_EQ(sum, (Hash128{UINT64_MAX, UINT64_MAX}));
  EXPECT_EQ((Hash128{5, 1}).negated() += (Hash128{5, 1}), Hash128{});
}

void expect_found(std::size_t common, std::size_t left, std::size_t right,
                  std::size_t symbols_max) {
  const auto all = elements(common + left + right, common + left * 31 + right);
  Difference difference;
  while (!difference.complete() && difference.symbols() < symbols_max) {
    const std::size_t size = std::max<std::size_t>(8, difference.symbols() / 8);
    Sketch a(difference.symbols(), size);
    Sketch b(difference.symbols(), size);
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (i < common + left) a.add(all[i]);
      if (i < common || i >= common + left) b.add(all[i]);
    }
    const auto sent = decode_symbols(encode_symbols(a.symbols()), size);
    ASSERT_TRUE(sent);
    ASSERT_TRUE(difference.extend(*sent, b.symbols()));
  }
  ASSERT_TRUE(difference.complete()) << left << " and " << right;
  const auto sorted = [](std::vector<Hash128> list) {
    std::ranges::sort(list);
    return list;
  };
  using Iterator = std::vector<Hash128>::const_iterator;
  const Iterator begin = all.begin() + static_cast<std::ptrdiff_t>(common);
  const Iterator middle = begin + static_cast<std::ptrdiff_t>(left);
  EXPECT_EQ(sorted(difference.only_left()), sorted({begin, middle}));
  EXPECT_EQ(sorted(difference.only_right()), sorted({middle, all.end()}));
}

TEST(Difference, IsFoundWithFewSymbolsForEachElement) {
  expect_found(1000, 0, 0, 8);
  expect_found(0, 1, 0, 8);
  expect_found(1000, 0, 1, 8);
  expect_found(1000, 100, 100, 400);
  expect_found(100, 3000, 1, 5000);
  expect_found(0, 0, 5000, 8000);
  expect_found(10, 30'000, 20'000, 75'000);
}

TEST(Difference, SaysWhenSymbolsAreOfNoTwoSets) {
  // Random symbols either stay unexplained or are refused; they never end in an answer, nor go on for ever.
  std::mt19937_64 random(3);
  for (int round = 0; round < 200; ++round) {
    std::vector<Symbol> nonsense(50);
    for (Symbol& symbol : nonsense) {
      symbol.add({random(), random()});
      if (random() % 2) symbol.add({random(), random()});
    }
    Difference difference;
    const auto done = difference.extend(nonsense, std::vector<Symbol>(50));
    EXPECT_FALSE(done && difference.complete());
  }
}

TEST(Symbols, RefuseBytesThatAreNone) {
  Sketch sketch(0, 4);
  sketch.add({1, 2});
  const std::string bytes = encode_symbols(sketch.symbols());
  EXPECT_TRUE(decode_symbols(bytes, 4));
  EXPECT_FALSE(decode_symbols(bytes, 3));
  EXPECT_FALSE(decode_symbols(bytes, 5));
  EXPECT_FALSE(decode_symbols(bytes + "x", 4));
  EXPECT_FALSE(decode_symbols(bytes.substr(1), 4));
  EXPECT_FALSE(decode_symbols(std::string(24, '\0') + std::string(11, '\xff'), 1));
}

std::string header() { return std::string("PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0", 19); }

TEST(CopyRows, GivesFieldsAndTheirBytes) {
  CopyRows rows;
  const std::string first = header() + std::string("\0\2\0\0\0\1a\xff\xff\xff\xff", 11);
  const CopyRow* row = *rows.next(first);
  ASSERT_NE(row, nullptr);
  EXPECT_EQ(row->size(), 2u);
  EXPECT_EQ(row->value(0), "a");
  EXPECT_FALSE(row->null(0));
  EXPECT_TRUE(row->null(1));
  EXPECT_EQ(row->bytes(1, 2), "\xff\xff\xff\xff");
  EXPECT_EQ(*rows.next("\xff\xff"), nullptr);
  EXPECT_TRUE(rows.ended());
  EXPECT_FALSE(rows.next("\xff\xff"));
}

TEST(CopyRows, TellsApartWhatTextWouldNot) {
  const auto bytes = [](const std::string& message) {
    CopyRows rows;
    const std::string whole = header() + message;
    return std::string((*rows.next(whole))->bytes(0, 2));
  };
  const std::string shifted = bytes(std::string("\0\2\0\0\0\2ab\0\0\0\1c", 13));
  EXPECT_NE(shifted, bytes(std::string("\0\2\0\0\0\1a\0\0\0\2bc", 13)));
  EXPECT_NE(bytes(std::string("\0\2\0\0\0\0\0\0\0\0", 10)),
            bytes(std::string("\0\2\0\0\0\0\xff\xff\xff\xff", 10)));
}

TEST(CopyRows, RefusesWhatIsCutOrLonger) {
  const std::string good = header() + std::string("\0\1\0\0\0\3abc", 9);
  for (std::size_t size = 0; size < good.size(); ++size) {
    CopyRows rows;
    const auto row = rows.next(std::string_view(good).substr(0, size));
    EXPECT_TRUE(!row || *row == nullptr) << size;
  }
  CopyRows rows;
  EXPECT_FALSE(rows.next(good + "x"));
}

TEST(Spill, GivesBackWhatWasAdded) {
  auto spill = Spill::create(testing::TempDir());
  ASSERT_TRUE(spill) << spill.error().message;
  const auto all = elements(40'000, 5);
  for (std::uint32_t i = 0; i < all.size(); ++i)
    ASSERT_TRUE(
        spill->add({all[i], {.part = 3, .offset = static_cast<std::uint16_t>(i), .block = i}}));
  for (int round = 0; round < 2; ++round) {
    std::uint32_t i = 0;
    ASSERT_TRUE(spill->each([&](const SpilledRow& row) {
      EXPECT_EQ(row.hash, all[i]);
      EXPECT_EQ(row.where.block, i++);
    }));
    EXPECT_EQ(i, all.size());
  }
  EXPECT_FALSE(Spill::create("/nonexistent/folder"));
}

}  // namespace
}  // namespace domicile::digest
