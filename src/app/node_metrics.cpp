#include "app/node_metrics.h"

#include <limits>

namespace domicile::app {
namespace {

// -1: not known.
double seconds(std::int64_t ms) {
  return ms < 0 ? std::numeric_limits<double>::quiet_NaN() : static_cast<double>(ms) / 1000;
}

}  // namespace

void show_reference(http::Metrics& metrics, const reference::Applier& applier) {
  using Kind = http::Metrics::Kind;
  const auto show = [&](std::string_view name, std::string_view help, Kind kind,
                        double (*value)(const reference::ApplierStatus&),
                        std::string_view labels = "") {
    metrics.read(name, help, kind, [&applier, value] { return value(applier.status()); }, labels);
  };
  using Status = const reference::ApplierStatus&;
  show("domicile_reference_streaming", "1 while the master region's changes arrive.", Kind::gauge,
       [](Status s) { return s.state == "streaming" ? 1.0 : 0.0; });
  show("domicile_reference_lag_seconds",
       "From a heartbeat's commit in the master region to its commit here.", Kind::gauge,
       [](Status s) { return seconds(s.lag_ms_last); });
  show(
      "domicile_reference_lag_recent_seconds", "The same over the last 600 heartbeats.",
      Kind::gauge, [](Status s) { return seconds(s.lag_ms_p50); }, "quantile=\"0.5\"");
  show(
      "domicile_reference_lag_recent_seconds", "The same over the last 600 heartbeats.",
      Kind::gauge, [](Status s) { return seconds(s.lag_ms_p99); }, "quantile=\"0.99\"");
  show("domicile_reference_rows_total", "Rows that arrived since the start.", Kind::counter,
       [](Status s) { return static_cast<double>(s.rows); });
  show("domicile_reference_bytes_total", "Bytes of the batches they came in.", Kind::counter,
       [](Status s) { return static_cast<double>(s.bytes); });
}

}  // namespace domicile::app
