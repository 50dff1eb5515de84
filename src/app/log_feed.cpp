#include "app/log_feed.h"

#include <algorithm>
#include <memory>

#include "audit/log_reader.h"

namespace domicile::app {

Result<logindex::Feed> log_feed(const std::filesystem::path& directory, LastDurable last_durable) {
  auto reader = std::make_shared<audit::LogReader>(TRY(audit::LogReader::open(directory)));
  return [reader, last_durable = std::move(last_durable)](
             std::uint64_t from, std::size_t most) -> Result<std::vector<audit::LogEntry>> {
    if (last_durable) {
      const std::uint64_t last = last_durable();
      if (from > last) return std::vector<audit::LogEntry>{};
      most = static_cast<std::size_t>(std::min<std::uint64_t>(most, last - from + 1));
    }
    auto entries = reader->read(from, most);
    if (entries || entries.error().reason != "audit_trimmed") return entries;
    const std::uint64_t first = TRY(reader->first());
    if (first <= from) return std::vector<audit::LogEntry>{};
    return reader->read(first, most);
  };
}

logindex::Opener opener_of(const audit::PersonalVault& vault) {
  return [&vault](const logindex::Entry& entry) {
    auto opened = vault.open_event(entry.line, entry.sealed);
    return opened ? std::move(opened->line) : entry.line;
  };
}

}  // namespace domicile::app
