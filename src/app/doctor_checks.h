// The doctor's examinations. Each looks, reports, and never changes anything; what one of them needs
// and does not get is its finding. Blocking, one thread.
#pragma once

#include <filesystem>
#include <memory>

#include "app/doctor_report.h"
#include "app/node_config.h"
#include "base/clock.h"
#include "domain/registry_snapshot.h"

namespace domicile::app {

// Files: modes, contents, certificates, disk.
void examine_files(const NodeConfig& config, const std::filesystem::path& config_file,
                   DoctorReport& report);
void examine_certificate(const NodeConfig& config, std::int64_t now_s, DoctorReport& report);
void examine_event_log(const NodeConfig& config, DoctorReport& report);

// The regional database, as the node's login; and, where its DSN is given, the application's pool.
void examine_database(const NodeConfig& config, const Clock& clock, DoctorReport& report);
void examine_application_pool(const std::filesystem::path& dsn_file, DoctorReport& report);

// The reference sync, where the node takes part in it.
void examine_reference(const NodeConfig& config, DoctorReport& report);

// Registry, own door, application, other regions.
void examine_network(const NodeConfig& config, const Clock& clock, DoctorReport& report);

}  // namespace domicile::app
