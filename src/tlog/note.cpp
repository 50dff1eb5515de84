#include "tlog/note.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/encoding.h"
#include "tlog/text.h"

namespace domicile::tlog {
namespace {

constexpr std::string_view kDash = "\xe2\x80\x94 ";  // U+2014 and a space
constexpr std::size_t kKeyIdBytes = 4;

std::string id_hex(std::uint32_t id) { return fmt::format("{:08x}", id); }

std::string id_bytes(std::uint32_t id) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(id >> shift & 0xff);
  return bytes;
}

Result<NoteSignature> parse_signature_line(std::string_view line) {
  if (!line.starts_with(kDash)) return fail(Code::invalid, "a signature line starts with '— '");
  line.remove_prefix(kDash.size());
  const auto space = line.find(' ');
  if (space == line.npos || !is_key_name(line.substr(0, space))) {
    return fail(Code::invalid, "a signature line needs a key's name and a signature");
  }
  const auto bytes = from_base64(line.substr(space + 1));
  if (!bytes || bytes->size() <= kKeyIdBytes) {
    return fail(Code::invalid, "a signature is not base64 of a key id and a signature");
  }
  NoteSignature out{std::string(line.substr(0, space)), 0, bytes->substr(kKeyIdBytes)};
  for (unsigned char c : bytes->substr(0, kKeyIdBytes)) out.key_id = out.key_id << 8 | c;
  return out;
}

}  // namespace

NoteKey::NoteKey(std::string name, SignatureType type,
                 std::shared_ptr<const crypto::VerifyingKey> key)
    : name_(std::move(name)),
      type_(type),
      key_(std::move(key)),
      id_(key_id(name_, type_, key_->parameters().x)) {}

Result<NoteKey> NoteKey::create(std::string name, SignatureType type,
                                std::shared_ptr<const crypto::VerifyingKey> key) {
  if (!is_key_name(name)) {
    return fail(Code::invalid,
                fmt::format("'{}' cannot name a key: no spaces and no '+', please", name));
  }
  if (key->algorithm() != crypto::Algorithm::eddsa) {
    return fail(Code::invalid, fmt::format("the key of {} is not an Ed25519 key", name));
  }
  return NoteKey(std::move(name), type, std::move(key));
}

Result<NoteKey> NoteKey::parse(std::string_view text) {
  const auto wrong = [](std::string_view what) {
    return fail(Code::invalid, fmt::format("not a verifier key (name+id+base64): {}", what));
  };
  const auto first = text.find('+');
  if (first == text.npos) return wrong("it has no '+'");
  const std::string_view name = text.substr(0, first);
  const std::string_view rest = text.substr(first + 1);
  if (!is_key_name(name)) return wrong("its name is empty or has a space");
  if (rest.size() < 9 || rest[8] != '+') return wrong("the id is not 8 hexadecimal digits");
  const auto encoded = from_base64(rest.substr(9));
  if (!encoded || encoded->empty()) return wrong("the key is not base64");
  const auto type = parse_signature_type(static_cast<unsigned char>((*encoded)[0]));
  if (!type) {
    return wrong(fmt::format("the type 0x{:02x} is not supported",
                             static_cast<unsigned char>((*encoded)[0])));
  }
  auto key = crypto::VerifyingKey::create(crypto::Algorithm::eddsa, {.x = encoded->substr(1)});
  if (!key) return wrong("not the 32 bytes of an Ed25519 key");
  auto out = NoteKey(std::string(name), *type, std::move(*key));
  if (id_hex(out.id()) != rest.substr(0, 8)) return wrong("the id does not belong to the key");
  return out;
}

std::string NoteKey::text() const {
  return fmt::format("{}+{}+{}", name_, id_hex(id_),
                     to_base64(static_cast<char>(type_) + public_bytes()));
}

bool NoteKey::verify(std::string_view text, std::string_view signature) const {
  const auto form = signature_form(type_, text, signature);
  return form && crypto::Verifier(key_).verify(form->message, form->signature);
}

Result<std::vector<NoteKey>> parse_key_list(std::string_view text) {
  std::vector<NoteKey> keys;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const auto end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    while (line.ends_with('\r') || line.ends_with(' ')) line.remove_suffix(1);
    if (line.empty() || line.starts_with('#')) continue;
    auto key = NoteKey::parse(line);
    if (!key) return std::unexpected(std::move(key).error().within(fmt::format("line {}", number)));
    keys.push_back(std::move(*key));
  }
  return keys;
}

std::string NoteSignature::line() const {
  return fmt::format("{}{} {}\n", kDash, name, to_base64(id_bytes(key_id) + bytes));
}

std::string Note::content() const {
  std::string out = text + "\n";
  for (const auto& signature : signatures) out += signature.line();
  return out;
}

Result<std::vector<NoteSignature>> parse_signature_lines(std::string_view lines) {
  std::vector<NoteSignature> out;
  if (lines.empty()) return fail(Code::invalid, "there is no signature");
  while (!lines.empty()) {
    const auto line = take_line(lines);
    if (!line) return fail(Code::invalid, "the last line has no newline");
    if (out.size() == kNoteSignaturesMax) {
      return fail(Code::invalid, fmt::format("more than {} signatures", kNoteSignaturesMax));
    }
    out.push_back(TRY(parse_signature_line(*line)));
  }
  return out;
}

Result<Note> parse_note(std::string_view content) {
  if (content.size() > kNoteBytesMax) {
    return fail(Code::invalid, fmt::format("a note of more than {} bytes", kNoteBytesMax));
  }
  if (!is_plain_text(content)) {
    return fail(Code::invalid, "a note is UTF-8 without control characters");
  }
  const auto split = content.rfind("\n\n");
  if (split == content.npos) {
    return fail(Code::invalid, "a note needs an empty line between its text and signatures");
  }
  return Note{std::string(content.substr(0, split + 1)),
              TRY(parse_signature_lines(content.substr(split + 2)))};
}

Result<std::vector<std::size_t>> verify_note(const Note& note, std::span<const NoteKey> keys) {
  std::vector<std::size_t> signers;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    bool signed_by = false;
    for (const auto& signature : note.signatures) {
      if (!signature.is_by(keys[i])) continue;
      if (!keys[i].verify(note.text, signature.bytes)) {
        return fail(Code::denied,
                    fmt::format("the signature of {} does not verify", keys[i].name()),
                    "signature_invalid");
      }
      signed_by = true;
    }
    if (signed_by) signers.push_back(i);
  }
  if (signers.empty()) {
    return fail(Code::denied, "no signature is by a known key", "signature_unknown");
  }
  return signers;
}

Result<NoteSigner> NoteSigner::create(std::string name, crypto::SigningKey key) {
  auto known = TRY(NoteKey::create(std::move(name), SignatureType::ed25519, key.public_key()));
  return NoteSigner(std::move(known), std::move(key));
}

Result<std::string> NoteSigner::sign_line(std::string_view text) const {
  return NoteSignature{key_.name(), key_.id(), TRY(signing_.sign(text))}.line();
}

}  // namespace domicile::tlog
