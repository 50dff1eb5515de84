// Event -> OCSF 1.8 (https://schema.ocsf.io/1.8.0), so that any SIEM reads the log without a
// mapping.
//
// The text is canonical: the same Event gives the same bytes on every machine; members stand in
// alphabetical order, except that `unmapped` comes last (the line's frame ends there). An
// OcsfRecord lacks two things that only the writer knows: metadata.sequence, which goes between
// head and tail, and the frame after the tail (see event_line.h).
//
// A cross-region event becomes two records: the denied request (6003), so that the population of
// requests is complete, and a detection finding (2004) that needs no rule in the reader's tool.
// Both hold the organization's key, the reason and the request id and nothing else (but a vault's
// tag of the day), whatever the caller filled in: the person is recorded at home.
//
// Pure and thread-safe. Long fields are cut (metadata.is_truncated says so); a record never exceeds
// kRecordBytesMax.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "domain/event.h"

namespace domicile::audit {

constexpr std::string_view kOcsfVersion = "1.8.0";
constexpr std::size_t kRecordBytesMax = 60'000;

inline constexpr std::array kEventKinds{
    domain::EventKind::sign_in,        domain::EventKind::token_issued,
    domain::EventKind::request,        domain::EventKind::cross_region,
    domain::EventKind::sql_session,    domain::EventKind::sql_statement,
    domain::EventKind::grant_changed,  domain::EventKind::organization_changed,
    domain::EventKind::policy_changed, domain::EventKind::reference_applied,
    domain::EventKind::drift_repaired, domain::EventKind::finding,
    domain::EventKind::log_changed,    domain::EventKind::detection,
    domain::EventKind::cloud_activity, domain::EventKind::schema_changed,
    domain::EventKind::config_changed, domain::EventKind::key_changed};

struct OcsfRecord {
  std::string text;             // without its sequence, and ending at the comma before the frame
  std::size_t sequence_at = 0;  // where the sequence goes: behind `"sequence":`
  std::string sealed;           // personal fields, sealed: JSON-safe, no quotes; empty: none
};

// What a vault (personal_vault.h) says of an event whose persons it has taken out.
struct PersonalNote {
  std::string_view sealed_hash;  // empty: nothing was sealed
  std::string_view actor_tag;    // of a cross-region event; empty: none
  bool truncated = false;
};

std::vector<OcsfRecord> to_ocsf(const domain::Event& event, const PersonalNote& personal = {});
bool holds_nobody(const domain::Event& event);  // a wrong-region event

// Stable names, in metadata.event_code; the CLI's filters use them.
std::string_view to_string(domain::EventKind kind);
std::string_view to_string(domain::Outcome outcome);

}  // namespace domicile::audit
