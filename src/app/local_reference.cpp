#include "app/local_reference.h"

#include <utility>

#include <fmt/format.h>

#include "pg/connection.h"

namespace domicile::app {
namespace {

constexpr const char* kStatus =
    "SELECT state, reason, detail, tables_copied, tables FROM domicile.reference_status WHERE role "
    "= "
    "'replica'";

}  // namespace

Result<void> await_reference(LocalContext& context, const LocalRegion& region,
                             const LocalPostgres& server, std::chrono::seconds at_most) {
  if (region.region.master) return {};
  auto connection =
      TRY(pg::Connection::open(server.dsn(context.config.application.name, context.role("node"))));
  const std::string_view id = region.region.id.view();
  const auto deadline = std::chrono::steady_clock::now() + at_most;
  std::string state;
  bool said = false;
  do {
    TRY(context.signals.check());
    const pg::Rows rows = TRY(connection.query(kStatus));
    if (rows.size() == 0 || rows.integer(0, 4) == 0) return {};
    if (rows.text(0, 0) == "streaming") return {};
    state = fmt::format("{}{}{} {} ({} of {} tables)", rows.text(0, 0),
                        rows.text(0, 1).empty() ? "" : ": ", rows.text(0, 1), rows.text(0, 2),
                        rows.integer(0, 3), rows.integer(0, 4));
    if (rows.text(0, 0) == "stopped") break;
    if (!std::exchange(said, true)) context.progress.step(id, "receiving the reference data");
    context.signals.wait(std::chrono::milliseconds(50));
  } while (std::chrono::steady_clock::now() < deadline);
  context.progress.step(id, fmt::format("the reference data is not here yet: {}", state));
  return {};
}

}  // namespace domicile::app
