// What a record of PostgreSQL's log says about residency, as an event: sessions past the gateway's
// logins, superusers and refused logins; what people run in them; changes of settings; the server's
// start. Everything else is no event. Pure.
//
// Only the server's own words count. A function can RAISE LOG any text, so a session is one only
// where the server was authenticating, and a changed setting only where the postmaster says so.
// Statements never enter the log, only what kind they are and their fingerprint; settings with their
// values only where the value is about the trail itself: others hold passwords.
#pragma once

#include <functional>
#include <optional>
#include <set>
#include <string>

#include "domain/event.h"
#include "trail/server_line.h"

namespace domicile::trail {

struct Expectations {
  std::set<std::string> logins;      // the gateway's, the application's, the node's own
  std::set<std::string> superusers;  // as the catalog says; empty: not known
};

// Settings whose change can silence the trail, or let rows out.
bool audit_setting(std::string_view name);

// nullopt: nothing to record. The event's time is the server's where it is known, else `now`.
std::optional<domain::Event> event_of(const ServerRecord& record, const Expectations& expected,
                                      WallTime now);

}  // namespace domicile::trail
