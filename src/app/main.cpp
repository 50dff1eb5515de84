// The program: parses the command line and runs one verb.
#include <csignal>

#include <fmt/format.h>

#include "app/cli.h"

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);  // a limit on files is an error like a full disk
  CLI::App root("Keeps every organization's data in its home region, and proves it.", "domicile");
  domicile::app::Cli cli;
  std::string output = "text";
  root.add_option("--output", output, "How results are printed")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
  root.add_flag("-q,--quiet", cli.quiet, "No progress on standard error");
  root.set_version_flag("--version", "domicile 0.1.0");
  root.require_subcommand(1);
  root.fallthrough();
  root.parse_complete_callback([&] { cli.json = output == "json"; });

  domicile::app::add_verbs(root, cli);

  try {
    root.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int code = root.exit(error);
    return code == 0 ? 0 : 2;
  }
  return cli.exit_code;
}
