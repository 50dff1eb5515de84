#include "reference/record_source.h"

#include "crypto/sha256.h"

namespace domicile::reference {

Result<RecordSource::Next> RecordSource::next(std::chrono::milliseconds wait) {
  if (!reader_) {
    auto pulled = TRY(puller_.next(wait));
    if (!pulled) return Next{};
    frame_ = std::move(pulled);
    held_.push_back(frame_->bytes);
    reader_ = TRY(FrameReader::open(*frame_->bytes));
    facts_ = FrameFacts{
        .sequence = reader_->sequence(),
        .bytes = frame_->bytes->size(),
        .sha256 = crypto::sha256_hex(std::string_view(*frame_->bytes).substr(FrameWriter::kHead)),
        .rows = {}};
  }
  if (const auto record = TRY(reader_->next())) return Next{Moment::record, *record};
  reader_.reset();
  return Next{Moment::frame_end, {}};
}

void RecordSource::release() {
  held_.clear();
  if (reader_) held_.push_back(frame_->bytes);
}

}  // namespace domicile::reference
