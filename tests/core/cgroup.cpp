// The processors a control group grants, from folders made up as the kernel shows them.
#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>

#include <varve/core/cpu/cgroup.h>

#include "tests/io/temporary_folder.h"

using namespace varve;

namespace {

using Files = std::map<std::string, std::string>;  // contents by path

// What a process with that /proc/self/cgroup is granted where /sys/fs/cgroup holds these files.
double granted(const std::string& membership, const Files& files) {
  const test::TemporaryFolder folder;
  std::ofstream(folder / "membership") << membership;
  for (const auto& [path, text] : files) {
    const std::filesystem::path at = folder / ("mounted/" + path);
    std::filesystem::create_directories(at.parent_path());
    std::ofstream(at) << text;
  }
  return cpu::cgroup_processors(folder / "mounted", folder / "membership");
}

// One folder's files, for a quota of microseconds in 100,000; -1 for none.
Files version_1(const std::string& folder, int quota) {
  return {{folder + "/cpu.cfs_quota_us", std::to_string(quota) + "\n"},
          {folder + "/cpu.cfs_period_us", "100000\n"}};
}
Files version_2(const std::string& folder, int quota) {
  return {{folder + "/cpu.max", (quota < 0 ? "max" : std::to_string(quota)) + " 100000\n"}};
}

Files operator+(Files a, const Files& b) {
  a.insert(b.begin(), b.end());
  return a;
}

}  // namespace

TEST_CASE("the least quota along a cgroup's path counts, in both versions") {
  struct Version {
    const char *membership, *root;
    Files (*files)(const std::string& folder, int quota);
  };
  for (const Version& v :
       {Version{"0::/a/b\n", "", version_2},
        Version{"12:cpuset:/x\n4:cpu,cpuacct:/a/b\n0::/elsewhere\n", "cpu,cpuacct", version_1},
        Version{"4:cpuacct,cpu:/a/b\n", "cpu", version_1}, Version{"1:cpu:/a/b\n", "cpu", version_1}}) {
    CAPTURE(v.membership);
    const std::string root = v.root;
    CHECK(granted(v.membership, {}) == HUGE_VAL);
    for (int top : {-1, 400000, 150000})
      for (int middle : {-1, 250000})
        for (int own : {-1, 50000, 800000}) {
          double expected = HUGE_VAL;
          for (int quota : {top, middle, own})
            if (quota >= 0) expected = std::min(expected, quota / 100000.0);
          CHECK(granted(v.membership, v.files(root, top) + v.files(root + "/a", middle) +
                                          v.files(root + "/a/b", own)) == expected);
        }
    // A container sees its own group as the root, under a path of the host's.
    CHECK(granted(v.membership, v.files(root, 300000)) == 3);
  }
}

TEST_CASE("quotas of other controllers and groups, and files that are none, grant without limit") {
  CHECK(granted("", version_2("", 100000)) == HUGE_VAL);
  CHECK(granted("no colons\n\n3:memory:/a\n", version_1("memory/a", 100000) + version_1("cpu", 100000)) ==
        HUGE_VAL);
  CHECK(granted("2:cpuset,cpuacct:/a\n", version_1("cpu/a", 100000)) == HUGE_VAL);
  CHECK(granted("0::/a\n", version_2("/b", 100000)) == HUGE_VAL);
  for (const char* text : {"", "max\n", "100000\n", "100000 0\n", "many 100000\n", "0 100000\n"})
    CHECK(granted("0::/\n", {{"cpu.max", text}}) == HUGE_VAL);
}
