// kill_save: a real save in a process of its own, watched by ptrace: killed before each system call it makes,
// and each call on files answered with each error. Whatever happens, the folder holds the old file or the new
// one, whole.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <map>
#include <vector>

#include <varve/core/cpu/threads.h>
#include <varve/core/ops/make.h>
#include <varve/io/state.h>

#include "tests/io/temporary_folder.h"

namespace {

using namespace varve;

constexpr int kSaved = 0, kRefused = 3;

NamedTensors state(double value) { return {{"w", full({300, 100}, value)}}; }

// The child: between two calls that nothing else makes it saves.
int save_watched(const char* path) {
  set_threads(1);
  const NamedTensors fresh = state(2);
  ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
  ::raise(SIGSTOP);
  ::syscall(SYS_getppid);
  int status = kSaved;
  try {
    save(path, fresh);
  } catch (const IoError&) {
    status = kRefused;
  }
  ::syscall(SYS_getppid);
  ::_exit(status);
}

// The child under ptrace: it stops before each of its system calls and after it.
class Traced {
 public:
  Traced(const char* program, const std::string& path) : child_(::fork()) {
    if (child_ == 0) {
      ::execl(program, program, "--save", path.c_str(), nullptr);
      ::_exit(127);
    }
    ::waitpid(child_, &status_, 0);
    if (!WIFSTOPPED(status_)) throw Error("kill_save: the child could not be traced");
    ::ptrace(PTRACE_SETOPTIONS, child_, nullptr, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
  }
  // Runs it to its next stop; false once it is gone.
  bool next() {
    long signal = 0;  // on its way to the child: held back, one of a crash would come again for ever
    for (;;) {
      ::ptrace(PTRACE_SYSCALL, child_, nullptr, signal);
      ::waitpid(child_, &status_, 0);
      if (!WIFSTOPPED(status_)) return false;
      if (WSTOPSIG(status_) == (SIGTRAP | 0x80)) return true;
      signal = WSTOPSIG(status_);
    }
  }
  // What it exited with, or -1 where it was killed.
  int status() const { return WIFEXITED(status_) ? WEXITSTATUS(status_) : -1; }
  void kill() {
    ::kill(child_, SIGKILL);
    ::waitpid(child_, &status_, 0);
  }

  // Before a call.
  long call() const { return static_cast<long>(registers().orig_rax); }
  void skip() const {
    user_regs_struct changed = registers();
    changed.orig_rax = ~0ull;  // no such call
    ::ptrace(PTRACE_SETREGS, child_, nullptr, &changed);
  }
  // After it.
  void answer(int code) const {
    user_regs_struct changed = registers();
    changed.rax = static_cast<unsigned long long>(-code);
    ::ptrace(PTRACE_SETREGS, child_, nullptr, &changed);
  }

 private:
  user_regs_struct registers() const {
    user_regs_struct found{};
    ::ptrace(PTRACE_GETREGS, child_, nullptr, &found);
    return found;
  }
  pid_t child_;
  int status_ = 0;
};

struct Outcome {
  int status = -1;          // of the child, or -1 where it was killed
  std::vector<long> calls;  // those of the save, in order
};

// Runs the child and, at the n-th call of its save, kills it or answers `code`.
Outcome watch(const char* program, const std::string& path, size_t n, int code) {
  Traced child(program, path);
  Outcome out;
  bool saving = false;
  while (child.next()) {
    const long call = child.call();
    const bool border = call == SYS_getppid;
    if (border) saving = !saving;
    if (saving && !border) out.calls.push_back(call);
    const bool chosen = saving && !border && out.calls.size() == n + 1;
    if (chosen && code == 0) {
      child.kill();
      break;
    }
    if (chosen) child.skip();
    if (!child.next()) break;
    if (chosen) child.answer(code);
  }
  out.status = child.status();
  return out;
}

const std::map<long, std::vector<int>>& errors() {
  static const std::map<long, std::vector<int>> all{{SYS_openat, {EACCES, EMFILE, ENOSPC, EIO, EINTR}},
                                                    {SYS_newfstatat, {EACCES, EIO}},
                                                    {SYS_readlinkat, {EIO}},
                                                    {SYS_fallocate, {ENOSPC, EDQUOT, EIO, EOPNOTSUPP, EINTR}},
                                                    {SYS_write, {ENOSPC, EDQUOT, EFBIG, EIO, EINTR}},
                                                    {SYS_fsync, {EIO, ENOSPC, EINVAL, EINTR}},
                                                    {SYS_fchmod, {EPERM, EIO}},
                                                    {SYS_close, {EIO, ENOSPC, EINTR}},
                                                    {SYS_renameat, {EIO, ENOSPC, EACCES}},
                                                    {SYS_unlinkat, {EIO}}};
  return all;
}

double value_in(const std::string& path) {
  const NamedTensors found = load(path);  // verifies
  const double first = found[0].tensor[0][0].item(), last = found[0].tensor[299][99].item();
  return first == last ? first : -1;
}

// Nothing, or what is wrong after a run that was killed (code 0) or had a call answered with `code`.
std::string verdict(const test::TemporaryFolder& folder, const std::string& path, bool fresh,
                    const Outcome& outcome, int code) {
  const bool killed = code == 0;
  try {
    if (code == EINTR && outcome.status != kSaved) return "an interrupted call ended the save";
    if (!killed && folder.entries() > 1) return "a temporary file is left behind";
    if (::access(path.c_str(), F_OK) != 0) {
      if (!fresh) return "the file is gone";
      return outcome.status == kSaved ? "the save returned and left no file" : "";
    }
    const double found = value_in(path);
    if (found != 1 && found != 2) return "the file is neither old nor new";
    if (outcome.status == kSaved && found != 2) return "the save returned and the file is old";
    if (!killed && outcome.status != kSaved && outcome.status != kRefused) return "the program died";
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

struct Count {
  size_t kills = 0, faults = 0, wrong = 0;
};

void try_once(const char* program, bool fresh, size_t n, int code, Count& count) {
  const test::TemporaryFolder folder;
  const std::string path = folder / "state.varve";
  if (!fresh) save(path, state(1));
  const Outcome outcome = watch(program, path, n, code);
  ++(code == 0 ? count.kills : count.faults);
  const std::string wrong = verdict(folder, path, fresh, outcome, code);
  if (wrong.empty()) return;
  ++count.wrong;
  fmt::print("call {} ({}), {}: {}\n", n, outcome.calls.empty() ? -1 : outcome.calls.back(),
             code ? std::strerror(code) : "killed", wrong);
}

// The calls that make a save last, as the system saw them.
std::vector<long> what_lasts(const Outcome& outcome) {
  std::vector<long> calls;
  for (const long call : outcome.calls)
    if (call == SYS_fallocate || call == SYS_fsync || call == SYS_renameat) calls.push_back(call);
  return calls;
}

int run(const char* program) {
  set_threads(1);
  Count count;
  for (const bool fresh : {false, true}) {
    const test::TemporaryFolder folder;
    const std::string path = folder / "state.varve";
    if (!fresh) save(path, state(1));
    const Outcome whole = watch(program, path, SIZE_MAX, 0);
    if (whole.status != kSaved || value_in(path) != 2)
      throw Error("kill_save: a save that nothing disturbs failed");
    if (what_lasts(whole) != std::vector<long>{SYS_fallocate, SYS_fsync, SYS_renameat, SYS_fsync})
      throw Error("kill_save: the save did not reserve, sync, rename and sync the folder");
    for (size_t n = 0; n < whole.calls.size(); ++n) {
      try_once(program, fresh, n, 0, count);
      const auto codes = errors().find(whole.calls[n]);
      if (codes != errors().end())
        for (const int code : codes->second) try_once(program, fresh, n, code, count);
    }
  }
  fmt::print("{} kills, {} failing calls, {} violations\n", count.kills, count.faults, count.wrong);
  return count.wrong == 0 && count.kills > 20 && count.faults > 40 ? 0 : 1;
}

// Some containers forbid to trace even a child.
bool may_trace() {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) == 0 ? 0 : 1);
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 3 && std::strcmp(argv[1], "--save") == 0) return save_watched(argv[2]);
  if (!may_trace()) {
    std::puts("skipped: this system does not permit ptrace");
    return 77;
  }
  try {
    return run(argv[0]);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
  }
}
