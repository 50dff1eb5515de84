// Calls of this region's node to the master's node, over mutual TLS. Several threads may each have one.
//
// Errors: what http/client.h says, and every answer but 200 and 204 as an Error whose reason is the problem's own
// ("session_unknown", "class_violation", "master_unknown", "wal_level", ...): Code::conflict for 409, denied for 401 and
// 403, unavailable for the rest.
#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>

#include "base/secret.h"
#include "domain/names.h"
#include "http/client.h"

namespace domicile::reference {

struct PeerOptions {
  std::string url;  // of the master region's door
  Secret token;
  domain::RegionId region;  // of this node; its certificate names it
  std::filesystem::path ca_file;
  std::filesystem::path certificate_file;
  std::filesystem::path key_file;
};

class Peer {
 public:
  explicit Peer(PeerOptions options);
  // POST; the body of a 200, nothing for a 204. `path` may have a query.
  Result<std::optional<std::string>> call(const std::string& path, std::string body,
                                          std::chrono::milliseconds at_most,
                                          std::size_t body_bytes_max);

 private:
  PeerOptions options_;
  http::Client client_;
};

}  // namespace domicile::reference
