// domicile reference: what people do with the reference data that travels between regions.
#include "app/cmd_reference_compare.h"

namespace domicile::app {

void add_reference(CLI::App& root, Cli& cli) {
  CLI::App* noun = root.add_subcommand("reference", "Reference data: the same in every region");
  noun->require_subcommand(1);
  add_reference_compare(*noun, cli);
}

}  // namespace domicile::app
