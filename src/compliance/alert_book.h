// Alerts: what is wrong now, as opposed to detections, each of which is one moment. Detections of one
// rule about one thing are one alert: it opens with the first, is carried on by the next, and closes
// when none came for a while. Texts hold no personal data: an alert leaves the region, so it names a
// rule, an organization's key and sequences of the log, which is read at home.
//
// Pure; one thread at a time. Bounded: beyond `alerts_max` open ones, all others of a rule are one.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "detect/detector.h"

namespace domicile::compliance {

struct Alert {
  std::string id;    // of the detection that opened it
  std::string name;  // the rule's name, else its id
  std::string rule_id;
  std::string title;
  std::string level;
  std::string tags;  // separated by blanks
  std::string organization;
  std::string subject;
  std::uint64_t first_sequence = 0;  // 0: it is about no record of the log
  std::uint64_t last_sequence = 0;
  std::uint64_t count = 0;  // detections
  WallTime opened{};
  WallTime last_seen{};
  WallTime closed{};                     // zero: open
  std::chrono::milliseconds hold_ms{0};  // its rule's; 0: the book's
  bool test = false;                     // of `domicile alert test`

  bool open() const { return closed == WallTime{}; }
};

struct AlertBookOptions {
  std::chrono::milliseconds hold_ms{15 * 60'000};  // after the last detection
  std::size_t alerts_max = 2'000;
};

class AlertBook {
 public:
  explicit AlertBook(AlertBookOptions options) : options_(options) {}

  // The alert, when this detection opened one; null when it carried one on.
  const Alert* see(const detect::Detection& detection, WallTime now, bool test = false);
  // Closes what was not seen for long enough, and gives it out.
  std::vector<Alert> close_quiet(WallTime now);
  std::vector<Alert> open() const;
  std::size_t size() const { return open_.size(); }
  std::uint64_t folded() const { return folded_; }  // detections that went into a rule's overflow

  std::string save() const;  // JSON
  Result<void> load(std::string_view json);

 private:
  AlertBookOptions options_;
  std::map<std::string, Alert> open_;  // by rule, organization and subject
  std::uint64_t folded_ = 0;
};

// JSON of one alert, for the state file and for people's tools.
std::string to_json(const Alert& alert);
Result<Alert> alert_from_json(std::string_view json);

}  // namespace domicile::compliance
