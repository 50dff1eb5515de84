#include "audit/log_prover.h"

#include <fmt/format.h>

namespace domicile::audit {
namespace {

tlog::SubtreeHash subtrees(LogSource& source, std::uint64_t size) {
  return tlog::subtrees_from_tiles(
      size, [&source](const tlog::TileId& id) { return read_tile(source, id); });
}

std::unexpected<Error> contradicts(const LogSource& source) {
  return fail(Code::denied,
              fmt::format("the files of {} contradict its checkpoint; domicile audit verify tells "
                          "which",
                          source.name()),
              "proof_invalid");
}

}  // namespace

Result<EntryProof> prove_entry(LogSource& source, const tlog::Policy& policy, std::uint64_t index) {
  EntryProof out;
  out.file.index = index;
  out.file.checkpoint = TRY(source.read("checkpoint", tlog::kNoteBytesMax));
  auto now = policy.require(out.file.checkpoint);
  if (!now && now.error().reason == "quorum_missing") {
    auto earlier = source.read("checkpoint.witnessed", tlog::kNoteBytesMax);
    if (!earlier) return std::unexpected(std::move(now).error());
    out.file.checkpoint = std::move(*earlier);
    now = policy.require(out.file.checkpoint);
  }
  const auto believed = TRY(std::move(now));
  const std::uint64_t size = believed.checkpoint.size;
  if (index >= size) {
    return fail(Code::not_found,
                fmt::format("the checkpoint of {} covers {} entries, from 0: there is no entry {}",
                            believed.checkpoint.origin, size, index));
  }
  const std::uint64_t bundle = index / tlog::kTileWidth;
  const unsigned width = tlog::tile_width(0, bundle, size);
  const std::string bytes = TRY(read_bundle(source, bundle, width));
  const auto entries = tlog::parse_bundle(bytes, width);
  if (!entries) return contradicts(source);
  out.entry = (*entries)[index % tlog::kTileWidth];
  out.file.proof = TRY(tlog::inclusion_proof(index, size, subtrees(source, size)));
  if (!tlog::verify_proof_file(out.file, out.entry, policy)) return contradicts(source);
  return out;
}

Result<std::vector<tlog::Hash>> prove_growth(LogSource& source, const tlog::Checkpoint& now,
                                             std::uint64_t old_size) {
  const auto subtree = subtrees(source, now.size);
  auto proof = TRY(tlog::consistency_proof(old_size, now.size, subtree));
  const auto old_root = TRY(tlog::root_of(old_size, subtree));
  if (!tlog::verify_consistency(old_size, now.size, proof, old_root, now.root)) {
    return contradicts(source);
  }
  return proof;
}

}  // namespace domicile::audit
