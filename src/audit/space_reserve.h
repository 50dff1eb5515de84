// Space set aside on the log's disk, so that an administrator's acts can still be recorded when it
// is full and everything else is refused: without them nobody could free space, grant, or close a
// hole, with evidence. A file of random bytes, removed when it is needed.
//
// While it is spent, only such events are written, until the disk has room for a new reserve. The
// ledger's writer thread only.
#pragma once

#include <cstdint>

#include "audit/storage.h"
#include "base/clock.h"
#include "domain/event.h"

namespace domicile::audit {

// Whether the event is an administrator's act, or the log's own.
bool is_administrative(domain::EventKind kind);

class SpaceReserve {
 public:
  // `folder` and `clock` outlive it. 0 bytes: there is none.
  SpaceReserve(Folder& folder, const Clock& clock, std::size_t bytes);

  // The disk is full. False: the reserve is gone already, or there was none.
  bool spend();
  // Whether ordinary events may be written: true but while the reserve is spent and there is no
  // room for a new one, which is looked at once a second.
  bool ordinary_events();
  bool spent() const { return spent_; }

 private:
  bool set_aside();

  Folder& folder_;
  const Clock& clock_;
  std::size_t bytes_;
  bool spent_ = false;
  SteadyTime tried_{};
};

}  // namespace domicile::audit
