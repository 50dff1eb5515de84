// What `domicile up` remembers between starts: the ports it chose and the set-up steps that are
// done, each with a fingerprint of what it was done with, so that a changed input does the step
// again. It is written after every step; a run that was interrupted goes on behind the last one.
// One writer at a time: whoever holds the data folder's lock.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include <sys/types.h>

#include "app/local_config.h"
#include "app/local_process.h"
#include "base/result.h"

namespace domicile::app {

struct RegionState {
  std::map<std::string, std::uint16_t> ports;  // "postgresql", "door", "application"
  std::map<std::string, std::string> done;     // step -> fingerprint
};

struct LocalState {
  std::string application;
  std::string config_file;
  std::map<std::string, RegionState> regions;
};

Result<LocalState> load_state(const std::filesystem::path& data);  // empty when there is none
Result<void> save_state(const std::filesystem::path& data, const LocalState& state);

// Where things lie below the data folder.
struct LocalPaths {
  std::filesystem::path data;

  std::filesystem::path lock() const { return data / "lock"; }
  std::filesystem::path log(const std::string& service) const {
    return data / "log" / (service + ".log");
  }
  std::filesystem::path run(const std::string& service) const {
    return data / "run" / (service + ".pid");
  }
  std::filesystem::path binary() const { return data / "bin" / "domicile"; }
  std::filesystem::path checks() const { return data / "checks.toml"; }
  std::filesystem::path application() const { return data / "application"; }
  std::filesystem::path ca_certificate() const { return data / "ca.pem"; }
  std::filesystem::path ca_key() const { return data / "ca.key"; }
  std::filesystem::path region(const std::string& id) const { return data / "regions" / id; }
  std::filesystem::path secret(const std::string& id, const std::string& role) const {
    return region(id) / "secrets" / (role + ".pgpass");
  }
  std::filesystem::path node(const std::string& id) const { return region(id) / "node"; }
};

// /var/lib/domicile-up as root, else $XDG_DATA_HOME/domicile or ~/.local/share/domicile.
std::filesystem::path default_data_folder();

// One supervisor per data folder: an flock(), which the kernel lets go of however its holder ends.
class DataLock {
 public:
  // Code::conflict, with the holder's pid, when another one runs.
  static Result<DataLock> take(const LocalPaths& paths);
  // The pid of the one that runs, or nullopt.
  static std::optional<pid_t> holder(const LocalPaths& paths);
  // Writes this process's pid into the file; again after a fork.
  Result<void> sign();

  DataLock(DataLock&& other) noexcept;
  DataLock& operator=(DataLock&&) = delete;
  ~DataLock();

 private:
  explicit DataLock(int fd) : fd_(fd) {}
  int fd_ = -1;
};

}  // namespace domicile::app
