// The program's own log: one line an event on standard error, for operators. It is not the audit
// log: decisions go to EventSink. Never pass a Secret, a token, a request body or a person's name.
#pragma once

#include <string>
#include <string_view>

namespace domicile {

enum class LogLevel { debug, info, warning, error };

void set_log_level(LogLevel level);
void log(LogLevel level, std::string_view component, std::string_view message);

inline void log_info(std::string_view component, std::string_view message) {
  log(LogLevel::info, component, message);
}
inline void log_warning(std::string_view component, std::string_view message) {
  log(LogLevel::warning, component, message);
}
inline void log_error(std::string_view component, std::string_view message) {
  log(LogLevel::error, component, message);
}

}  // namespace domicile
