#include "detect/rule_set.h"

#include <algorithm>
#include <optional>
#include <set>

#include <fmt/format.h>

#include "base/encoding.h"
#include "base/file.h"
#include "crypto/sha256.h"

namespace domicile::detect {
namespace {

constexpr std::size_t kRulesMax = 2'000;
constexpr std::size_t kFilesMax = 1'000;
// What the rules themselves wrote: only a rule that names it sees it, or each would find itself.
constexpr std::string_view kOwnCode = "detection";

bool named(const RuleHead& head, std::string_view id_or_name) {
  return head.id == id_or_name || (!head.name.empty() && head.name == id_or_name);
}

std::unexpected<Error> wrong(const RuleHead& head, std::string_view what) {
  return fail(Code::invalid, fmt::format("{}: line {}: {}", head.file, head.line, what));
}

}  // namespace

Result<std::vector<RuleFile>> read_rule_folder(const std::filesystem::path& folder) {
  std::error_code error;
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    const auto extension = entry.path().extension();
    if (extension == ".yml" || extension == ".yaml") paths.push_back(entry.path());
  }
  if (error) {
    return fail(Code::not_found, fmt::format("{}: {}: name a folder of rules (*.yml)",
                                             folder.string(), error.message()));
  }
  if (paths.size() > kFilesMax) {
    return fail(Code::invalid,
                fmt::format("{}: more than {} files of rules", folder.string(), kFilesMax));
  }
  std::ranges::sort(paths);
  std::vector<RuleFile> files;
  for (const auto& path : paths) {
    files.push_back({.name = path.string(), .text = TRY(read_file(path, kYamlBytesMax))});
  }
  return files;
}

Result<std::unique_ptr<const RuleSet>> RuleSet::create(const std::vector<RuleFile>& files) {
  std::unique_ptr<RuleSet> set(new RuleSet());
  set->files_ = files;
  std::string problems;
  const auto note = [&](const Error& error) {
    problems += (problems.empty() ? "" : "\n") + error.message;
  };
  for (const RuleFile& file : files) {
    const auto documents = parse_yaml(file.text, file.name);
    if (!documents) {
      note(documents.error());
      continue;
    }
    const std::string sha256 = to_hex(crypto::view(crypto::sha256(file.text)));
    for (const YamlNode& document : *documents) {
      if (is_correlation(document)) {
        auto correlation = parse_correlation(document, file.name, set->fields_);
        if (!correlation)
          note(correlation.error());
        else
          correlation->head.source_sha256 = sha256,
          set->correlations_.push_back(std::move(*correlation));
      } else {
        auto rule = parse_rule(document, file.name, set->fields_);
        if (!rule)
          note(rule.error());
        else
          rule->head.source_sha256 = sha256, set->rules_.push_back(std::move(*rule));
      }
    }
  }
  if (problems.empty()) {
    if (const auto bound = set->bind(); !bound) note(bound.error());
  }
  if (!problems.empty()) return fail(Code::invalid, std::move(problems));
  return set;
}

