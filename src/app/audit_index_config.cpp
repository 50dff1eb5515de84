#include "app/audit_index_config.h"

namespace domicile::app {

AuditIndexConfig read_audit_index(TomlReader& reader, const std::filesystem::path& folder) {
  AuditIndexConfig config;
  if (const auto file = reader.text("audit_index.dsn_file")) config.dsn_file = folder / *file;
  if (const auto days = reader.integer("audit_index.retention_days", 1, 36'500)) {
    config.retention_days = static_cast<unsigned>(*days);
    if (config.dsn_file.empty()) {
      reader.error("audit_index.retention_days", "has no effect without audit_index.dsn_file");
    }
  }
  return config;
}

}  // namespace domicile::app
