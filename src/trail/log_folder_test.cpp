#include "trail/log_folder.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace domicile::trail {
namespace {

class LogFolderTest : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/domicile-trail-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    folder_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  void write(const std::string& name, const std::string& text, bool anew = false) {
    std::ofstream(folder_ / name, anew ? std::ios::trunc : std::ios::app) << text;
  }
  static std::string line(const std::string& session, int number) {
    return fmt::format(R"({{"session_id":"{}","line_num":{},"error_severity":"LOG","message":"m"}})"
                       "\n",
                       session, number);
  }
  // "a1 a2": which records came
  std::string read(LogFolder& log, std::size_t most = 1'000) {
    std::string seen;
    problems_.clear();
    const auto done = log.read(
        most,
        [&](const ServerRecord& record) {
          seen += fmt::format("{}{} ", record.session, record.line);
        },
        problems_);
    EXPECT_TRUE(done.has_value());
    return seen;
  }
  std::string told() const {
    std::string out;
    for (const auto& problem : problems_) out += problem.what + " ";
    return out;
  }

  std::filesystem::path folder_;
  std::vector<FolderProblem> problems_;
};

TEST_F(LogFolderTest, GivesEachRecordOnceAcrossRotationAndRestarts) {
  LogFolder log(folder_, {});
  write("1.json", line("a", 1) + line("a", 2));
  EXPECT_EQ(read(log), "a1 a2 ");
  EXPECT_EQ(read(log), "");
  write("1.json", line("a", 3));
  write("2.json", line("b", 1));
  const auto kept = parse_position(to_text(log.position()));
  ASSERT_TRUE(kept.has_value());
  LogFolder again(folder_, *kept);
  EXPECT_EQ(read(again), "a3 b1 ");
  EXPECT_EQ(read(again), "");
  EXPECT_EQ(told(), "");
}

TEST_F(LogFolderTest, WaitsForTheRestOfALine) {
  LogFolder log(folder_, {});
  const std::string whole = line("a", 1);
  for (const char c : whole) {
    EXPECT_EQ(read(log), "");
    write("1.json", std::string(1, c));
  }
  EXPECT_EQ(read(log), "a1 ");
}

TEST_F(LogFolderTest, GoesOnWithinAFileWhereItStopped) {
  LogFolder log(folder_, {});
  std::string text;
  for (int i = 1; i <= 5'000; ++i) text += line("a", i);
  write("1.json", text);
  std::size_t records = 0;
  for (std::string seen; !(seen = read(log, 100)).empty();) {
    records += static_cast<std::size_t>(std::ranges::count(seen, ' '));
    const auto kept = parse_position(to_text(log.position()));
    log = LogFolder(folder_, *kept);
  }
  EXPECT_EQ(records, 5'000u);
}

TEST_F(LogFolderTest, TellsWhenTheCurrentFileIsCutOrGone) {
  LogFolder log(folder_, {});
  write("1.json", line("a", 1) + line("a", 2));
  read(log);
  write("1.json", line("b", 1), true);
  EXPECT_EQ(read(log), "b1 ");
  EXPECT_EQ(told(), "truncated ");
  std::filesystem::remove(folder_ / "1.json");
  EXPECT_EQ(read(log), "");
  EXPECT_EQ(told(), "removed ");
}

TEST_F(LogFolderTest, TellsALineThatIsMissingInASession) {
  LogFolder log(folder_, {});
  write("1.json", line("a", 1) + line("a", 2) + line("a", 4) + line("b", 9));
  EXPECT_EQ(read(log), "a1 a2 a4 b9 ");
  EXPECT_EQ(told(), "gap ");
}

TEST_F(LogFolderTest, PassesOverWhatIsNoRecordAndWhatNeverEnds) {
  LogFolder log(folder_, {});
  write("1.json", "rumour\n" + line("a", 1));
  EXPECT_EQ(read(log), "a1 ");
  EXPECT_EQ(told(), "unreadable ");
  write("1.json", std::string(kServerRecordBytesMax + 400'000, 'x') + "\n" + line("a", 2));
  EXPECT_EQ(read(log), "a2 ");
  EXPECT_TRUE(told().starts_with("too_long "));
}

TEST_F(LogFolderTest, ReadsOneOfTwoForms) {
  LogFolder log(folder_, {});
  write("1.csv", "t,u,d,7,h:1,a,1,ps,s,v,x,LOG,00000,m,,,,,,,,,app\n");
  EXPECT_EQ(read(log), "a1 ");
  write("1.json", line("b", 1));
  write("1.csv", "t,u,d,7,h:1,b,1,ps,s,v,x,LOG,00000,m,,,,,,,,,app\n");
  EXPECT_EQ(read(log), "b1 ");
}

TEST_F(LogFolderTest, BeginsAtTheEndOfAFolderItNeverSaw) {
  write("1.json", line("a", 1) + "{\"half");
  LogFolder log(folder_, {});
  ASSERT_TRUE(log.skip_to_end().has_value());
  EXPECT_EQ(read(log), "");
  write("1.json", "\":1}\n" + line("a", 2));
  EXPECT_EQ(read(log), "a2 ");
}

TEST(FolderPosition, OfAnotherFormIsRefused) {
  for (const char* text :
       {"", "domicile trail 2\n", "domicile trail 1\n1 2\n", "domicile trail 1\n1 2 3 - 1 a/b\n",
        "domicile trail 1\n1 2 999 - 1 a\n", "domicile trail 1\n1 2 3 - 1 a"}) {
    EXPECT_FALSE(parse_position(text).has_value()) << text;
  }
  const auto position = parse_position("domicile trail 1\n1 2 3 ab 1 name with blanks.json\n");
  ASSERT_TRUE(position.has_value());
  EXPECT_EQ(position->current, "name with blanks.json");
  EXPECT_EQ(to_text(*position), "domicile trail 1\n1 2 3 ab 1 name with blanks.json\n");
}

}  // namespace
}  // namespace domicile::trail
