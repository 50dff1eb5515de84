// A disk for tests: it counts operations, fails the one it is told to, runs full, and on power loss
// keeps only what was flushed plus an arbitrary part of the rest, in sectors. Thread-safe.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <vector>

#include "audit/log_keys.h"
#include "audit/storage.h"

namespace domicile::audit {

// The same keys for every ledger of the process.
inline LogKeys test_keys() {
  static const LogKeys keys = LogKeys::in_memory("domicile/ca-central-1").value();
  return keys;
}

class SimulatedDisk {
 public:
  enum class Fault {
    none,
    crash,  // the operation happens in part, and every later one fails: the process is gone
    error,  // this one operation fails, in part
  };

  std::unique_ptr<Folder> folder();  // must not outlive the disk

  void fail_at(int operation, Fault fault);  // counted from now, 1 is the next one
  void set_capacity(std::size_t bytes);
  std::size_t used_bytes() const;
  int operations() const;
  bool crashed() const;
  void kill();  // the process died, the machine did not: everything written stays
  void lose_power(std::mt19937& dice);  // whatever was not flushed stays in part
  std::map<std::string, std::string> files() const;
  void set_file(const std::string& name, std::string content);
  std::function<void()> on_flush;  // called outside the lock, before a flush takes effect

 private:
  friend class SimulatedFile;
  friend class SimulatedFolder;
  struct Entry {
    std::string content;      // what a reader sees
    std::size_t durable = 0;  // bytes that survive power loss
    bool name_durable = true;
  };
  // True when this operation is to fail; `crash` has then been noted.
  bool faulty();
  std::size_t used() const;

  mutable std::mutex mutex_;
  std::map<std::string, Entry> entries_;
  std::size_t capacity_ = SIZE_MAX;
  int operations_ = 0;
  int fail_at_ = 0;
  Fault fault_ = Fault::none;
  bool crashed_ = false;
};

}  // namespace domicile::audit
