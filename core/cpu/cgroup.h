// What the process's control groups grant it.
#pragma once

#include <string>

#include <varve/core/export.h>

namespace varve::cpu {

// Processors, perhaps a fraction, that the process's cgroup and those above it grant, of version 1 or 2;
// infinite where none sets a limit. `mounted` is the folder of the cgroup file systems, `membership` lists
// the process's.
VARVE_API double cgroup_processors(const std::string& mounted = "/sys/fs/cgroup",
                                   const std::string& membership = "/proc/self/cgroup");

}  // namespace varve::cpu
