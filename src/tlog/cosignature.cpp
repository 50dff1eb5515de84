#include "tlog/cosignature.h"

#include <fmt/format.h>

namespace domicile::tlog {

Result<Cosigner> Cosigner::create(std::string name, crypto::SigningKey key) {
  auto known =
      TRY(NoteKey::create(std::move(name), SignatureType::cosignature_v1, key.public_key()));
  return Cosigner(std::move(known), std::move(key));
}

Result<std::string> Cosigner::cosign_line(std::string_view checkpoint_text,
                                          std::uint64_t time_s) const {
  const auto signature = TRY(signing_.sign(cosignature_message(time_s, checkpoint_text)));
  return NoteSignature{key_.name(), key_.id(), cosignature_time(time_s) + signature}.line();
}

std::optional<std::uint64_t> cosigned_at(const NoteSignature& signature, const NoteKey& key) {
  if (!signature.is_by(key)) return std::nullopt;
  const auto form = signature_form(key.type(), "", signature.bytes);
  return form ? std::optional(form->time_s) : std::nullopt;
}

Result<std::vector<NoteSignature>> accept_cosignatures(std::string_view checkpoint_text,
                                                       std::string_view lines, const NoteKey& key) {
  Note note{std::string(checkpoint_text), TRY(parse_signature_lines(lines))};
  TRY(verify_note(note, {&key, 1}));
  std::erase_if(note.signatures, [&](const auto& signature) { return !signature.is_by(key); });
  return std::move(note.signatures);
}

}  // namespace domicile::tlog
