#include <algorithm>
#include <array>
#include <charconv>

#include <fmt/format.h>

#include "detect/rule.h"

namespace domicile::detect {
namespace {

constexpr std::array<std::string_view, 5> kLevels = {"informational", "low", "medium", "high",
                                                     "critical"};
constexpr std::array<std::string_view, 5> kStates = {"stable", "test", "experimental", "deprecated",
                                                     "unsupported"};
// Members that say nothing about what is matched.
constexpr std::array<std::string_view, 6> kUnread = {"modified", "license", "related",
                                                     "fields",   "scope",   "taxonomy"};

class Head {
 public:
  Head(const YamlNode& document, const std::string& file) : document_(document), file_(file) {}

  Result<RuleHead> parse() {
    out_.file = file_;
    out_.line = document_.line;
    for (const auto& [key, value] : document_.members) TRY(member(key, value));
    if (out_.title.empty()) return wrong(document_, "title is missing: say what the rule finds");
    if (out_.title.size() > 256) return wrong(document_, "title is longer than 256 bytes");
    if (out_.id.empty()) {
      return wrong(document_, "id is missing: give it a UUID of its own, which alerts carry");
    }
    if (!level_)
      return wrong(document_, "level is missing: informational, low, medium, high or critical");
    return std::move(out_);
  }

 private:
  std::unexpected<Error> wrong(const YamlNode& node, std::string_view what) const {
    return fail(Code::invalid, fmt::format("{}: line {}: {}", file_, node.line, what));
  }
  Result<std::string> text(const std::string& key, const YamlNode& value) const {
    if (value.is_text() && value.text.size() <= 4096) return value.text;
    return wrong(value, fmt::format("{} is a text of at most 4096 bytes", key));
  }
  Result<std::vector<std::string>> texts(const std::string& key, const YamlNode& value) const {
    std::vector<std::string> out;
    if (value.is_text()) return std::vector{value.text};
    if (!value.is_list()) return wrong(value, fmt::format("{} is a list of texts", key));
    for (const auto& item : value.items) out.push_back(TRY(text(key, item)));
    return out;
  }

  Result<void> member(const std::string& key, const YamlNode& value) {
    if (key == "title")
      out_.title = TRY(text(key, value));
    else if (key == "id")
      TRY(id(value));
    else if (key == "name")
      TRY(name(value));
    else if (key == "description")
      out_.description = TRY(text(key, value));
    else if (key == "author")
      out_.author = TRY(text(key, value));
    else if (key == "date")
      out_.date = TRY(text(key, value));
    else if (key == "status")
      TRY(status(value));
    else if (key == "level")
      TRY(level(value));
    else if (key == "tags")
      out_.tags = TRY(texts(key, value));
    else if (key == "falsepositives")
      out_.false_positives = TRY(texts(key, value));
    else if (key == "references")
      out_.references = TRY(texts(key, value));
    else if (key == "hold")
      TRY(hold(value));
    else if (key == "probe")
      TRY(probe(value));
    else if (std::ranges::find(kUnread, key) == kUnread.end() && key != "logsource" &&
             key != "detection" && key != "correlation") {
      return wrong(value,
                   fmt::format("\"{}\" is not supported: a rule has title, id, name, status, "
                               "description, references, author, date, tags, logsource, "
                               "detection or correlation, falsepositives, level, hold and probe",
                               key));
    }
    return {};
  }
  Result<void> id(const YamlNode& value) {
    out_.id = TRY(text("id", value));
    constexpr std::string_view kShape = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
    const bool fits = std::ranges::equal(out_.id, kShape, [](char have, char wanted) {
      return wanted == '-' ? have == '-'
                           : (have >= '0' && have <= '9') || (have >= 'a' && have <= 'f');
    });
    if (!fits) return wrong(value, "id is a UUID in lower case: make one with uuidgen");
    return {};
  }
  Result<void> name(const YamlNode& value) {
    out_.name = TRY(text("name", value));
    const bool fits =
        !out_.name.empty() && out_.name.size() <= 64 && std::ranges::all_of(out_.name, [](char c) {
          return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
        });
    if (!fits) return wrong(value, "name is up to 64 lower-case letters, digits, _ and -");
    return {};
  }
  Result<void> status(const YamlNode& value) {
    out_.status = TRY(text("status", value));
    if (std::ranges::find(kStates, out_.status) != kStates.end()) return {};
    return wrong(value, "status is stable, test, experimental, deprecated or unsupported");
  }
  Result<void> level(const YamlNode& value) {
    const auto name = TRY(text("level", value));
    const auto found = std::ranges::find(kLevels, name);
    if (found == kLevels.end()) {
      return wrong(value, "level is informational, low, medium, high or critical");
    }
    level_ = true;
    out_.level = static_cast<Level>(found - kLevels.begin());
    return {};
  }

