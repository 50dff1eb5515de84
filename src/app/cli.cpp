#include "app/cli.h"

#include <cstdio>
#include <exception>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace domicile::app {

int exit_code_of(Code code) {
  switch (code) {
    case Code::invalid: return 2;
    case Code::unauthenticated:
    case Code::denied:
    case Code::not_found:
    case Code::conflict:
    case Code::wrong_region: return 1;
    case Code::unavailable:
    case Code::timeout: return 3;
    case Code::internal: return 4;
  }
  return 4;
}

void print(const std::string& text) { fmt::print("{}\n", text); }

std::function<void()> Cli::run(std::function<Result<int>()> body) {
  return [this, body = std::move(body)] {
    Result<int> done = fail(Code::internal, "");
    try {
      done = body();
    } catch (const std::exception& error) {
      done = fail(Code::internal, fmt::format("unexpected: {}", error.what()));
    }
    if (std::fflush(stdout) != 0)
      done = fail(Code::unavailable, "cannot write the result to standard output");
    if (done) {
      exit_code = *done;
      return;
    }
    exit_code = exit_code_of(done.error().code);
    if (json) {
      const nlohmann::json object = {{"error",
                                      {{"code", to_string(done.error().code)},
                                       {"reason", done.error().reason},
                                       {"message", done.error().message}}}};
      fmt::print(stderr, "{}\n",
                 object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
    } else {
      fmt::print(stderr, "domicile: {}\n", done.error().message);
    }
  };
}

}  // namespace domicile::app
