// One session's records one after the other, whatever frames they come in, and what is known of each frame for its
// event. One thread.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "reference/frame.h"
#include "reference/pull.h"
#include "reference/table_shape.h"

namespace domicile::reference {

struct FrameFacts {
  std::uint64_t sequence = 0;
  std::size_t bytes = 0;
  std::string sha256;  // of its records
  std::map<QualifiedName, std::uint64_t> rows;
};

class RecordSource {
 public:
  explicit RecordSource(Puller& puller) : puller_(puller) {}

  enum class Moment { record, frame_end, idle };
  struct Next {
    Moment moment = Moment::idle;
    Record record;
  };
  // Bytes stay valid while held() is kept.
  Result<Next> next(std::chrono::milliseconds wait);
  const PulledFrame& frame() const { return *frame_; }
  FrameFacts& facts() { return facts_; }
  // The bytes of frames since the last release(): whoever keeps views of them keeps these.
  void release();

 private:
  Puller& puller_;
  std::optional<PulledFrame> frame_;
  std::optional<FrameReader> reader_;
  FrameFacts facts_;
  std::vector<std::shared_ptr<const std::string>> held_;
};

}  // namespace domicile::reference
