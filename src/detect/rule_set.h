// All rules of a node: those that are built in, and those of the folder that the configuration
// names. Correlations are bound to the rules that they name; a name that nothing bears, two rules
// with one id and a circle are refused. Every file's error is reported at once.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "detect/rule.h"

namespace domicile::detect {

struct RuleFile {
  std::string name;  // for errors, and `domicile rule show`
  std::string text;
};

// The files of rules/, which are part of the program.
std::vector<RuleFile> built_in_rules();
// Every *.yml and *.yaml in the folder (not in folders below), sorted by name.
Result<std::vector<RuleFile>> read_rule_folder(const std::filesystem::path& folder);

class RuleSet {
 public:
  static Result<std::unique_ptr<const RuleSet>> create(const std::vector<RuleFile>& files);

  // Where the matches of a rule or correlation go to: correlation number, place in its list.
  struct Listener {
    std::size_t correlation;
    std::size_t which;
  };

  const std::vector<Rule>& rules() const { return rules_; }
  const std::vector<Correlation>& correlations() const { return correlations_; }
  const FieldIndex& fields() const { return fields_; }
  const std::vector<Listener>& listeners_of_rule(std::size_t i) const { return of_rule_[i]; }
  const std::vector<Listener>& listeners_of_correlation(std::size_t i) const {
    return of_correlation_[i];
  }
  bool rule_detects(std::size_t i) const { return rule_detects_[i]; }
  bool correlation_detects(std::size_t i) const { return correlation_detects_[i]; }
  // Rules that can match an event with this metadata.event_code.
  const std::vector<std::size_t>& candidates(std::string_view event_code) const;
  // Head of every rule that detects, in order of their files. By id or name: null when unknown.
  std::vector<const RuleHead*> heads() const;
  const RuleHead* find(std::string_view id_or_name) const;
  // Rules of a probe: a correlation's own and, where it has none, none.
  const std::vector<RuleFile>& files() const { return files_; }

 private:
  RuleSet() = default;
  Result<void> bind();
  Result<void> refuse_circles() const;

  std::vector<RuleFile> files_;
  FieldIndex fields_;
  std::vector<Rule> rules_;
  std::vector<Correlation> correlations_;
  std::vector<std::vector<Listener>> of_rule_, of_correlation_;
  std::vector<bool> rule_detects_, correlation_detects_;
  std::map<std::string, std::vector<std::size_t>, std::less<>> by_code_;
  std::vector<std::size_t> any_code_;
};

}  // namespace domicile::detect
