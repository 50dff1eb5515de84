// The list of nouns, in the order in which help shows them.
#include "app/cli.h"
#include "app/cmd_alert.h"

namespace domicile::app {

void add_verbs(CLI::App& root, Cli& cli) {
  add_catalog(root, cli);
  add_region(root, cli);
  add_registry(root, cli);
  add_org(root, cli);
  add_user(root, cli);
  add_client(root, cli);
  add_grant(root, cli);
  add_token(root, cli);
  add_key(root, cli);
  add_reference(root, cli);
  add_serve(root, cli);
  add_up(root, cli);
  add_check(root, cli);
  add_audit(root, cli);
  add_rule(root, cli);
  add_alert(root, cli);
  add_finding(root, cli);
  add_explain(root, cli);
  add_doctor(root, cli);
  add_dump(root, cli);
}

}  // namespace domicile::app
