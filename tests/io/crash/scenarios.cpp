// What programs do with files: every scenario by its name. Most are made by combining what may differ.
#include <unistd.h>
#include <cstring>

#include <varve/io/checksum.h>
#include <varve/io/durable.h>

#include "forwarding.h"
#include "scenarios.h"
#include "turns.h"

namespace varve::test {
namespace {

constexpr size_t kOld = 3000;  // bytes: six sectors

struct Start {
  const char* name;
  std::optional<size_t> bytes;  // of the old file
};
constexpr Start kStarts[] = {
    {"fresh", {}}, {"over an empty file", 0}, {"over a file", kOld}, {"over a longer file", 5000}};

void start(Trial& trial, const Start& start, const std::string& name) {
  if (start.bytes) trial.start(name, payload(1, *start.bytes));
}

// One save, on a disk with a mood.
struct Mood {
  const char* name;
  std::function<void(SimulatedDisk&)> set;
};
const std::vector<Mood>& moods() {
  static const std::vector<Mood> all{
      {"", [](SimulatedDisk&) {}},
      {", short writes", [](SimulatedDisk& d) { d.longest_write = 133; }},
      {", a sync that fails once", [](SimulatedDisk& d) { d.failing_syncs = 1; }},
      {", syncs that fail", [](SimulatedDisk& d) { d.failing_syncs = 9; }},
      {", no room for half", [](SimulatedDisk& d) { d.room = 1500; }},
      {", no room after all", [](SimulatedDisk& d) { d.room = 2999; }},
      {", a sync of the folder that fails", [](SimulatedDisk& d) { d.failing_folder_syncs = 1; }},
      {", close says it was not kept", [](SimulatedDisk& d) { d.keeps_nothing = true; }},
  };
  return all;
}

void add_single_saves(std::vector<Scenario>& out) {
  for (const Start& s : kStarts)
    for (const Mood& mood : moods())
      out.push_back({std::string(s.name) + mood.name, [&s, &mood](Trial& t) {
                       start(t, s, "a");
                       mood.set(t.disk());
                       t.save("a", payload(2, kOld));
                     }});
}

void add_sequences(std::vector<Scenario>& out) {
  out.push_back({"through a link", [](Trial& t) {
                   t.start("a", payload(1, kOld));
                   t.disk().link("link", "a");
                   t.save("link", payload(2, kOld));
                   t.save("link", payload(3, 100));
                 }});
  out.push_back({"through a link to nothing", [](Trial& t) {
                   t.disk().link("link", "a");
                   t.save("link", payload(2, kOld));
                 }});
  out.push_back({"the same twice", [](Trial& t) {
                   t.save("a", payload(2, kOld));
                   t.save("a", payload(2, kOld));
                 }});
  out.push_back({"longer and longer", [](Trial& t) {
                   for (uint64_t i = 0; i < 4; ++i) t.save("a", payload(2 + i, 400 + 900 * i));
                 }});
  out.push_back({"shorter and shorter", [](Trial& t) {
                   for (uint64_t i = 0; i < 4; ++i) t.save("a", payload(2 + i, 3000 - 900 * i));
                 }});
  out.push_back({"two files in turn", [](Trial& t) {
                   for (uint64_t i = 0; i < 2; ++i)
                     for (const char* name : {"a", "b"})
                       t.save(name, payload(2 + 2 * i + (name[0] == 'b'), kOld));
                 }});
}

void add_saves_after_trouble(std::vector<Scenario>& out) {
  out.push_back({"after a save that failed", [](Trial& t) {
                   t.start("a", payload(1, kOld));
                   t.disk().room = 100;
                   t.save("a", payload(2, kOld));
                   t.disk().room = INT64_MAX;
                   t.save("a", payload(3, kOld));
                 }});
  out.push_back({"after a sync of the folder that failed", [](Trial& t) {
                   t.start("a", payload(1, kOld));
                   t.disk().failing_folder_syncs = 2;
                   for (uint64_t i = 2; i < 5; ++i) t.save("a", payload(i, kOld));
                 }});
  out.push_back({"beside what crashed savers left", [](Trial& t) {
                   t.start("a", payload(1, kOld));
                   for (int i = 0; i < 3; ++i)
                     t.start(".a.varve-" + std::to_string(::getpid()) + "-" + std::to_string(i),
                             payload(9, 50));
                   t.save("a", payload(2, kOld));
                 }});
}

// Another saver's whole save before the n-th call of this one.
class Between : public Forwarding {
 public:
  Between(Trial& trial, int n, std::function<void()> other)
      : Forwarding(trial.files()), left_(n), other_(std::move(other)) {}

