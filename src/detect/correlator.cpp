#include "detect/correlator.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "base/encoding.h"
#include "crypto/sha256.h"

namespace domicile::detect {
namespace {

using Json = nlohmann::json;

std::string short_hash(std::string_view text) {
  return to_hex(crypto::view(crypto::sha256(text)).substr(0, 16));
}

}  // namespace

Correlator::Correlator(CorrelationType type, std::int64_t span_ms, std::size_t threshold,
                       std::size_t rules, std::size_t groups_max)
    : type_(type),
      span_ms_(span_ms),
      threshold_(threshold),
      rules_(rules),
      groups_max_(groups_max) {}

Correlator::Group& Correlator::touch(const std::string& key) {
  auto found = groups_.find(key);
  if (found != groups_.end()) {
    order_.splice(order_.end(), order_, found->second.place);
    return found->second;
  }
  if (groups_.size() >= groups_max_) {
    groups_.erase(order_.front());
    order_.pop_front();
    ++given_up_;
  }
  Group group;
  group.place = order_.insert(order_.end(), key);
  return groups_.emplace(key, std::move(group)).first->second;
}

// Late events may still complete what lies up to one timespan before the newest event.
void Correlator::forget_old() {
  while (!order_.empty()) {
    const auto oldest = groups_.find(order_.front());
    if (oldest->second.newest_ms + 2 * span_ms_ >= newest_ms_) return;
    groups_.erase(oldest);
    order_.pop_front();
  }
}

std::optional<CorrelationMatch> Correlator::see(std::size_t which, std::string_view group,
                                                std::string_view value, std::int64_t time_ms,
                                                std::uint64_t sequence) {
  newest_ms_ = std::max(newest_ms_, time_ms);
  forget_old();
  const std::string key = short_hash(group);
  Group& of = touch(key);
  of.newest_ms = std::max(of.newest_ms, time_ms);
  Mark mark{.time_ms = time_ms, .sequence = sequence, .value = {}};
  std::optional<CorrelationMatch> match;
  switch (type_) {
    case CorrelationType::value_count: mark.value = short_hash(value); [[fallthrough]];
    case CorrelationType::event_count: match = count(of, std::move(mark)); break;
    case CorrelationType::temporal: match = together(of, which, std::move(mark)); break;
    case CorrelationType::temporal_ordered: match = in_order(of, which, std::move(mark)); break;
  }
  if (match) {
    order_.erase(of.place);
    groups_.erase(key);
  }
  return match;
}

std::optional<CorrelationMatch> Correlator::count(Group& group, Mark mark) {
  auto& marks = group.marks;
  if (type_ == CorrelationType::value_count) {
    // Of one value its latest event counts.
    const auto same = std::ranges::find(marks, mark.value, &Mark::value);
    if (same != marks.end()) {
      if (same->time_ms > mark.time_ms) return std::nullopt;
      marks.erase(same);
    }
  }
  const auto at = std::ranges::upper_bound(marks, mark.time_ms, {}, &Mark::time_ms);
  marks.insert(at, std::move(mark));
  std::erase_if(marks, [&](const Mark& m) { return m.time_ms + 2 * span_ms_ < group.newest_ms; });
  for (std::size_t i = 0; i + threshold_ <= marks.size(); ++i) {
    if (marks[i + threshold_ - 1].time_ms - marks[i].time_ms > span_ms_) continue;
    const auto [first, last] =
        std::ranges::minmax(std::span(marks).subspan(i, threshold_), {}, &Mark::sequence);
    return CorrelationMatch{first.sequence, last.sequence, threshold_};
  }
  return std::nullopt;
}

std::optional<CorrelationMatch> Correlator::together(Group& group, std::size_t which, Mark mark) {
  group.marks.resize(rules_);
  Mark& mine = group.marks[which];
  if (mine.sequence == 0 || mine.time_ms <= mark.time_ms) mine = std::move(mark);
  if (std::ranges::any_of(group.marks, [](const Mark& m) { return m.sequence == 0; })) {
    return std::nullopt;
  }
  const auto [early, late] = std::ranges::minmax(group.marks, {}, &Mark::time_ms);
  if (late.time_ms - early.time_ms > span_ms_) return std::nullopt;
  const auto [first, last] = std::ranges::minmax(group.marks, {}, &Mark::sequence);
  return CorrelationMatch{first.sequence, last.sequence, rules_};
}

// marks[i] is the beginning of the youngest sequence that has come as far as rule i.
std::optional<CorrelationMatch> Correlator::in_order(Group& group, std::size_t which, Mark mark) {
  group.marks.resize(rules_);
  if (which == 0) {
    group.marks[0] = std::move(mark);
    return std::nullopt;
  }
  const Mark& before = group.marks[which - 1];
  if (before.sequence == 0 || mark.time_ms < before.time_ms ||
      mark.time_ms - before.time_ms > span_ms_) {
    return std::nullopt;
  }
  if (which + 1 == rules_) return CorrelationMatch{before.sequence, mark.sequence, rules_};
  group.marks[which] = before;
  return std::nullopt;
}

std::string Correlator::save() const {
  Json groups = Json::array();
  for (const std::string& key : order_) {
    const Group& group = groups_.at(key);
    Json marks = Json::array();
    for (const Mark& m : group.marks) marks.push_back({m.time_ms, m.sequence, m.value});
    groups.push_back({{"key", key}, {"newest_ms", group.newest_ms}, {"marks", std::move(marks)}});
  }
  return Json({{"newest_ms", newest_ms_}, {"given_up", given_up_}, {"groups", std::move(groups)}})
      .dump();
}

Result<void> Correlator::load(std::string_view json) {
  try {
    const Json state = Json::parse(json);
    groups_.clear();
    order_.clear();
    newest_ms_ = state.at("newest_ms").get<std::int64_t>();
    given_up_ = state.at("given_up").get<std::uint64_t>();
    for (const Json& each : state.at("groups")) {
      Group& group = touch(each.at("key").get<std::string>());
      group.newest_ms = each.at("newest_ms").get<std::int64_t>();
      for (const Json& m : each.at("marks")) {
        group.marks.push_back({m.at(0).get<std::int64_t>(), m.at(1).get<std::uint64_t>(),
                               m.at(2).get<std::string>()});
      }
    }
  } catch (const Json::exception& problem) {
    groups_.clear();
    order_.clear();
    return fail(Code::invalid, std::string("a correlation's state: ") + problem.what());
  }
  return {};
}

}  // namespace domicile::detect
