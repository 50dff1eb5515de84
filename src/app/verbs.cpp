// The list of nouns, in the order in which help shows them.
#include "app/cli.h"

namespace domicile::app {

void add_verbs([[maybe_unused]] CLI::App& root, [[maybe_unused]] Cli& cli) {}

}  // namespace domicile::app
