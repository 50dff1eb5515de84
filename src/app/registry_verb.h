// What the verbs that work on the registry share: where it is, and how to wait for a home region.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "app/cli.h"
#include "registry/registry_store.h"

namespace domicile::app {

struct RegistryOptions {
  std::string
      dsn_file;  // --registry-dsn-file, DOMICILE_REGISTRY_DSN_FILE; or DOMICILE_REGISTRY_DSN holds it
  std::string pepper_file;
  std::string operation_id;
  bool dry_run = false;

  // Waiting for the home region.
  bool no_wait = false;
  int wait_s = 60;
  std::string peer_token_file;
  std::string ca_file;
};

void add_registry_options(CLI::App& verb, RegistryOptions& options);
void add_change_options(CLI::App& verb,
                        RegistryOptions& options);  // operation id, dry run, waiting
void add_pepper_option(CLI::App& verb, RegistryOptions& options);

Result<Secret> registry_dsn(const RegistryOptions& options);
Result<std::unique_ptr<registry::RegistryStore>> open_registry(const RegistryOptions& options);

// The pepper, known to the registry as its own.
Result<Secret> registry_pepper(registry::RegistryStore& store, const RegistryOptions& options);

// The given operation id, or a new one: with an id the store may retry after a lost connection.
std::string operation_id(const RegistryOptions& options);

enum class Awaited { served, withdrawn };

struct WaitOutcome {
  bool waited = false;
  bool reached = false;
  std::string note;  // why not waited, or what the home said last
};

// Asks the home region's node until it serves the organization, or serves it no more.
WaitOutcome wait_for_home(const Cli& cli, const RegistryOptions& options,
                          const domain::Region& home, const domain::OrgKey& key, Awaited awaited);

}  // namespace domicile::app
