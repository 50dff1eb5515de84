#include "http/metrics.h"

#include <map>

#include <fmt/format.h>

namespace domicile::http {

Counter& Metrics::counter(std::string_view name, std::string_view help, std::string_view labels,
                          Kind kind) {
  const std::lock_guard lock(mutex_);
  series_.push_back({std::string(name), std::string(help), std::string(labels), kind,
                     std::make_unique<Counter>(), nullptr});
  return *series_.back().counter;
}

void Metrics::read(std::string_view name, std::string_view help, Kind kind,
                   std::function<double()> read, std::string_view labels) {
  const std::lock_guard lock(mutex_);
  series_.push_back(
      {std::string(name), std::string(help), std::string(labels), kind, nullptr, std::move(read)});
}

std::string Metrics::page() const {
  struct Family {
    const Series* first = nullptr;
    std::map<std::string_view, double> values;  // by labels
  };
  std::map<std::string_view, Family> families;
  std::string out;
  const std::lock_guard lock(mutex_);
  for (const Series& series : series_) {
    Family& family = families[series.name];
    if (family.first == nullptr) family.first = &series;
    family.values[series.labels] +=
        series.counter ? static_cast<double>(series.counter->value()) : series.read();
  }
  for (const auto& [name, family] : families) {
    out += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, family.first->help, name,
                       family.first->kind == Kind::counter ? "counter" : "gauge");
    for (const auto& [labels, value] : family.values) {
      out += labels.empty() ? fmt::format("{} {}\n", name, value)
                            : fmt::format("{}{{{}}} {}\n", name, labels, value);
    }
  }
  return out;
}

}  // namespace domicile::http
