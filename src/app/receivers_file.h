// Who is told of alerts: one TOML file, named by [alerts] receivers. Unknown keys are errors.
//
//   [[alertmanager]]
//   name = "am-1"
//   url = "http://127.0.0.1:9093"     # https, or http on this machine
//   ca_file = "ca.pem"                # absent: the system's authorities
//   least_level = "medium"            # absent: every level
//
//   [[webhook]]
//   name = "on-call"
//   url = "https://alerts.example.com/domicile"
//   secret_file = "on-call.secret"    # mode 0600: whsec_ and base64, as Standard Webhooks say
//   least_level = "high"
//
// Paths are relative to the file's folder.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "compliance/alert_delivery.h"

namespace domicile::app {

constexpr std::size_t kReceiversMax = 16;

Result<std::vector<compliance::Receiver>> parse_receivers(std::string_view text,
                                                          const std::string& name,
                                                          const std::filesystem::path& folder);
Result<std::vector<compliance::Receiver>> load_receivers(const std::filesystem::path& file);

}  // namespace domicile::app
