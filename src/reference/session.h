// One region's session with the publisher: a thread that reads the region's slot, refuses what may not travel, and
// makes frames of the rest; a few of them wait until they are pulled. A session ends with the first thing that is
// wrong, says why to every later pull, and is never mended: the applier opens another one from where it stands.
//
// Copies come first and in the same stream. A copy of everything belongs to a new slot: its rows are those of the
// slot's consistent point, and the stream goes on from there. Tables that joined later are copied when the stream
// has come to the consistent point of a second, temporary slot.
//
// A frame with rows of reference tables is an event, durable before the frame is given away.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>

#include "base/clock.h"
#include "base/secret.h"
#include "domain/event.h"
#include "pg/replication.h"
#include "reference/frame.h"
#include "reference/session_clerk.h"
#include "reference/table_shape.h"
#include "reference/withheld.h"

namespace domicile::reference {

inline constexpr const char* kPublication = "domicile_reference";
std::string slot_of(std::string_view region);  // domicile_us_east_1

enum class Copying { nothing, missing, everything };

struct SessionStart {
  std::string region;  // that pulls
  wire::Lsn position = 0;
  Copying copying = Copying::nothing;
  std::string reason;              // why everything is copied
  std::set<QualifiedName> copied;  // what the region holds already
};

struct SessionOptions {
  Secret dsn;
  domain::RegionId region;  // of the master
  std::size_t frame_bytes = 2u << 20;
  std::size_t waiting_max = 3;  // frames
  std::chrono::milliseconds slot_wait{
      10'000};                             // for the transactions that write when a slot is made
  std::chrono::milliseconds recheck{250};  // how often the classes are looked at
};

class Session {
 public:
  Session(SessionOptions options, SessionStart start, domain::EventSink& events,
          const Clock& clock);
  ~Session();  // stops
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // The frame of this sequence number (from 1), when it is there within `wait`; the same one again as often as it is
  // asked for until the next was. `durable`: everything before it is stored for good over there. An error is the end:
  // its reason is stable and for the applier.
  Result<std::optional<std::string>> pull(std::uint64_t sequence, wire::Lsn durable,
                                          std::chrono::milliseconds wait);
  void stop();  // the thread ends; waits for it

 private:
  struct Frame {
    std::string bytes;
    std::uint64_t sequence = 0;
    bool recorded = false;        // its event is durable
    std::optional<Error> failed;  // or cannot be
  };
  // With the threads that pull, and with the sink that records.
  struct Shared {
    std::mutex mutex;
    std::condition_variable changed;
    std::deque<std::shared_ptr<Frame>> waiting;
    std::shared_ptr<Frame> given;
    wire::Lsn durable = 0;
    std::optional<Error> ended;
    bool stopping = false;
  };
  // A relation of the stream.
  struct Described {
    QualifiedName name;
    std::vector<std::string> columns;
    Withholding withholding;
  };
  struct LateCopy {
    pg::ReplicationConnection holder;
    pg::NewSlot slot;
    std::vector<QualifiedName> tables;
  };

  void run();
  Result<void> stream();
  Result<void> read_tables();
  Result<void> check_class(std::string_view schema, std::string_view name);
  Result<void> begin_streaming(pg::ReplicationConnection& stream);
  Result<void> copy(const std::string& snapshot, wire::Lsn at,
                    const std::vector<QualifiedName>& tables);
  Result<void> take(const wire::replication::Data& data);
  Result<bool> note_relation(const wire::pgoutput::Relation& relation);
  Result<void> recheck();
  void withhold(Described& relation) const;
  Result<void> take_change(std::string_view message);
  void sequences();
  Result<void> report(pg::ReplicationConnection& stream);
  Result<void> seal();  // blocks while too many wait
  void finish(Error error);
  bool stopping();
  void note(const char* state, const Error& error);

  const SessionOptions options_;
  const SessionStart start_;
  const std::string slot_;
  domain::EventSink& events_;
  const Clock& clock_;

  const std::shared_ptr<Shared> shared_ = std::make_shared<Shared>();

  // Of the thread.
  std::optional<pg::Connection> sql_;
  std::optional<SessionClerk> clerk_;
  std::shared_ptr<const TableNames> allowed_;  // as the clerk said last
  TableShapes tables_;
  std::map<std::uint32_t, Described> relations_;
  std::map<std::uint32_t, QualifiedName> barred_;  // described, and no row of it may follow
  std::optional<LateCopy> late_;
  FrameWriter writer_;
  std::map<QualifiedName, std::uint64_t> rows_;  // of the frame being written
  wire::Lsn from_ = 0, to_ = 0;                  // what it covers
  bool in_transaction_ = false;
  std::uint64_t sequence_ = 0;
  SteadyTime reported_{}, said_again_{};
  wire::Lsn reported_durable_ = 0;
  std::thread thread_;
};

}  // namespace domicile::reference
