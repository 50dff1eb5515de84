#include "app/local_witnesses.h"

#include <system_error>

#include <fmt/format.h>
#include <unistd.h>

#include "app/local_process.h"
#include "app/node_witness.h"
#include "audit/log_keys.h"

namespace domicile::app {
namespace {

using Path = std::filesystem::path;

struct KnownLog {
  std::string region;
  std::string url;
  std::string verifiers;  // of the log, lines
  std::string witness;    // the verifier key of its node as a witness
};

Path key_folder(const LocalContext& context, const std::string& region) {
  return context.paths.node(region) / "state" / "audit-keys";
}

// Made by this program, read and rewritten by the node.
Result<void> give(const Path& folder, const Account& owner) {
  std::error_code error;
  std::vector<Path> all{folder};
  for (std::filesystem::directory_iterator at(folder, error); !error && at != end(at);
       at.increment(error)) {
    all.push_back(at->path());
  }
  for (const Path& path : all) {
    if (!error && ::lchown(path.c_str(), owner.uid, owner.gid) != 0) {
      error = {errno, std::generic_category()};
    }
  }
  if (!error) return {};
  return fail(Code::unavailable,
              fmt::format("cannot give {} to its node: {}", folder.string(), error.message()));
}

Result<KnownLog> keys_of(LocalContext& context, const LocalRegion& local) {
  const std::string id = local.region.id.text();
  const Path folder = key_folder(context, id);
  const auto log = TRY(audit::LogKeys::open(folder, "domicile/" + id));
  const auto witness =
      TRY(load_or_make_cosigner(folder / "witness.pem", fmt::format("domicile/{}/witness", id)));
  TRY(give(folder, context.node));
  return KnownLog{id, context.url(local), log.verifier_text(), witness.key().text()};
}

std::string policy_of(const KnownLog& log, const std::vector<KnownLog>& all) {
  std::string text = "# Whose signatures a checkpoint of this log needs (c2sp.org/tlog-policy).\n";
  std::string_view rest = log.verifiers;
  while (!rest.empty()) {
    const std::size_t line = rest.find('\n');
    text += fmt::format("log {}\n", rest.substr(0, line));
    rest.remove_prefix(line + 1);
  }
  std::string members;
  for (const KnownLog& other : all) {
    if (other.region == log.region) continue;
    text += fmt::format("witness {} {} {}/v1/witness\n", other.region, other.witness, other.url);
    members += ' ' + other.region;
  }
  return text + fmt::format("group others any{}\nquorum others\n", members);
}

}  // namespace

Result<void> make_witnesses(LocalContext& context) {
  std::vector<KnownLog> all;
  for (const LocalRegion& local : context.config.regions) {
    all.push_back(TRY(keys_of(context, local)));
  }
  if (all.size() < 2) return {};
  for (const KnownLog& log : all) {
    const Path node = context.paths.node(log.region);
    std::string others;
    for (const KnownLog& other : all) {
      if (other.region != log.region) others += other.verifiers;
    }
    TRY(write_owned(node / "witnesses.policy", policy_of(log, all), context.node, 0644));
    TRY(write_owned(node / "logs.keys", others, context.node, 0644));
  }
  return {};
}

std::string witness_lines(const LocalContext& context) {
  if (context.config.regions.size() < 2) return "";
  return "policy_file = \"witnesses.policy\"\nwitness_logs_file = \"logs.keys\"\n";
}

}  // namespace domicile::app
