// How a command reaches the node that writes the log: it leaves its act as a file in `spool/` of the
// log's folder, and the node does it and leaves the answer beside it. Without a node, the command
// does it itself, from the same file; so an act that was begun is finished by whoever comes next,
// also after a crash.
//
//   <time>-<random>.act       the act (log_act.h); it goes when its answer is written
//   <time>-<random>.answer    {"receipt":{...}} or {"error":{code, message, reason}}
//
// The folder has the log's owner and mode 0700: whoever can write there can write the log's files.
// The file's owner, as the system knows them, is who asks; a file of another user than the node's or
// root is refused, and what is no plain file is removed.
#pragma once

#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "audit/log_act.h"
#include "base/result.h"

namespace domicile::audit {

using PerformAct = std::function<Result<std::string>(const LogAct& act, std::string_view by)>;

// Leaves the act; its id. Code::unavailable: the folder cannot be written.
Result<std::string> leave_act(const std::filesystem::path& directory, const LogAct& act);
// Does every act that waits. How many.
Result<std::size_t> take_acts(const std::filesystem::path& directory, const PerformAct& perform);
// The answer to an act, once it is there: the receipt, or the node's refusal. Taken away with it.
// Code::timeout: there was none; the act waits for the node's next start.
Result<std::string> await_answer(const std::filesystem::path& directory, const std::string& id,
                                 std::chrono::milliseconds at_most);

// The node's side: a thread that looks every `interval`, and calls `also` each time.
class ActSpool {
 public:
  ActSpool(std::filesystem::path directory, PerformAct perform, std::function<void()> also,
           std::chrono::milliseconds interval = std::chrono::milliseconds(200));
  ~ActSpool();

 private:
  void run();

  const std::filesystem::path directory_;
  const PerformAct perform_;
  const std::function<void()> also_;
  const std::chrono::milliseconds interval_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace domicile::audit