 private:
  int before(Call) override {
    if (left_-- == 0) other_();
    return 0;
  }
  int left_;
  std::function<void()> other_;
};

void add_two_savers(std::vector<Scenario>& out) {
  for (int n = 0; n < 16; ++n)
    for (const bool fresh : {false, true})
      out.push_back(
          {"another saver before call " + std::to_string(n) + (fresh ? ", fresh" : ""), [n, fresh](Trial& t) {
             if (!fresh) t.start("a", payload(1, kOld));
             Between files(t, n, [&] { t.save("a", payload(3, 2000)); });
             t.save("a", payload(2, 2000), 300, &files);
           }});
}

void add_savers_at_once(std::vector<Scenario>& out) {
  for (uint64_t seed = 1; seed <= 6; ++seed)
    out.push_back({"savers at once, " + std::to_string(seed), [seed](Trial& t) {
                     if (seed % 2) t.start("a", payload(1, kOld));
                     std::vector<Turns::Saver> savers;
                     for (uint64_t s = 0; s < 2 + seed % 3 / 2; ++s)
                       savers.push_back([&t, s](io::FileSystem& files) {
                         for (uint64_t i = 0; i < 2; ++i)
                           t.save("a", payload(10 * s + i + 2, 1200), 500, &files);
                       });
                     Turns(t, seed).run(savers);
                   }});
}

// Generations: files g1, g2, ...; the newest whole one counts, older ones are removed when it is durable.
io::Bytes generation(uint64_t n) {
  io::Bytes bytes = payload(n, 1500);
  std::memcpy(bytes.data(), &n, sizeof n);
  const uint64_t sum = io::checksum(std::span(bytes).first(bytes.size() - 8));
  std::memcpy(bytes.data() + bytes.size() - 8, &sum, sizeof sum);
  return bytes;
}

uint64_t newest_whole(const Image& image) {
  uint64_t newest = 0;
  for (const auto& [name, bytes] : image) {
    uint64_t n = 0, sum = 0;
    if (name[0] != 'g' || bytes.size() != 1500) continue;
    std::memcpy(&n, bytes.data(), sizeof n);
    std::memcpy(&sum, bytes.data() + bytes.size() - 8, sizeof sum);
    if (sum == io::checksum(std::span(bytes).first(bytes.size() - 8))) newest = std::max(newest, n);
  }
  return newest;
}

void add_generations(std::vector<Scenario>& out) {
  for (const uint64_t keep : {1u, 2u, 3u})
    out.push_back({"generations, keeping " + std::to_string(keep), [keep](Trial& t) {
                     uint64_t returned = 0;
                     t.rule = [&](const Image& image) {
                       const uint64_t found = newest_whole(image);
                       return found >= returned ? std::string() : "an older generation than was returned";
                     };
                     for (uint64_t n = 1; n <= 5; ++n) {
                       io::durable_write("/folder/g" + std::to_string(n), generation(n), t.files());
                       returned = n;
                       if (n > keep) t.files().remove(0, "g" + std::to_string(n - keep));
                     }
                     t.rule = [](const Image&) { return std::string(); };
                   }});
}

}  // namespace

std::vector<Scenario> scenarios() {
  std::vector<Scenario> all;
  add_single_saves(all);
  add_sequences(all);
  add_saves_after_trouble(all);
  add_two_savers(all);
  add_savers_at_once(all);
  add_generations(all);
  add_checkpoints(all);
  return all;
}

void explore(Findings& findings, uint64_t seed, int samples, const Trial::Wrap& wrap) {
  for (const Scenario& scenario : scenarios()) {
    Trial trial(scenario.name, findings, seed++, samples, wrap);
    scenario.run(trial);
    trial.finish();
    if (findings.violations > 0) return;
  }
}

}  // namespace varve::test