  Result<void> hold(const YamlNode& value) {
    const auto span = parse_span_ms(value.text);
    if (!span) return wrong(value, "hold is a time such as 30m or 26h, at most 31d");
    out_.hold_ms = *span;
    return {};
  }

  Result<void> probe(const YamlNode& value) {
    if (!value.is_list() || value.items.empty() || value.items.size() > 32) {
      return wrong(value, "probe is a list of one to 32 events");
    }
    for (const auto& item : value.items) {
      if (!item.is_map()) return wrong(item, "an event of probe is a map");
      ProbeEvent event;
      for (const auto& [key, part] : item.members) TRY(probe_member(event, key, part));
      if (event.kind.empty()) return wrong(item, "an event of probe has a kind, such as request");
      out_.probe.push_back(std::move(event));
    }
    return {};
  }
  Result<void> probe_member(ProbeEvent& event, const std::string& key, const YamlNode& value) {
    if (key == "details") {
      if (!value.is_map()) return wrong(value, "details is a map of texts");
      for (const auto& [name, part] : value.members) {
        event.details.emplace_back(name, TRY(text(name, part)));
      }
      return {};
    }
    const std::string given = TRY(text(key, value));
    if (key == "repeat") {
      const auto [end, error] =
          std::from_chars(given.data(), given.data() + given.size(), event.repeat);
      if (error == std::errc() && end == given.data() + given.size() && event.repeat >= 1 &&
          event.repeat <= 1000) {
        return {};
      }
      return wrong(value, "repeat is a number from 1 to 1000");
    }
    if (key == "apart") {
      const auto span = parse_span_ms(given);
      if (!span) return wrong(value, "apart is a time such as 5s or 1m");
      event.apart_ms = *span;
      return {};
    }
    using Member = std::pair<std::string_view, std::string ProbeEvent::*>;
    static constexpr std::array kMembers = {
        Member{"kind", &ProbeEvent::kind},
        Member{"outcome", &ProbeEvent::outcome},
        Member{"activity", &ProbeEvent::activity},
        Member{"operation", &ProbeEvent::operation},
        Member{"resource", &ProbeEvent::resource},
        Member{"reason", &ProbeEvent::reason},
        Member{"organization", &ProbeEvent::organization},
        Member{"acting_organization", &ProbeEvent::acting_organization},
        Member{"actor", &ProbeEvent::actor},
        Member{"actor_role", &ProbeEvent::actor_role},
        Member{"source_ip", &ProbeEvent::source_ip},
        Member{"severity", &ProbeEvent::severity},
        Member{"vary", &ProbeEvent::vary}};
    const auto found = std::ranges::find(kMembers, key, &Member::first);
    if (found == kMembers.end()) return wrong(value, fmt::format("an event has no \"{}\"", key));
    event.*(found->second) = given;
    return {};
  }

  const YamlNode& document_;
  const std::string& file_;
  RuleHead out_;
  bool level_ = false;
};

}  // namespace

std::string_view to_string(Level level) { return kLevels[static_cast<std::size_t>(level)]; }

Result<RuleHead> parse_head(const YamlNode& document, const std::string& file) {
  return Head(document, file).parse();
}

std::optional<std::int64_t> parse_span_ms(std::string_view text) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end + 1 != text.data() + text.size() || number < 1 ||
      number > 100'000) {
    return std::nullopt;
  }
  std::int64_t unit_ms = 0;
  switch (*end) {
    case 's': unit_ms = 1000; break;
    case 'm': unit_ms = 60'000; break;
    case 'h': unit_ms = 3'600'000; break;
    case 'd': unit_ms = 86'400'000; break;
    default: return std::nullopt;
  }
  constexpr std::int64_t kSpanMaxMs = 31LL * 86'400'000;
  return number * unit_ms > kSpanMaxMs ? std::nullopt : std::optional(number * unit_ms);
}

}  // namespace domicile::detect
