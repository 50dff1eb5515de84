#include "tlog/proof_file.h"

#include <fmt/format.h>

#include "base/encoding.h"
#include "tlog/merkle.h"
#include "tlog/text.h"

namespace domicile::tlog {
namespace {

constexpr std::string_view kFirstLine = "c2sp.org/tlog-proof@v1";
constexpr std::string_view kIndex = "index ";
constexpr std::string_view kExtra = "extra ";
constexpr std::string_view kOld = "old ";

void append_proof(std::string& out, const std::vector<crypto::Digest256>& proof,
                  std::string_view checkpoint) {
  for (const auto& hash : proof) out += hash_text(hash) + "\n";
  out += "\n";
  out += checkpoint;
}

// The hashes up to the empty line, which is taken as well; what is left is the checkpoint.
Result<std::vector<crypto::Digest256>> take_proof(std::string_view& rest) {
  std::vector<crypto::Digest256> proof;
  for (;;) {
    const auto line = take_line(rest);
    if (!line) return fail(Code::invalid, "no empty line stands before the checkpoint");
    if (line->empty()) return proof;
    if (proof.size() == kProofHashesMax) {
      return fail(Code::invalid, fmt::format("more than {} hashes", kProofHashesMax));
    }
    const auto hash = parse_hash(*line);
    if (!hash) {
      return fail(Code::invalid,
                  fmt::format("hash {} is not base64 of a SHA-256 hash", proof.size() + 1));
    }
    proof.push_back(*hash);
  }
}

// "<name><decimal>"
std::optional<std::uint64_t> number_after(std::string_view name,
                                          std::optional<std::string_view> line) {
  if (!line || !line->starts_with(name)) return std::nullopt;
  return parse_decimal(line->substr(name.size()));
}

}  // namespace

std::string proof_text(const ProofFile& file) {
  std::string out = fmt::format("{}\n", kFirstLine);
  if (file.extra) out += fmt::format("{}{}\n", kExtra, to_base64(*file.extra));
  out += fmt::format("{}{}\n", kIndex, file.index);
  append_proof(out, file.proof, file.checkpoint);
  return out;
}

Result<ProofFile> parse_proof_file(std::string_view text) {
  const auto wrong = [](std::string_view what) {
    return fail(Code::invalid, fmt::format("not a proof file: {}", what));
  };
  if (take_line(text) != kFirstLine) {
    return wrong(fmt::format("the first line is not {}", kFirstLine));
  }
  ProofFile out;
  auto line = take_line(text);
  if (line && line->starts_with(kExtra)) {
    out.extra = from_base64(line->substr(kExtra.size()));
    if (!out.extra) return wrong("the extra data is not base64");
    line = take_line(text);
  }
  const auto index = number_after(kIndex, line);
  if (!index) return wrong("there is no line 'index <n>'");
  out.index = *index;
  auto proof = take_proof(text);
  if (!proof) return wrong(proof.error().message);
  out.proof = std::move(*proof);
  out.checkpoint = text;
  return out;
}

Result<WitnessedCheckpoint> verify_proof_file(const ProofFile& file, std::string_view entry,
                                              const Policy& policy) {
  auto believed = TRY(policy.require(file.checkpoint));
  const auto& checkpoint = believed.checkpoint;
  if (!verify_inclusion(file.index, checkpoint.size, leaf_hash(entry), file.proof,
                        checkpoint.root)) {
    return fail(Code::denied,
                fmt::format("the proof does not lead from this entry at index {} to the root of {} "
                            "entries of {}: the entry, the index or the proof is another one",
                            file.index, checkpoint.size, checkpoint.origin),
                "proof_invalid");
  }
  return believed;
}

std::string add_checkpoint_body(const AddCheckpoint& request) {
  std::string out = fmt::format("{}{}\n", kOld, request.old_size);
  append_proof(out, request.proof, request.checkpoint);
  return out;
}

Result<AddCheckpoint> parse_add_checkpoint(std::string_view body) {
  AddCheckpoint out;
  const auto old_size = number_after(kOld, take_line(body));
  if (!old_size) return fail(Code::invalid, "the first line is not 'old <size>'");
  out.old_size = *old_size;
  out.proof = TRY(take_proof(body));
  out.checkpoint = body;
  return out;
}

}  // namespace domicile::tlog
