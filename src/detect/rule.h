// A Sigma rule (sigma-rules 2.0) and a Sigma correlation (sigma-correlation 2.0), read strictly:
// what is not supported is refused with its line, because a rule that is understood in part watches
// something else than its author meant. Fields are dotted OCSF paths of the log's events.
//
//   logsource: {product: domicile, service: audit}        every event of the region's log
//                                  service: postgresql    sessions, statements and changed schemas
//                                  service: cloudtrail    the cloud provider's trail
//
// Two members are our own. `probe`: a list of events of which `domicile alert test` submits each
// through the real path, and which the rule must find. `hold`: how long the rule's alert stays open
// after its last detection, for what is looked at once a day (26h) or told only when it begins.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "detect/condition.h"
#include "detect/event_document.h"
#include "detect/field_match.h"
#include "detect/yaml_tree.h"

namespace domicile::detect {

enum class Level { informational, low, medium, high, critical };
std::string_view to_string(Level level);

// An event of a rule's probe, in the words of domain::Event; `repeat` of them, `apart_ms` apart.
struct ProbeEvent {
  std::string kind, outcome, activity, operation, resource, reason, organization, actor;
  std::string acting_organization, source_ip, actor_role, severity;
  std::vector<std::pair<std::string, std::string>> details;
  unsigned repeat = 1;
  std::int64_t apart_ms = 1000;
  std::string vary;  // the field to which each repetition adds its number; empty: none
};

struct RuleHead {
  std::string title, id, name, description, status, date, author;
  Level level = Level::medium;
  std::int64_t hold_ms = 0;  // its alert stays open this long after the last detection; 0: as usual
  std::vector<std::string> tags, false_positives, references;
  std::string file;  // where it came from
  int line = 0;
  std::string source_sha256;  // of the whole file: a rule that changed is another one
  std::vector<ProbeEvent> probe;
};

// Several fields of one event (all must fit), or keywords.
struct SelectionMap {
  std::vector<std::pair<std::size_t, FieldMatch>> tests;  // field number, test
  std::optional<FieldMatch> keywords;
  bool matches(EventDocument& event) const;
};

struct Selection {
  std::string name;
  std::vector<SelectionMap> any;  // one of them must fit
  bool matches(EventDocument& event) const;
};

struct Rule {
  RuleHead head;
  std::string service;
  std::vector<Selection> selections;
  Condition condition;
  std::string condition_text;

  bool matches(EventDocument& event) const;
  // The values of metadata.event_code outside of which the rule cannot match; empty: any.
  std::vector<std::string> event_codes;
};

enum class CorrelationType { event_count, value_count, temporal, temporal_ordered };

struct Correlation {
  RuleHead head;
  CorrelationType type = CorrelationType::event_count;
  std::vector<std::string> rules;  // as written: names or ids
  std::vector<std::pair<std::string, std::size_t>> group_by;
  std::int64_t span_ms = 0;
  std::size_t threshold = 0;  // that many or more
  std::string field;          // of value_count
  std::size_t field_number = 0;
  bool generate = false;  // its rules detect for themselves as well
};

// `document` is one of parse_yaml(); `index` collects the fields. Errors name file and line.
bool is_correlation(const YamlNode& document);
Result<Rule> parse_rule(const YamlNode& document, const std::string& file, FieldIndex& index);
Result<Correlation> parse_correlation(const YamlNode& document, const std::string& file,
                                      FieldIndex& index);
// The members that rules and correlations share.
Result<RuleHead> parse_head(const YamlNode& document, const std::string& file);

// "30s", "10m", "2h", "7d"
std::optional<std::int64_t> parse_span_ms(std::string_view text);

}  // namespace domicile::detect
