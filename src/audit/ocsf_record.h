// Writes one OCSF record, member by member in alphabetical order. Used by to_ocsf() alone.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "audit/json_text.h"
#include "audit/ocsf.h"
#include "audit/ocsf_class.h"

namespace domicile::audit {

// The operation of an event that was stripped of everything personal.
constexpr std::string_view kWithoutPerson = "cross-region request";

struct RecordLimits {
  std::size_t field_bytes = 1024;
  std::size_t details = 64;
};

class RecordWriter {
 public:
  // `event`, `shape` and `personal` must outlive the writer.
  RecordWriter(const domain::Event& event, const OcsfClass& shape, OcsfCode activity,
               RecordLimits limits, const PersonalNote& personal);

  OcsfRecord write();

 private:
  void actor();
  void classification();
  void compliance();
  void datastore();
  void detected();
  void entity();
  void finding_info();
  void log_names();
  void metadata();
  void privileges();
  void query_info();
  void remediation();
  void resources();
  void service();
  void severity();
  void src_endpoint();
  void status();
  void user();
  void unmapped();
  void person(const domain::UserId& id, const domain::OrgKey& organization, std::string_view role);

  bool is(domain::EventKind kind) const {
    return event_.kind == kind && shape_.uid != kDetectionFinding.uid;
  }
  bool finding() const { return shape_.category_uid == 2; }
  std::string_view cut(std::string_view value) const {
    return utf8_prefix(value, limits_.field_bytes);
  }
  void member(const JsonKey& name, std::string_view value) { json_.key(name).text(cut(value)); }
  void optional(const JsonKey& name, std::string_view value) {
    if (!value.empty()) member(name, value);
  }
  std::string_view detail(std::string_view name) const {
    const auto at = details_.find(name);
    return at == details_.end() ? std::string_view{} : std::string_view(at->second);
  }
  bool too_long() const;

  const domain::Event& event_;
  const OcsfClass& shape_;
  const OcsfCode activity_;
  const RecordLimits limits_;
  const PersonalNote& personal_;
  std::map<std::string, std::string, std::less<>> details_;
  std::string text_;
  JsonText json_;
  std::size_t sequence_at_ = 0;
  bool truncated_ = false;
};

}  // namespace domicile::audit
