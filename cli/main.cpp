// varve: looks into model files, checks, compares, converts and runs them.
#include <cstdio>
#include <string>

#include "commands.h"
#include "printable.h"

namespace {

// One line on stderr.
int refuse(const std::string& what) {
  std::fprintf(stderr, "varve: %s\n", varve::cli::printable(what).c_str());
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Looks into .varve and .safetensors files, checks, compares, converts and runs them."};
  app.set_version_flag("--version", "varve " VARVE_VERSION);
  app.require_subcommand(1);
  varve::cli::Chosen chosen;
  for (const auto add : {varve::cli::add_inspect, varve::cli::add_verify, varve::cli::add_diff,
                         varve::cli::add_convert, varve::cli::add_run})
    add(app, chosen);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == 0) return app.exit(e);  // help, or the version
    return refuse(std::string(e.what()) + "; varve --help says more");
  }
  try {
    return chosen();
  } catch (const std::exception& e) {
    return refuse(e.what());
  }
}