Result<void> RuleSet::bind() {
  if (rules_.size() + correlations_.size() > kRulesMax) {
    return fail(Code::invalid, fmt::format("more than {} rules", kRulesMax));
  }
  std::set<std::string> taken;
  const auto claim = [&](const RuleHead& head) -> Result<void> {
    for (const std::string& name : {head.id, head.name}) {
      if (!name.empty() && !taken.insert(name).second) {
        return wrong(head,
                     fmt::format("another rule bears \"{}\" already: give this one its own", name));
      }
    }
    return {};
  };
  for (const Rule& rule : rules_) TRY(claim(rule.head));
  for (const Correlation& correlation : correlations_) TRY(claim(correlation.head));
  of_rule_.resize(rules_.size());
  of_correlation_.resize(correlations_.size());
  rule_detects_.assign(rules_.size(), true);
  correlation_detects_.assign(correlations_.size(), true);
  for (std::size_t c = 0; c < correlations_.size(); ++c) {
    const Correlation& correlation = correlations_[c];
    for (std::size_t which = 0; which < correlation.rules.size(); ++which) {
      const std::string& name = correlation.rules[which];
      const auto rule =
          std::ranges::find_if(rules_, [&](const Rule& r) { return named(r.head, name); });
      const auto other = std::ranges::find_if(
          correlations_, [&](const Correlation& o) { return named(o.head, name); });
      if (rule != rules_.end()) {
        const auto i = static_cast<std::size_t>(rule - rules_.begin());
        of_rule_[i].push_back({c, which});
        if (!correlation.generate) rule_detects_[i] = false;
      } else if (other != correlations_.end()) {
        const auto i = static_cast<std::size_t>(other - correlations_.begin());
        of_correlation_[i].push_back({c, which});
        if (!correlation.generate) correlation_detects_[i] = false;
      } else {
        return wrong(correlation.head, fmt::format("no rule bears the name or id \"{}\"", name));
      }
    }
  }
  TRY(refuse_circles());
  for (std::size_t i = 0; i < rules_.size(); ++i) {
    if (rules_[i].event_codes.empty()) any_code_.push_back(i);
    for (const std::string& code : rules_[i].event_codes) by_code_[code].push_back(i);
  }
  by_code_[std::string(kOwnCode)];
  for (auto& [code, numbers] : by_code_) {
    if (code == kOwnCode) continue;
    numbers.insert(numbers.end(), any_code_.begin(), any_code_.end());
    std::ranges::sort(numbers);
  }
  return {};
}

// Kahn's way: take away whoever nobody left feeds; what stays feeds itself.
Result<void> RuleSet::refuse_circles() const {
  std::vector<std::size_t> fed(correlations_.size(), 0);
  for (const auto& listeners : of_correlation_) {
    for (const Listener& listener : listeners) ++fed[listener.correlation];
  }
  std::vector<std::size_t> free;
  for (std::size_t i = 0; i < fed.size(); ++i) {
    if (fed[i] == 0) free.push_back(i);
  }
  std::size_t taken = 0;
  while (!free.empty()) {
    const std::size_t at = free.back();
    free.pop_back();
    ++taken;
    for (const Listener& listener : of_correlation_[at]) {
      if (--fed[listener.correlation] == 0) free.push_back(listener.correlation);
    }
  }
  if (taken == correlations_.size()) return {};
  const auto stuck = std::ranges::find_if(fed, [](std::size_t n) { return n > 0; });
  return wrong(correlations_[static_cast<std::size_t>(stuck - fed.begin())].head,
               "this correlation feeds itself: its rules lead back to it");
}

const std::vector<std::size_t>& RuleSet::candidates(std::string_view event_code) const {
  const auto found = by_code_.find(event_code);
  return found == by_code_.end() ? any_code_ : found->second;
}

std::vector<const RuleHead*> RuleSet::heads() const {
  std::vector<const RuleHead*> out;
  for (std::size_t i = 0; i < rules_.size(); ++i) {
    if (rule_detects_[i]) out.push_back(&rules_[i].head);
  }
  for (std::size_t i = 0; i < correlations_.size(); ++i) {
    if (correlation_detects_[i]) out.push_back(&correlations_[i].head);
  }
  std::ranges::sort(out, [](const RuleHead* a, const RuleHead* b) {
    return std::tie(a->file, a->line) < std::tie(b->file, b->line);
  });
  return out;
}

const RuleHead* RuleSet::find(std::string_view id_or_name) const {
  for (const Rule& rule : rules_) {
    if (named(rule.head, id_or_name)) return &rule.head;
  }
  for (const Correlation& correlation : correlations_) {
    if (named(correlation.head, id_or_name)) return &correlation.head;
  }
  return nullptr;
}

}  // namespace domicile::detect
