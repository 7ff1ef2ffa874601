#include <varve/core/cpu/cgroup.h>

#include <algorithm>
#include <cmath>
#include <fstream>

namespace varve::cpu {
namespace {

// By one folder. Version 2 has both numbers in one file, "150000 100000" or "max 100000"; version 1 has one
// in each of two, and -1 for no limit.
double granted_by(const std::string& folder) {
  double quota = 0, period = 0;
  if (!(std::ifstream(folder + "/cpu.max") >> quota >> period)) {
    std::ifstream(folder + "/cpu.cfs_quota_us") >> quota;
    std::ifstream(folder + "/cpu.cfs_period_us") >> period;
  }
  return quota > 0 && period > 0 ? quota / period : HUGE_VAL;
}

// By root + path and every folder above it, down to the root. In a container the path may be the host's, of
// which only the root is to be seen.
double granted_along(const std::string& root, std::string path) {
  double least = HUGE_VAL;
  for (;; path.resize(path.rfind('/'))) {
    least = std::min(least, granted_by(root + path));
    if (path.find('/') == std::string::npos) return least;
  }
}

}  // namespace

// Lines are "0::/path" for version 2 and "4:cpu,cpuacct:/path" for version 1, whose folder bears the
// controllers' names, or the one name by a link.
double cgroup_processors(const std::string& mounted, const std::string& membership) {
  std::ifstream file(membership);
  double least = HUGE_VAL;
  for (std::string line; std::getline(file, line);) {
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1),
                      path = line.substr(second + 1);
    if (controllers.empty()) least = std::min(least, granted_along(mounted, path));
    if ((',' + controllers + ',').find(",cpu,") == std::string::npos) continue;
    for (const std::string& name : {controllers, std::string("cpu")})
      least = std::min(least, granted_along(mounted + '/' + name, path));
  }
  return least;
}

}  // namespace varve::cpu
