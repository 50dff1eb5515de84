#include "issuer/issuer_fixture.h"

#include <nlohmann/json.hpp>

namespace domicile::issuer {

nlohmann::json IssuerTest::body(const http::Response& response) {
  return nlohmann::json::parse(response.body);
}

std::string IssuerTest::error(const http::Response& response) {
  return body(response).value("error", "");
}

}  // namespace domicile::issuer
