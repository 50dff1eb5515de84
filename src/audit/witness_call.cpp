#include "audit/witness_call.h"

#include <fmt/format.h>

#include "tlog/cosignature.h"
#include "tlog/proof_file.h"
#include "tlog/text.h"

namespace domicile::audit {
namespace {

WitnessOutcome away(std::string reason, std::string message, std::uint64_t known_size) {
  return {WitnessAnswer::away, std::move(reason), std::move(message), {}, known_size};
}

WitnessOutcome conflict(std::string reason, std::string message, std::uint64_t known_size) {
  return {WitnessAnswer::conflict, std::move(reason), std::move(message), {}, known_size};
}

// The size in a 409's body.
std::optional<std::uint64_t> told_size(std::string_view body) {
  const auto line = tlog::take_line(body);
  return line && body.empty() ? tlog::parse_decimal(*line) : std::nullopt;
}

class Call {
 public:
  Call(http::Client& client, const tlog::PolicyWitness& witness, const std::string& note,
       const tlog::Checkpoint& checkpoint, const ProveGrowth& prove)
      : client_(client), witness_(witness), note_(note), checkpoint_(checkpoint), prove_(prove) {}

  WitnessOutcome ask(std::uint64_t known_size, bool again) {
    auto proof = prove_(checkpoint_, known_size);
    if (!proof) return away("own_log_unreadable", proof.error().message, known_size);
    std::string url = witness_.url;
    while (url.ends_with('/')) url.pop_back();
    const auto response =
        client_.send({.method = "POST",
                      .url = url + "/add-checkpoint",
                      .headers = {{"content-type", "text/plain; charset=utf-8"}},
                      .body = tlog::add_checkpoint_body({known_size, std::move(*proof), note_})});
    if (!response) return away("unreachable", response.error().message, known_size);
    switch (response->status) {
      case 200: return accept(response->body, known_size);
      case 409: return another_size(response->body, known_size, again);
      case 422:
        return conflict(
            "witness_disagrees",
            fmt::format("it does not accept that the log continued from {} entries to {}",
                        known_size, checkpoint_.size),
            known_size);
      default:
        return away(fmt::format("refused_{}", response->status),
                    fmt::format("it answers {}", response->status), known_size);
    }
  }

 private:
  WitnessOutcome accept(std::string_view body, std::uint64_t known_size) {
    const auto text_end = note_.rfind("\n\n") + 1;
    auto lines =
        tlog::accept_cosignatures(std::string_view(note_).substr(0, text_end), body, witness_.key);
    if (!lines) {
      return conflict(
          "cosignature_invalid",
          fmt::format("its answer is no cosignature by its key: {}", lines.error().message),
          known_size);
    }
    return {WitnessAnswer::cosigned, "", "", std::move(*lines), checkpoint_.size};
  }

  WitnessOutcome another_size(std::string_view body, std::uint64_t known_size, bool again) {
    const auto size = told_size(body);
    if (!size) {
      return away("answer_invalid", "it answers 409 without the size it knows", known_size);
    }
    if (*size > checkpoint_.size) {
      return conflict("witness_ahead",
                      fmt::format("it has cosigned {} entries of this log, which has {}", *size,
                                  checkpoint_.size),
                      *size);
    }
    if (*size == known_size) {  // ours was right, so it is the root that differs
      return conflict("witness_disagrees",
                      fmt::format("it has cosigned another history of {} entries", *size), *size);
    }
    // Somebody else asked in between as well: next time.
    if (again) return away("busy", "the size it knows changes while it is asked", *size);
    return ask(*size, true);
  }

  http::Client& client_;
  const tlog::PolicyWitness& witness_;
  const std::string& note_;
  const tlog::Checkpoint& checkpoint_;
  const ProveGrowth& prove_;
};

}  // namespace

WitnessOutcome call_witness(http::Client& client, const tlog::PolicyWitness& witness,
                            const std::string& note, const tlog::Checkpoint& checkpoint,
                            std::uint64_t known_size, const ProveGrowth& prove) {
  if (known_size > checkpoint.size) {
    return conflict("witness_ahead",
                    fmt::format("it has cosigned {} entries of this log, which has {}", known_size,
                                checkpoint.size),
                    known_size);
  }
  return Call(client, witness, note, checkpoint, prove).ask(known_size, false);
}

}  // namespace domicile::audit
