#include "detect/event_document.h"

#include <cmath>

#include <fmt/format.h>
#include <simdjson.h>

namespace domicile::detect {

namespace dom = simdjson::dom;

std::string FieldValue::as_text() const {
  switch (kind) {
    case Kind::text: return std::string(text);
    case Kind::number:
      if (number == std::floor(number) && std::abs(number) < 9e15) {
        return fmt::format("{}", static_cast<std::int64_t>(number));
      }
      return fmt::format("{}", number);
    case Kind::boolean: return number != 0 ? "true" : "false";
    case Kind::null:
    case Kind::object: return {};
  }
  return {};
}

std::size_t FieldIndex::add(const std::string& path) {
  const auto [at, is_new] = known_.try_emplace(path, paths_.size());
  if (is_new) paths_.push_back(path);
  return at->second;
}

namespace {

FieldValue value_of(const dom::element& element) {
  FieldValue value;
  switch (element.type()) {
    case dom::element_type::STRING:
      value.kind = FieldValue::Kind::text;
      value.text = element.get_string().value_unsafe();
      break;
    case dom::element_type::INT64:
      value.kind = FieldValue::Kind::number;
      value.number = static_cast<double>(element.get_int64().value_unsafe());
      break;
    case dom::element_type::UINT64:
      value.kind = FieldValue::Kind::number;
      value.number = static_cast<double>(element.get_uint64().value_unsafe());
      break;
    case dom::element_type::DOUBLE:
      value.kind = FieldValue::Kind::number;
      value.number = element.get_double().value_unsafe();
      break;
    case dom::element_type::BOOL:
      value.kind = FieldValue::Kind::boolean;
      value.number = element.get_bool().value_unsafe() ? 1 : 0;
      break;
    case dom::element_type::OBJECT: value.kind = FieldValue::Kind::object; break;
    case dom::element_type::ARRAY:
    case dom::element_type::NULL_VALUE: break;
  }
  return value;
}

// simdjson has refused what is nested deeper than its own limit: the recursion ends.
void collect(const dom::element& element, std::string_view path, std::vector<FieldValue>& out) {
  if (element.is_array()) {
    for (const dom::element item : element.get_array().value_unsafe()) collect(item, path, out);
    return;
  }
  if (path.empty()) {
    out.push_back(value_of(element));
    return;
  }
  if (!element.is_object()) return;
  const std::size_t dot = std::min(path.find('.'), path.size());
  dom::element child;
  if (element[path.substr(0, dot)].get(child) != simdjson::SUCCESS) return;
  collect(child, path.substr(std::min(dot + 1, path.size())), out);
}

void collect_all(const dom::element& element, std::vector<FieldValue>& out) {
  if (element.is_array()) {
    for (const dom::element item : element.get_array().value_unsafe()) collect_all(item, out);
  } else if (element.is_object()) {
    for (const auto member : element.get_object().value_unsafe()) collect_all(member.value, out);
  } else {
    out.push_back(value_of(element));
  }
}

}  // namespace

struct EventDocument::State {
  explicit State(const FieldIndex& of) : index(of) {}
  const FieldIndex& index;
  dom::parser parser{1u << 20};
  dom::element root;
  std::vector<std::vector<FieldValue>> cached;
  std::vector<bool> known;
  std::vector<FieldValue> all;
  bool all_known = false;
};

EventDocument::EventDocument(const FieldIndex& index) : state_(std::make_unique<State>(index)) {}
EventDocument::~EventDocument() = default;
EventDocument::EventDocument(EventDocument&&) noexcept = default;
EventDocument& EventDocument::operator=(EventDocument&&) noexcept = default;

Result<void> EventDocument::load(std::string_view json) {
  State& s = *state_;
  s.known.assign(s.index.paths().size(), false);
  s.cached.resize(s.index.paths().size());
  s.all_known = false;
  if (const auto error = s.parser.parse(json.data(), json.size()).get(s.root)) {
    s.root = {};
    return fail(Code::invalid,
                fmt::format("an event is not JSON: {}", simdjson::error_message(error)));
  }
  if (!s.root.is_object()) return fail(Code::invalid, "an event is JSON, but no object");
  return {};
}

std::span<const FieldValue> EventDocument::values(std::size_t field) {
  State& s = *state_;
  if (!s.known[field]) {
    s.cached[field].clear();
    collect(s.root, s.index.paths()[field], s.cached[field]);
    s.known[field] = true;
  }
  return s.cached[field];
}

std::span<const FieldValue> EventDocument::everything() {
  State& s = *state_;
  if (!s.all_known) {
    s.all.clear();
    collect_all(s.root, s.all);
    s.all_known = true;
  }
  return s.all;
}

std::string EventDocument::first(std::string_view path) const {
  std::vector<FieldValue> found;
  collect(state_->root, path, found);
  return found.empty() ? std::string() : found.front().as_text();
}

std::int64_t EventDocument::time_ms() const {
  std::vector<FieldValue> found;
  collect(state_->root, "time", found);
  if (found.empty() || found.front().kind != FieldValue::Kind::number) return 0;
  const double ms = found.front().number;
  return ms >= 0 && ms < 9e15 ? static_cast<std::int64_t>(ms) : 0;
}

}  // namespace domicile::detect
