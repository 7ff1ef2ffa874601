// varve: looks into model files, checks, compares, converts and runs them.
#include <algorithm>
#include <cstdio>
#include <string>

#include "commands.h"

namespace {

// One line on stderr; what a file says may hold line ends, and worse.
int refuse(std::string what) {
  std::replace_if(
      what.begin(), what.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; }, ' ');
  std::fprintf(stderr, "varve: %s\n", what.c_str());
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
