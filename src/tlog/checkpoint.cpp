#include "tlog/checkpoint.h"

#include <algorithm>

#include <fmt/format.h>

#include "tlog/text.h"

namespace domicile::tlog {

std::string checkpoint_text(const Checkpoint& checkpoint) {
  std::string text =
      fmt::format("{}\n{}\n{}\n", checkpoint.origin, checkpoint.size, hash_text(checkpoint.root));
  for (const auto& line : checkpoint.extensions) text += line + "\n";
  return text;
}

Result<Checkpoint> parse_checkpoint(std::string_view text) {
  const auto wrong = [](std::string_view what) {
    return fail(Code::invalid, fmt::format("not a checkpoint: {}", what));
  };
  Checkpoint out;
  const auto origin = take_line(text);
  if (!origin || origin->empty()) return wrong("the first line, the origin, is empty");
  out.origin = *origin;
  const auto size = take_line(text);
  const auto number = size ? parse_decimal(*size) : std::nullopt;
  if (!number) return wrong("the second line is not a size");
  out.size = *number;
  const auto root = take_line(text);
  const auto hash = root ? parse_hash(*root) : std::nullopt;
  if (!hash) return wrong("the third line is not the base64 of a SHA-256 hash");
  out.root = *hash;
  while (!text.empty()) {
    const auto line = take_line(text);
    if (!line || line->empty()) return wrong("an extension line is empty or has no newline");
    out.extensions.emplace_back(*line);
  }
  return out;
}

Result<SignedCheckpoint> open_checkpoint(std::string_view content, std::span<const NoteKey> keys) {
  auto note = TRY(parse_note(content));
  auto signers = TRY(verify_note(note, keys));
  auto checkpoint = TRY(parse_checkpoint(note.text));
  const bool by_its_log = std::ranges::any_of(signers, [&](std::size_t i) {
    return keys[i].name() == checkpoint.origin && keys[i].type() == SignatureType::ed25519;
  });
  if (!by_its_log) {
    return fail(Code::denied, "none of the known keys that signed is a key of this log's origin",
                "signature_unknown");
  }
  return SignedCheckpoint{std::move(checkpoint), std::move(note), std::move(signers)};
}

}  // namespace domicile::tlog
