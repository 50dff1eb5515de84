// The memory of one correlation: which groups of events are on their way to a match. Works in event
// time, and takes late events: an event counts with those that lie within the timespan of it,
// whichever came first in the log. Ordered sequences follow the log's order.
//
// Bounded: a group keeps no more than the correlation can need, groups that nothing can complete any
// more are forgotten, and beyond `groups_max` the group that was seen longest ago is given up and
// counted. A match empties its group, so that one burst is one match.
//
// The state is a function of the events alone: save() and load() let a reader that was restarted go
// on exactly where it stood. Groups and counted values are kept as hashes, never as text.
#pragma once

#include <cstdint>
#include <list>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "detect/rule.h"

namespace domicile::detect {

struct CorrelationMatch {
  std::uint64_t first_sequence = 0;
  std::uint64_t last_sequence = 0;
  std::size_t count = 0;
};

class Correlator {
 public:
  Correlator(CorrelationType type, std::int64_t span_ms, std::size_t threshold, std::size_t rules,
             std::size_t groups_max);

  // One match of rule number `which` (its place in the correlation's list).
  std::optional<CorrelationMatch> see(std::size_t which, std::string_view group,
                                      std::string_view value, std::int64_t time_ms,
                                      std::uint64_t sequence);

  std::size_t groups() const { return groups_.size(); }
  std::uint64_t given_up() const { return given_up_; }

  std::string save() const;  // JSON
  Result<void> load(std::string_view json);

 private:
  struct Mark {
    std::int64_t time_ms = 0;
    std::uint64_t sequence = 0;
    std::string value;  // a hash; empty where nothing is told apart
  };
  struct Group {
    std::vector<Mark> marks;  // counting: by time; temporal: one place a rule, sequence 0 is empty
    std::int64_t newest_ms = 0;
    std::list<std::string>::iterator place;
  };
  std::optional<CorrelationMatch> count(Group& group, Mark mark);
  std::optional<CorrelationMatch> together(Group& group, std::size_t which, Mark mark);
  std::optional<CorrelationMatch> in_order(Group& group, std::size_t which, Mark mark);
  void forget_old();
  Group& touch(const std::string& key);

  CorrelationType type_;
  std::int64_t span_ms_;
  std::size_t threshold_;
  std::size_t rules_;
  std::size_t groups_max_;
  std::unordered_map<std::string, Group> groups_;
  std::list<std::string> order_;  // seen longest ago first
  std::int64_t newest_ms_ = 0;
  std::uint64_t given_up_ = 0;
};

}  // namespace domicile::detect
