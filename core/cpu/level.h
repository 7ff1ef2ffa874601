// Which instruction set's kernels this process uses: the best the processor has, unless a program chooses
// less.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <varve/core/export.h>

namespace varve::cpu {

struct Kernels;

VARVE_API std::vector<std::string> levels();  // built in and supported by this processor, best first
VARVE_API std::string level();                // the one in use
// Uses another from now on; results of different levels differ in the last bits. An Error if it is not in
// levels(). Not while kernels run.
VARVE_API void set_level(std::string_view name);

const Kernels& kernels();

}  // namespace varve::cpu
