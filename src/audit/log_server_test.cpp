#include "audit/log_server.h"

#include <filesystem>

#include <gtest/gtest.h>

#include "base/file.h"
#include "http/client.h"

namespace domicile::audit {
namespace {

class LogServerTest : public testing::Test {
 protected:
  LogServerTest() {
    std::string pattern = std::filesystem::temp_directory_path() / "log-server-XXXXXX";
    folder_ = ::mkdtemp(pattern.data());
    put("checkpoint", "a checkpoint");
    put("tile/0/000.p/7", "hashes");
    put("tile/entries/x001/000", "entries");
    put("personal/000", "sealed");
    put("keys/log-00000000.pem", "secret");
    put("events-00000000000000000001.jsonl", "lines");
  }
  ~LogServerTest() override { std::filesystem::remove_all(folder_); }

  void put(const std::string& name, const std::string& content) {
    std::filesystem::create_directories((folder_ / name).parent_path());
    ASSERT_TRUE(write_file_atomic(folder_ / name, content));
  }
  http::Response get(const std::string& path, const std::string& method = "GET") {
    http::Request request;
    request.method = method;
    request.path = path;
    return log_handler(folder_)(request);
  }
  std::filesystem::path folder_;
};

TEST_F(LogServerTest, GivesTheLogAndNothingElse) {
  EXPECT_EQ(get("/checkpoint").body, "a checkpoint");
  EXPECT_EQ(get("/tile/0/000.p/7").body, "hashes");
  EXPECT_EQ(get("/tile/entries/x001/000").body, "entries");
  EXPECT_EQ(get("/tile/0/000").status, 404);
  for (const char* path :
       {"/", "/personal/000", "/keys/log-00000000.pem", "/events-00000000000000000001.jsonl",
        "/lock", "/tile", "/tile/0/../../keys/log-00000000.pem", "/tile/0/000.p/07",
        "/tile/../checkpoint", "//checkpoint", "/checkpoint/", "/checkpoint.new"}) {
    EXPECT_EQ(get(path).status, 404) << path;
  }
  EXPECT_EQ(get("/checkpoint", "POST").status, 405);
  EXPECT_EQ(get("/checkpoint", "DELETE").status, 405);
}

TEST_F(LogServerTest, ServesOverHttp) {
  const SystemClock clock;
  auto server = LogServer::create({}, folder_, clock).value();
  ASSERT_TRUE(server->start());
  http::Client client({});
  const std::string base = "http://127.0.0.1:" + std::to_string(server->port());
  EXPECT_EQ(client.send({.url = base + "/checkpoint"}).value().body, "a checkpoint");
  EXPECT_EQ(client.send({.url = base + "/personal/000"}).value().status, 404);
}

}  // namespace
}  // namespace domicile::audit
