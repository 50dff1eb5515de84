#include "http/metrics.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>

namespace domicile::http {
namespace {

constexpr std::string_view name_of(Metrics::Kind kind) {
  switch (kind) {
    case Metrics::Kind::counter: return "counter";
    case Metrics::Kind::gauge: return "gauge";
    case Metrics::Kind::histogram: return "histogram";
  }
  return "untyped";
}

}  // namespace

void Histogram::observe(std::chrono::microseconds took) {
  const auto us = std::max<std::chrono::microseconds::rep>(took.count(), 0);
  const auto first =
      static_cast<std::size_t>(std::ranges::lower_bound(kBoundsUs, us) - kBoundsUs.begin());
  for (std::size_t i = first; i < buckets_.size(); ++i) buckets_[i].add();
  sum_us_.add(static_cast<std::uint64_t>(us));
}

Counter& Metrics::counter(std::string_view name, std::string_view help, std::string_view labels,
                          Kind kind) {
  const std::lock_guard lock(mutex_);
  series_.push_back({std::string(name),
                     std::string(help),
                     std::string(labels),
                     kind,
                     {},
                     std::make_unique<Counter>(),
                     nullptr});
  return *series_.back().counter;
}

Histogram& Metrics::histogram(std::string_view name, std::string_view help) {
  const std::lock_guard lock(mutex_);
  histograms_.push_back(std::make_unique<Histogram>());
  const Histogram& made = *histograms_.back();
  const auto line = [&](std::string suffix, std::string labels, std::function<double()> read) {
    series_.push_back({std::string(name), std::string(help), std::move(labels), Kind::histogram,
                       std::move(suffix), nullptr, std::move(read)});
  };
  for (std::size_t i = 0; i < made.buckets_.size(); ++i) {
    const std::string bound =
        i == Histogram::kBoundsUs.size()
            ? "+Inf"
            : fmt::format("{}", static_cast<double>(Histogram::kBoundsUs[i]) / 1e6);
    line("_bucket", fmt::format("le=\"{}\"", bound),
         [&bucket = made.buckets_[i]] { return static_cast<double>(bucket.value()); });
  }
  line("_sum", "", [&made] { return static_cast<double>(made.sum_us_.value()) / 1e6; });
  line("_count", "", [&all = made.buckets_.back()] { return static_cast<double>(all.value()); });
  return *histograms_.back();
}

void Metrics::read(std::string_view name, std::string_view help, Kind kind,
                   std::function<double()> read, std::string_view labels) {
  const std::lock_guard lock(mutex_);
  series_.push_back({std::string(name),
                     std::string(help),
                     std::string(labels),
                     kind,
                     {},
                     nullptr,
                     std::move(read)});
}

std::string Metrics::page() const {
  struct Family {
    const Series* first = nullptr;
    std::vector<std::pair<std::string, double>> values;  // by suffix and labels, as they came
  };
  std::map<std::string_view, Family> families;
  std::string out;
  const std::lock_guard lock(mutex_);
  for (const Series& series : series_) {
    Family& family = families[series.name];
    if (family.first == nullptr) family.first = &series;
    std::string line = series.name + series.suffix;
    if (!series.labels.empty()) line += '{' + series.labels + '}';
    auto at = std::ranges::find(family.values, line, &std::pair<std::string, double>::first);
    if (at == family.values.end()) at = family.values.insert(at, {std::move(line), 0});
    at->second += series.counter ? static_cast<double>(series.counter->value()) : series.read();
  }
  for (const auto& [name, family] : families) {
    out += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, family.first->help, name,
                       name_of(family.first->kind));
    for (const auto& [line, value] : family.values) out += fmt::format("{} {}\n", line, value);
  }
  return out;
}

}  // namespace domicile::http
