// What an Applier does on its threads (reference/applier.h).
#pragma once

#include <array>
#include <condition_variable>
#include <future>
#include <map>
#include <mutex>
#include <optional>
#include <thread>

#include "reference/applier.h"
#include "reference/change_writer.h"
#include "reference/lag.h"
#include "reference/record_source.h"

namespace domicile::reference {

class Applier::Worker {
 public:
  Worker(ApplierOptions options, domain::EventSink& events, const Clock& clock);
  ~Worker() { stop(); }
  void start();
  void stop();
  ApplierStatus status() const;
  std::string dsn() const { return std::string(options_.dsn.reveal()); }

 private:
  class CopyStream;
  using Recorded = std::future<Result<std::uint64_t>>;
  enum class Savepoint { none, net };  // what a ChangeWriter goes back to
  // Where this region stands, as its database says.
  struct Standing {
    std::string master_region, system_identifier, database_id, position;
    std::int64_t timeline = 0;
    bool accept_master = false, resync = false;
    std::map<QualifiedName, wire::Lsn> copied;
  };
  // The master, as it answered.
  struct Master {
    std::string session, region, system_identifier, database_id, copy;
    std::int64_t timeline = 0;
    wire::Lsn flushed = 0;  // how far its log was
    TableShapes tables;
  };

  void run();
  Result<void> follow();  // one session, until it ends
  Result<Standing> read_standing();
  Result<Master> open_session(Peer& peer, const Standing& standing);
  Result<void> agree(const Master& master);
  Result<void> remember_columns(const Master& master);
  Result<void> loop(RecordSource& source, Puller& puller);
  Result<void> take_message(RecordSource& source, std::string_view message);
  Result<void> take_relation(const wire::pgoutput::Relation& relation);
  bool is_other_type(const wire::pgoutput::Column& column, const ColumnShape& mine) const;
  Result<void> take_change(RecordSource& source, std::string_view message,
                           const wire::pgoutput::AnyMessage& parsed);
  Result<void> store_piece();  // what has come of an open transaction
  Result<void> commit(RecordSource& source, Puller& puller);
  std::vector<Recorded> submit_frames(domain::Outcome outcome, std::string_view reason);
  Result<void> make_visible(std::vector<Recorded> recorded);
  Result<void> copy(RecordSource& source, Puller& puller, std::string_view begin);
  Result<void> finish_copy(const std::vector<QualifiedName>& names, wire::Lsn at, bool all);
  Result<void> require_class(const std::vector<QualifiedName>& names, Savepoint savepoint);
  Result<void> set_sequences(std::string_view values);

  bool stopping() const;

  void report(std::string_view state, const Error& error);
  void raise(std::string_view kind, const std::string& object, const std::string& detail,
             std::string_view severity);
  void note_lag(RecordSource& source);
  Result<void> keep_house(Puller& puller);
  void watch_limit(std::chrono::milliseconds behind, const std::string& why);

  const ApplierOptions options_;
  domain::EventSink& events_;
  const Clock& clock_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  ApplierStatus status_;

  // Of the thread.
  std::optional<pg::Connection> sql_;
  TableShapes own_;
  std::vector<QualifiedName> order_;
  std::map<QualifiedName, wire::Lsn> copied_;
  wire::Lsn agreed_at_ = 0;  // where the master was when both schemas were found to agree
  std::map<std::uint32_t, Target> targets_;
  std::map<std::uint32_t, std::string> described_;  // a relation's message, to know it again
  ChangeSet changes_;
  std::map<QualifiedName, std::array<std::int64_t, 4>>
      counts_;                      // inserts, updates, deletes, conflicts of the transaction
  std::vector<FrameFacts> frames_;  // that are not committed yet
  bool open_ = false;               // a transaction here
  bool savepoint_ = false;          // in it
  bool in_source_ = false;          // inside one of the master's
  bool beat_ = false;               // a heartbeat is among what is not committed
  wire::Lsn begun_ = 0;             // the commit position of the master's transaction at hand
  std::int64_t beat_committed_us_ = 0;
  wire::Lsn reached_ = 0;   // the end of the last whole one
  wire::Lsn position_ = 0;  // what is committed
  Lag lag_;
  ClockOffset clock_offset_;
  // What the database's own log had not on disk yet when it was looked at last.
  struct Unconfirmed {
    wire::Lsn position = 0;  // of the master
    wire::Lsn written = 0;   // in the log here
  };
  std::optional<Unconfirmed> unconfirmed_;
  SteadyTime well_at_{};  // when a heartbeat was stored last
  bool behind_ = true;    // a finding may say so, also from before the start
  std::string reported_;
  std::thread thread_;
};

}  // namespace domicile::reference
