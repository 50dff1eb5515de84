// Events in, detections out: every rule of a set over a log that grows. Pure, no clock and no I/O;
// what comes out is a function of the rules and the events, so that a reader that was restarted with
// the saved state finds the same detections with the same ids.
//
// Most rules look at one kind of event; an event is shown only to those that can match it. One thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "detect/rule_set.h"

namespace domicile::detect {

struct Detection {
  std::string id;  // the same for the same rule and events, whoever looks
  const RuleHead* rule = nullptr;
  std::int64_t time_ms = 0;  // of the event that completed it
  std::uint64_t first_sequence = 0;
  std::uint64_t last_sequence = 0;
  std::uint64_t count = 1;   // events that it stands for
  std::string organization;  // of the last event; may be empty
  std::string subject;       // what it is about, without personal data: a check's id, an operation
};

class Detector {
 public:
  // `rules` outlives the detector.
  explicit Detector(const RuleSet& rules, std::size_t groups_max = 10'000);
  ~Detector();

  // An event that is no JSON object is an error and leaves no trace.
  Result<std::vector<Detection>> feed(std::uint64_t sequence, std::string_view json);

  std::uint64_t groups_given_up() const;
  std::size_t groups() const;
  std::string save() const;
  // The state of correlations whose rules have changed since is left behind.
  Result<void> load(std::string_view json);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace domicile::detect
