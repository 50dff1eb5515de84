// Witnesses, both ways: the other nodes and foreign witnesses to whom this node's checkpoints are
// put, and the logs of others that this node witnesses.
//
// The witness's key is made where it is absent, mode 0600; beside it, in <key file>.verifier-key,
// what the others need to know of it.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "app/node_config.h"
#include "audit/ledger.h"
#include "audit/witness_service.h"
#include "audit/witnesses.h"
#include "base/clock.h"
#include "http/metrics.h"

namespace domicile::app {

// The key of a witness under that name, made where the file is absent.
Result<tlog::Cosigner> load_or_make_cosigner(const std::filesystem::path& key_file,
                                             const std::string& name);
Result<tlog::Cosigner> load_cosigner(const std::filesystem::path& key_file,
                                     const std::string& name);

class NodeWitness {
 public:
  // `ledger` and `clock` outlive it. Code::invalid: a policy, a list of keys or a key that is wrong.
  static Result<std::unique_ptr<NodeWitness>> create(const NodeConfig& config,
                                                     audit::Ledger& ledger, const Clock& clock);

  // A checkpoint of this node's log. Never blocks.
  void offer(const std::string& checkpoint);
  // For kAddCheckpointPath; nullopt: this node witnesses no log. `this` outlives it.
  std::optional<http::Handler> handler();
  // `this` outlives the metrics' last page.
  void show(http::Metrics& metrics) const;

 private:
  NodeWitness() = default;
  std::unique_ptr<audit::WitnessService> service_;  // null: witnesses no log
  std::unique_ptr<audit::Witnesses> witnesses_;     // null: has no witness
};

}  // namespace domicile::app
