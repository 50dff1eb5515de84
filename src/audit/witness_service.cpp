#include "audit/witness_service.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "audit/witness_event.h"
#include "base/encoding.h"
#include "base/file.h"
#include "base/log.h"
#include "tlog/merkle.h"
#include "tlog/text.h"

namespace domicile::audit {
namespace {

http::Response text(int status, std::string body, std::string type = "text/plain; charset=utf-8") {
  return {
      status, {{"content-type", std::move(type)}, {"cache-control", "no-store"}}, std::move(body)};
}

http::Response another_size(std::uint64_t size) {
  return text(409, fmt::format("{}\n", size), "text/x.tlog.size");
}

}  // namespace

WitnessService::WitnessService(WitnessServiceOptions options, tlog::Cosigner cosigner,
                               domain::EventSink& events, const Clock& clock)
    : options_(std::move(options)), cosigner_(std::move(cosigner)), events_(events), clock_(clock) {
  for (const auto& key : options_.logs) {
    auto& log = logs_[key.name()];
    if (log == nullptr) {
      log = std::make_unique<Log>();
      log->origin = key.name();
      log->file = options_.directory / crypto::sha256_hex(key.name());
    }
    log->keys.push_back(key);
  }
}

Result<std::unique_ptr<WitnessService>> WitnessService::create(WitnessServiceOptions options,
                                                               tlog::Cosigner cosigner,
                                                               domain::EventSink& events,
                                                               const Clock& clock) {
  for (const auto& key : options.logs) {
    if (key.type() != tlog::SignatureType::ed25519) {
      return fail(Code::invalid,
                  fmt::format("{} is no key that a log signs with (type 0x01)", key.text()));
    }
    if (key.public_bytes() == cosigner.key().public_bytes()) {
      return fail(Code::invalid,
                  fmt::format("the witness's own key is that of the log {}: make it one of its own",
                              key.name()));
    }
  }
  std::error_code error;
  std::filesystem::create_directories(options.directory, error);
  if (!error) {
    std::filesystem::permissions(options.directory, std::filesystem::perms::owner_all, error);
  }
  if (error) {
    return fail(Code::unavailable, fmt::format("cannot make the folder {}: {}",
                                               options.directory.string(), error.message()));
  }
  std::unique_ptr<WitnessService> service(
      new WitnessService(std::move(options), std::move(cosigner), events, clock));
  for (const auto& [origin, log] : service->logs_) {
    const auto last = service->last_of(*log);
    if (!last) log_error("witness", last.error().message);
  }
  return service;
}

// Size 0 when it never cosigned one.
Result<tlog::Checkpoint> WitnessService::last_of(const Log& log) const {
  const auto content = read_file(log.file, tlog::kNoteBytesMax);
  if (!content && content.error().code == Code::not_found) {
    return tlog::Checkpoint{log.origin, 0, tlog::empty_root()};
  }
  // Its own cosignature is what shows that the file is what was stored, whatever became of the
  // log's keys since.
  const auto note = content ? tlog::parse_note(*content) : std::unexpected(content.error());
  const bool own = note && tlog::verify_note(*note, {&cosigner_.key(), 1});
  auto last =
      own ? tlog::parse_checkpoint(note->text) : Result<tlog::Checkpoint>(fail(Code::internal, ""));
  if (last && last->origin == log.origin) return last;
  return fail(
      Code::internal,
      fmt::format("{}: what was last cosigned for {} cannot be read; nothing is cosigned for "
                  "it until the file is restored from a backup",
                  log.file.string(), log.origin));
}

http::Response WitnessService::handle(const http::Request& request) {
  if (request.method != "POST") {
    return http::problem(405, "method_not_allowed", "Only POST.", request);
  }
  const auto asked = tlog::parse_add_checkpoint(request.body);
  if (!asked) return text(400, asked.error().message + "\n");
  const auto note = tlog::parse_note(asked->checkpoint);
  if (!note) return text(400, note.error().message + "\n");
  const auto plain = tlog::parse_checkpoint(note->text);
  if (!plain) return text(400, plain.error().message + "\n");
  const auto at = logs_.find(plain->origin);
  if (at == logs_.end()) return text(404, "this log is not known here\n");
  Log& log = *at->second;
  const auto offered = tlog::open_checkpoint(asked->checkpoint, log.keys);
  if (!offered) return text(403, "no known key of this log signed that\n");
  if (asked->old_size > offered->checkpoint.size) {
    return text(400, "the old size is larger than the checkpoint's\n");
  }
  const std::lock_guard lock(log.mutex);
  return add(log, *asked, *offered, request);
}

http::Response WitnessService::add(Log& log, const tlog::AddCheckpoint& asked,
                                   const tlog::SignedCheckpoint& offered,
                                   const http::Request& request) {
  const auto last = last_of(log);
  if (!last) {
    log_error("witness", last.error().message);
    return http::problem(500, "internal", "This log's state cannot be read here.", request);
  }
  const auto& now = offered.checkpoint;
  if (asked.old_size != last->size) return another_size(last->size);
  if (now.size == last->size && now.root != last->root) {
    tell(log, *last, now, "two_histories");
    return another_size(last->size);
  }
  if (!tlog::verify_consistency(last->size, now.size, asked.proof, last->root, now.root)) {
    tell(log, *last, now, "proof_invalid");
    return text(422, "the proof does not lead from the last checkpoint to this one\n");
  }
  const auto line =
      cosigner_.cosign_line(offered.note.text, static_cast<std::uint64_t>(clock_.unix_seconds()));
  if (!line) return http::problem(500, "internal", "Cannot sign.", request);
  tlog::Note kept{offered.note.text, {}};
  for (const auto& signature : offered.note.signatures) {
    const auto is_known = [&](const tlog::NoteKey& key) { return signature.is_by(key); };
    if (std::ranges::any_of(log.keys, is_known)) kept.signatures.push_back(signature);
  }
  const auto stored = write_file_atomic(log.file, kept.content() + *line, 0600);
  if (!stored) {
    log_error("witness", stored.error().message);
    return http::problem(503, "unavailable", "The checkpoint cannot be stored now.", request);
  }
  log.told = false;
  return text(200, *line);
}

void WitnessService::tell(Log& log, const tlog::Checkpoint& last, const tlog::Checkpoint& offered,
                          std::string_view reason) {
  if (std::exchange(log.told, true)) return;
  log_error("witness", fmt::format("{} shows a history of {} entries that does not continue the "
                                   "one of {} it showed before ({})",
                                   log.origin, offered.size, last.size, reason));
  events_.submit(witness_event(clock_, options_.region, "witness.conflict", domain::Outcome::failed,
                               std::string(reason), "critical",
                               {{"log", log.origin},
                                {"side", "witness"},
                                {"cosigned_size", std::to_string(last.size)},
                                {"cosigned_root", tlog::hash_text(last.root)},
                                {"offered_size", std::to_string(offered.size)},
                                {"offered_root", tlog::hash_text(offered.root)}}),
                 [](Result<std::uint64_t>) {});
}

}  // namespace domicile::audit
