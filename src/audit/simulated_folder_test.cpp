// The simulated disk behind the ledger's crash tests.
#include "audit/simulated_folder.h"

#include <algorithm>

namespace domicile::audit {
namespace {
constexpr std::size_t kSector = 512;

std::unexpected<Error> broken() { return fail(Code::internal, "simulated: input/output error"); }
std::unexpected<Error> full() { return fail(Code::unavailable, "simulated: no space left"); }
}  // namespace

class SimulatedFile final : public AppendFile {
 public:
  SimulatedFile(SimulatedDisk& disk, std::string name) : disk_(disk), name_(std::move(name)) {}

  Result<void> append(std::string_view bytes) override {
    const std::lock_guard lock(disk_.mutex_);
    auto& content = disk_.entries_[name_].content;
    if (disk_.faulty()) {
      content += bytes.substr(0, bytes.size() * 2 / 3);
      return broken();
    }
    const std::size_t space = disk_.capacity_ - std::min(disk_.capacity_, disk_.used());
    content += bytes.substr(0, space);
    if (space < bytes.size()) return full();
    return {};
  }
  Result<void> flush() override {
    if (disk_.on_flush) disk_.on_flush();
    const std::lock_guard lock(disk_.mutex_);
    if (disk_.faulty()) return broken();
    auto& entry = disk_.entries_[name_];
    entry.durable = entry.content.size();
    return {};
  }
  Result<void> truncate(std::uint64_t bytes) override {
    const std::lock_guard lock(disk_.mutex_);
    if (disk_.faulty()) return broken();
    auto& entry = disk_.entries_[name_];
    entry.content.resize(bytes);
    entry.durable = std::min<std::size_t>(entry.durable, bytes);
    return {};
  }

 private:
  SimulatedDisk& disk_;
  std::string name_;
};

class SimulatedFolder final : public Folder {
 public:
  explicit SimulatedFolder(SimulatedDisk& disk) : disk_(disk) {}

  Result<std::vector<std::string>> list() override {
    const std::lock_guard lock(disk_.mutex_);
    std::vector<std::string> names;
    for (const auto& [name, entry] : disk_.entries_) names.push_back(name);
    return names;
  }
  Result<std::string> read(const std::string& name) override {
    const std::lock_guard lock(disk_.mutex_);
    const auto at = disk_.entries_.find(name);
    if (at == disk_.entries_.end()) return fail(Code::not_found, name);
    return at->second.content;
  }
  Result<std::string> read_part(const std::string& name, std::uint64_t offset,
                                std::size_t bytes_max) override {
    const std::string content = TRY(read(name));
    return content.substr(std::min<std::size_t>(offset, content.size()), bytes_max);
  }
  Result<void> put(std::span<const NamedBytes> files) override {
    for (const NamedBytes& file : files) {
      const std::lock_guard lock(disk_.mutex_);
      if (disk_.faulty()) return broken();
      const std::size_t space = disk_.capacity_ - std::min(disk_.capacity_, disk_.used());
      if (space < file.bytes.size()) return full();
      disk_.entries_[file.name] = {
          .content = file.bytes, .durable = file.bytes.size(), .name_durable = true};
    }
    return {};
  }
  Result<void> remove_folder(const std::string& name) override {
    const std::lock_guard lock(disk_.mutex_);
    if (disk_.faulty()) return broken();
    std::erase_if(disk_.entries_, [&](const auto& e) { return e.first.starts_with(name + '/'); });
    return {};
  }
  Result<std::unique_ptr<AppendFile>> open(const std::string& name) override {
    return std::make_unique<SimulatedFile>(disk_, name);
  }
  Result<std::unique_ptr<AppendFile>> create(const std::string& name) override {
    const std::lock_guard lock(disk_.mutex_);
    if (disk_.entries_.contains(name)) return fail(Code::conflict, name);
    const bool fails = disk_.faulty();
    disk_.entries_[name] = {.content = {}, .durable = 0, .name_durable = !fails};
    if (fails) return broken();
    return std::make_unique<SimulatedFile>(disk_, name);
  }
  Result<void> remove(const std::string& name) override {
    const std::lock_guard lock(disk_.mutex_);
    if (disk_.faulty()) return broken();
    disk_.entries_.erase(name);
    return {};
  }

 private:
  SimulatedDisk& disk_;
};

std::unique_ptr<Folder> SimulatedDisk::folder() { return std::make_unique<SimulatedFolder>(*this); }

bool SimulatedDisk::faulty() {
  ++operations_;
  if (crashed_) return true;
  if (fault_ == Fault::none || operations_ != fail_at_) return false;
  crashed_ = fault_ == Fault::crash;
  return true;
}

void SimulatedDisk::fail_at(int operation, Fault fault) {
  const std::lock_guard lock(mutex_);
  fail_at_ = operations_ + operation;
  fault_ = fault;
}

void SimulatedDisk::set_capacity(std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  capacity_ = bytes;
}

int SimulatedDisk::operations() const {
  const std::lock_guard lock(mutex_);
  return operations_;
}

bool SimulatedDisk::crashed() const {
  const std::lock_guard lock(mutex_);
  return crashed_;
}

std::size_t SimulatedDisk::used_bytes() const {
  const std::lock_guard lock(mutex_);
  return used();
}

std::size_t SimulatedDisk::used() const {
  std::size_t bytes = 0;
  for (const auto& [name, entry] : entries_) bytes += entry.content.size();
  return bytes;
}

void SimulatedDisk::kill() {
  const std::lock_guard lock(mutex_);
  crashed_ = false;
  fault_ = Fault::none;
}

void SimulatedDisk::lose_power(std::mt19937& dice) {
  const std::lock_guard lock(mutex_);
  crashed_ = false;
  fault_ = Fault::none;
  std::erase_if(entries_, [&](const auto& e) { return !e.second.name_durable && dice() % 2 == 0; });
  for (auto& [name, entry] : entries_) {
    const std::size_t loose = entry.content.size() - entry.durable;
    entry.content.resize(entry.durable + (loose == 0 ? 0 : dice() % (loose + 1)));
    for (std::size_t at = entry.durable; at < entry.content.size();) {
      const std::size_t end = std::min(entry.content.size(), (at / kSector + 1) * kSector);
      if (dice() % 4 == 0) std::fill(entry.content.begin() + at, entry.content.begin() + end, '\0');
      at = end;
    }
    entry.durable = entry.content.size();
    entry.name_durable = true;
  }
}

std::map<std::string, std::string> SimulatedDisk::files() const {
  const std::lock_guard lock(mutex_);
  std::map<std::string, std::string> copy;
  for (const auto& [name, entry] : entries_) copy[name] = entry.content;
  return copy;
}

void SimulatedDisk::set_file(const std::string& name, std::string content) {
  const std::lock_guard lock(mutex_);
  const std::size_t size = content.size();
  entries_[name] = {.content = std::move(content), .durable = size, .name_durable = true};
}

}  // namespace domicile::audit
