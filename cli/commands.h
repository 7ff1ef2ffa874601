// The subcommands of `varve`: each adds itself to the program, and says what to run once it was chosen. What
// they throw is printed in one line, and the exit status is 2.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>

namespace varve::cli {

using Chosen = std::function<int()>;  // the exit status

void add_inspect(CLI::App& app, Chosen& chosen);
void add_verify(CLI::App& app, Chosen& chosen);
void add_diff(CLI::App& app, Chosen& chosen);
void add_convert(CLI::App& app, Chosen& chosen);  // and repack
void add_run(CLI::App& app, Chosen& chosen);

}  // namespace varve::cli
