#include "reference/withheld.h"

#include <gtest/gtest.h>

namespace domicile::reference {
namespace {

std::string number(std::uint64_t value, int bytes) {
  std::string out;
  for (int shift = (bytes - 1) * 8; shift >= 0; shift -= 8)
    out.push_back(static_cast<char>(value >> shift & 0xFF));
  return out;
}
std::string text(std::string_view value) {
  return "t" + number(value.size(), 4) + std::string(value);
}
std::string row(const std::string& id, const std::string& creator) {
  return number(2, 2) + text(id) + creator;
}

// Columns: id (key), created_by (refuse).
const Withholding kCourse{.refuse = {1}, .key = {0}};
const std::string kId = number(9, 4);

std::optional<std::string> travels(const std::string& message) {
  return without_refused(kCourse, message).value();
}

TEST(Withheld, ARowThatNamesAnOrganizationsRowStays) {
  EXPECT_EQ(travels("I" + kId + "N" + row("1", text("7"))), std::nullopt);
  const std::string free = "I" + kId + "N" + row("1", "n");
  EXPECT_EQ(travels(free), free);
}

TEST(Withheld, ARowThatComesToNameOneIsDeletedElsewhere) {
  const std::string gone = "D" + kId + "K" + number(2, 2) + text("1") + "n";
  EXPECT_EQ(travels("U" + kId + "N" + row("1", text("7"))), gone);
  EXPECT_EQ(travels("U" + kId + "N" + row("1", "u")), gone)
      << "what is too long to be repeated is set";
  EXPECT_EQ(travels("U" + kId + "K" + row("1", "n") + "N" + row("2", text("7"))), gone)
      << "under its old key";
}

TEST(Withheld, ARowThatNamesNoneAnyMoreTravels) {
  const std::string update = "U" + kId + "N" + row("1", "n");
  EXPECT_EQ(travels(update), update);
  const std::string removed = "D" + kId + "K" + row("1", "n");
  EXPECT_EQ(travels(removed), removed);
}

TEST(Withheld, ARowThatIsTooShortIsKeptBack) {
  EXPECT_EQ(travels("I" + kId + "N" + number(1, 2) + text("1")), std::nullopt);
}

}  // namespace
}  // namespace domicile::reference
