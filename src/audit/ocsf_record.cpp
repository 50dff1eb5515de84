#include "audit/ocsf_record.h"

#include <algorithm>

#include "audit/personal_text.h"

namespace domicile::audit {

using domain::Event;
using domain::EventKind;
using domain::Outcome;

RecordWriter::RecordWriter(const Event& event, const OcsfClass& shape, OcsfCode activity,
                           RecordLimits limits, const PersonalNote& personal)
    : event_(event),
      shape_(shape),
      activity_(activity),
      limits_(limits),
      personal_(personal),
      json_(text_) {
  for (const auto& [name, value] : event.details) details_.emplace(name, value);
  truncated_ = personal.truncated || too_long();
}

bool RecordWriter::too_long() const {
  const auto over = [&](std::string_view value) { return value.size() > limits_.field_bytes; };
  return over(event_.organization.view()) || over(event_.acting_organization.view()) ||
         over(event_.actor.view()) || over(event_.actor_role) || over(event_.source_ip) ||
         over(event_.request_id) || over(event_.operation) || over(event_.resource) ||
         over(event_.reason) || details_.size() > limits_.details ||
         std::ranges::any_of(details_,
                             [&](const auto& d) { return over(d.first) || over(d.second); });
}

OcsfRecord RecordWriter::write() {
  text_.reserve(1024);
  json_.open();
  if (!is(EventKind::finding) && event_.kind != EventKind::detection &&
      event_.outcome != Outcome::failed) {
    member("action", event_.outcome == Outcome::allowed ? "Allowed" : "Denied");
    json_.key("action_id").number(event_.outcome == Outcome::allowed ? 1 : 2);
  }
  json_.key("activity_id").number(activity_.id);
  member("activity_name", activity_.caption);
  if (shape_.actor) actor();
  if (shape_.uid == 6003) {
    json_.key("api").open();
    member("operation", event_.operation.empty() ? "unknown" : event_.operation);
    json_.close();
  }
  classification();
  json_.key("cloud").open();
  member("provider", "Domicile");
  member("region", event_.region.view());
  json_.close();
  if (shape_.uid == 7001)
    member("command_uid", event_.request_id.empty() ? event_.operation : event_.request_id);
  if (is(EventKind::finding)) compliance();
  datastore();
  if (shape_.uid == 3004) entity();
  if (finding()) finding_info();
  if (shape_.uid == 1008) log_names();
  metadata();
  privileges();
  query_info();
  remediation();
  if (shape_.resources) resources();
  if (is(EventKind::sign_in)) service();
  severity();
  if (shape_.actor) src_endpoint();
  status();
  if (is(EventKind::reference_applied) || is(EventKind::schema_changed)) {
    json_.key("table").open();
    member("name", event_.resource.empty() ? "unknown" : event_.resource);
    json_.close();
  }
  json_.key("time").number(static_cast<std::uint64_t>(
      std::max<std::int64_t>(0, event_.time.time_since_epoch().count())));
  json_.key("type_uid").number(shape_.uid * 100 + activity_.id);
  user();
  unmapped();
  return {.text = std::move(text_), .sequence_at = sequence_at_};
}

void RecordWriter::person(const domain::UserId& id, const domain::OrgKey& organization,
                          std::string_view role) {
  json_.open();
  if (!role.empty()) {
    json_.key("groups").open_list();
    json_.item();
    json_.open();
    member("name", role);
    member("type", "role");
    json_.close();
    json_.close_list();
  }
  if (id.empty()) member("name", role.empty() ? "unknown" : role);
  if (!organization.empty()) {
    json_.key("org").open();
    member("uid", organization.view());
    json_.close();
  }
  if (id.empty() && role.empty()) json_.key("type_id").number(0);
  if (!id.empty()) member("uid", id.view());
  json_.close();
}

void RecordWriter::actor() {
  json_.key("actor").open();
  if (event_.actor.empty() && event_.actor_role.empty()) {
    member("app_name", event_.operation == kWithoutPerson ? "not recorded" : "unknown");
  } else {
    json_.key("user");
    const auto& own =
        event_.acting_organization.empty() ? event_.organization : event_.acting_organization;
    person(event_.actor, own, event_.actor_role);
  }
  json_.close();
}

void RecordWriter::classification() {
  member("category_name", shape_.category_name);
  json_.key("category_uid").number(shape_.category_uid);
  member("class_name", shape_.name);
  json_.key("class_uid").number(shape_.uid);
}

void RecordWriter::compliance() {
  json_.key("compliance").open();
  member("control", event_.operation.empty() ? "unknown" : event_.operation);
  const std::string_view standards = detail("standards");
  if (!standards.empty()) {
    json_.key("standards").open_list();
    json_.item();
    json_.text(cut(standards));
    json_.close_list();
  }
  // 1 Pass, 3 Fail; a check that could not run is neither.
  const unsigned id = event_.outcome == Outcome::allowed  ? 1
                      : event_.outcome == Outcome::denied ? 3
                                                          : 99;
  member("status", id == 1 ? "Pass" : id == 3 ? "Fail" : "No evidence");
  optional("status_code", event_.reason);
  optional("status_detail", detail("observed"));
  json_.key("status_id").number(id);
  json_.close();
}

void RecordWriter::datastore() {
  if (!is(EventKind::sql_session) && !is(EventKind::sql_statement)) return;
  json_.key("database").open();
  member("name", event_.resource.empty() ? "unknown" : event_.resource);
  json_.key("type_id").number(1);  // relational
  json_.close();
}

void RecordWriter::entity() {
  json_.key("entity").open();
  if (is(EventKind::organization_changed)) {
    member("name", event_.organization.empty() ? event_.resource : event_.organization.view());
    member("type", "Organization");
  } else {
    const std::string_view name =
        event_.resource.empty() ? std::string_view(event_.operation) : event_.resource;
    member("name", name.empty() ? "unknown" : name);
    member("type", is(EventKind::config_changed) ? "Configuration"
                   : is(EventKind::key_changed)  ? "Key"
                                                 : "Policy");
  }
  json_.close();
}

void RecordWriter::finding_info() {
  json_.key("finding_info").open();
  if (is(EventKind::finding)) {
    optional("desc", detail("observed"));
    const std::string_view title = detail("title");
    member("title", title.empty() ? std::string_view(event_.operation) : title);
    member("uid", event_.operation + "/" + event_.resource);
  } else if (event_.kind == EventKind::detection) {
    detected();
  } else {
    member("title", "Request for an organization whose home is another region");
    member("uid", "cross-region/" + event_.request_id);
  }
  json_.close();
}

// What a rule found: `operation` is the rule where no detail names it.
void RecordWriter::detected() {
  const auto either = [](std::string_view first, std::string_view second) {
    return first.empty() ? second : first;
  };
  const std::string_view rule = either(either(detail("rule"), event_.operation), "unknown");
  optional("desc", detail("observed"));
  member("title", either(detail("title"), rule));
  member("uid", either(detail("finding_uid"), rule));
}

void RecordWriter::log_names() {
  member("log_name", event_.resource.empty() ? "events" : event_.resource);
  member("log_provider", "domicile");
}

void RecordWriter::metadata() {
  json_.key("metadata").open();
  optional("correlation_uid", event_.request_id);
  member("event_code", to_string(event_.kind));
  if (truncated_) json_.key("is_truncated").boolean(true);
  member("log_name", "domicile");
  json_.key("product").open();
  member("name", "Domicile");
  member("vendor_name", "Domicile");
  json_.close();
  json_.key("profiles").open_list();
  json_.item();
  json_.text("cloud");
  json_.item();
  json_.text("security_control");
  json_.close_list();
  json_.key("sequence");
  sequence_at_ = text_.size();
  optional("tenant_uid", event_.organization.view());
  member("version", kOcsfVersion);
  json_.close();
}

// "a b c" in details -> ["a","b","c"]
void RecordWriter::privileges() {
  if (shape_.uid != 3003 && shape_.uid != 3005) return;
  std::string_view rest = detail("permissions");
  if (rest.empty()) rest = detail("scope");
  rest = cut(rest);
  json_.key("privileges").open_list();
  while (!rest.empty()) {
    const std::size_t space = std::min(rest.find(' '), rest.size());
    if (space > 0) {
      json_.item();
      json_.text(rest.substr(0, space));
    }
    rest.remove_prefix(std::min(space + 1, rest.size()));
  }
  json_.close_list();
}

void RecordWriter::query_info() {
  if (!is(EventKind::sql_statement)) return;
  const std::string_view fingerprint = detail("fingerprint");
  const std::string_view text =
      fingerprint.empty() ? std::string_view(event_.operation) : fingerprint;
  json_.key("query_info").open();
  member("name", event_.operation.empty() ? "unknown" : event_.operation);
  member("query_string", text.empty() ? "unknown" : text);
  json_.close();
}

void RecordWriter::remediation() {
  if (!is(EventKind::finding) || detail("remedy").empty()) return;
  json_.key("remediation").open();
  member("desc", detail("remedy"));
  json_.close();
}

void RecordWriter::resources() {
  json_.key("resources").open_list();
  json_.item();
  json_.open();
  if (!event_.resource.empty())
    member("name", event_.resource);
  else if (event_.organization.empty())
    member("name", event_.operation.empty() ? "unknown" : event_.operation);
  member("region", event_.region.view());
  if (event_.resource.empty() && !event_.organization.empty()) {
    member("type", "Organization");
    member("uid", event_.organization.view());
  }
  json_.close();
  json_.close_list();
}

void RecordWriter::service() {
  json_.key("service").open();
  member("name", "domicile-issuer");
  json_.close();
}

void RecordWriter::severity() {
  const OcsfCode level = ocsf_severity(event_);
  member("severity", level.caption);
  json_.key("severity_id").number(level.id);
}

void RecordWriter::src_endpoint() {
  json_.key("src_endpoint").open();
  if (event_.source_ip.empty()) {
    member("svc_name", "domicile");
  } else if (is_commitment(event_.source_ip)) {
    member("uid", event_.source_ip);
  } else {
    member("ip", event_.source_ip);
  }
  json_.close();
}

// Of a finding, `status` would be its place in somebody's work list: not ours to say.
void RecordWriter::status() {
  if (finding()) return;
  const bool success = event_.outcome == Outcome::allowed;
  member("status", success ? "Success" : "Failure");
  optional("status_code", event_.reason);
  json_.key("status_id").number(success ? 1 : 2);
}

void RecordWriter::user() {
  if (shape_.uid != 3002 && shape_.uid != 3003 && shape_.uid != 3005) return;
  json_.key("user");
  if (shape_.uid == 3005) {
    person(domain::UserId(detail("subject")), event_.acting_organization, {});
  } else {
    person(event_.actor, event_.organization, {});
  }
}

void RecordWriter::unmapped() {
  json_.key("unmapped").open();
  if (!details_.empty() && limits_.details > 0) {
    json_.key("details").open();
    std::size_t left = limits_.details;
    for (const auto& [name, value] : details_) {
      if (left-- == 0) break;
      json_.any_key(cut(name)).text(cut(value));
    }
    json_.close();
  }
  if (event_.epoch != 0) json_.key("epoch").number(event_.epoch);
  if (shape_.uid != 6003 && !finding()) optional("operation", event_.operation);
  member("outcome", to_string(event_.outcome));
  optional("personal", personal_.sealed_hash);
  if (shape_.category_uid == 3 && !shape_.resources) optional("resource", event_.resource);
  text_ += ',';  // the frame follows
}

}  // namespace domicile::audit
