// varve: looks into model files, checks, compares, converts and runs them.
#include <algorithm>
#include <cstdio>
#include <string>

#include "commands.h"

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
    return app.exit(e) == 0 ? 0 : 2;
  }
  try {
    return chosen();
  } catch (const std::exception& e) {
    std::string line = e.what();
    std::replace(line.begin(), line.end(), '\n', ' ');
    std::fprintf(stderr, "varve: %s\n", line.c_str());
    return 2;
  }
}
