#include "app/log_policy_option.h"

#include "base/file.h"

namespace domicile::app {
namespace {

constexpr std::size_t kFileBytesMax = 1u << 20;

}  // namespace

void LogPolicyOption::add_to(CLI::App& verb) {
  verb.add_option("--key", keys, "A verifier key of the log (name+id+base64); may be repeated");
  verb.add_option("--key-file", key_files, "A file of verifier keys of the log, one a line");
  verb.add_option("--policy", policy_file,
                  "A policy file (c2sp.org/tlog-policy): the log's keys, witnesses and quorum");
}

Result<std::optional<tlog::Policy>> LogPolicyOption::load() const {
  if (keys.empty() && key_files.empty() && policy_file.empty()) return std::nullopt;
  std::vector<tlog::NoteKey> known;
  for (const auto& text : keys) known.push_back(TRY(tlog::NoteKey::parse(text)));
  for (const auto& file : key_files) {
    auto listed = tlog::parse_key_list(TRY(read_file(file, kFileBytesMax)));
    if (!listed) return std::unexpected(std::move(listed).error().within(file));
    known.insert(known.end(), listed->begin(), listed->end());
  }
  if (policy_file.empty()) return tlog::Policy::of_logs(std::move(known));
  auto policy = tlog::Policy::parse(TRY(read_file(policy_file, kFileBytesMax)));
  if (!policy) return std::unexpected(std::move(policy).error().within(policy_file));
  return policy->with_logs(known);
}

Result<tlog::Policy> LogPolicyOption::required() const {
  auto policy = TRY(load());
  if (policy) return std::move(*policy);
  return fail(Code::invalid,
              "whose signature is to be believed? Give the log's verifier key (--key, --key-file), "
              "or a policy (--policy)");
}

}  // namespace domicile::app
