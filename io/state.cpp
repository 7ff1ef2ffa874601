// A state dict is a container of its kind, or a part of another.
#include <varve/io/state.h>

#include <fmt/format.h>

#include <array>
#include <deque>
#include <regex>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include <varve/io/reader.h>

namespace varve {
namespace {

constexpr size_t kLongestRenamed = 1000;  // std::regex recurses along a name

// What a kind of file holds of a state: tensors that begin with `prefix`, which is no part of their names,
// but for those that begin with `without`.
struct StatePart {
  std::string_view kind, prefix, without;
  bool has(const std::string& name) const {
    return name.starts_with(prefix) && (without.empty() || !name.starts_with(without));
  }
};
constexpr std::array kParts{StatePart{"state_dict", "", {}}, StatePart{"model", "", io::kConstantPart},
                            StatePart{"checkpoint", io::kModelPart, {}}};

struct Member {
  NamedSpec found;
  io::TensorInfo in_file;
  bool is_at(const Member& o) const {
    return in_file.storage == o.in_file.storage && in_file.start == o.in_file.start &&
           found.spec == o.found.spec && in_file.strides == o.in_file.strides;
  }
};

Member member_of(std::string name, io::TensorInfo in_file) {
  const io::ElementInfo& kind = *io::info_of(in_file.element);
  return {{std::move(name), {kind.dtype.value_or(DType::u8), in_file.shape}, kind.dtype ? "" : kind.name},
          std::move(in_file)};
}

const StatePart& part_of(const io::Reader& file) {
  for (const StatePart& part : kParts)
    if (part.kind == file.kind()) return part;
  throw FormatError(file.name(), 0,
                    fmt::format("load: the file is a '{}'; required is a state_dict, a model or a checkpoint",
                                file.kind()));
}

std::deque<Member> state_of(const io::Reader& file) {
  const StatePart& part = part_of(file);
  std::deque<Member> state;
  for (io::TensorInfo& t : file.tensors()) {
    if (!part.has(t.name)) continue;
    std::string name = t.name.substr(part.prefix.size());
    state.push_back(member_of(std::move(name), std::move(t)));
  }
  return state;
}

class Renamer {
 public:
  explicit Renamer(const std::vector<Rename>& rename) {
    for (const Rename& r : rename) {
      try {
        steps_.emplace_back(std::regex(r.pattern), r.replacement);
      } catch (const std::regex_error& e) {
        throw Error(fmt::format("rename: '{}' is no regular expression: {}", r.pattern, e.what()));
      }
    }
  }
  std::string operator()(std::string name) const {
    if (!steps_.empty() && name.size() > kLongestRenamed)
      throw Error(
          fmt::format("rename: a name of {} bytes; at most {} can be renamed", name.size(), kLongestRenamed));
    for (const auto& [pattern, replacement] : steps_) name = std::regex_replace(name, pattern, replacement);
    return name;
  }

 private:
  std::vector<std::pair<std::regex, std::string>> steps_;
};

// Throws where two names became the same.
void check_distinct(std::unordered_set<std::string>& names, const std::string& name,
                    const std::string& from) {
  if (!names.insert(name).second)
    throw Error(fmt::format("rename: '{}' becomes '{}', which is there already", from, name));
}

// Which tensors of the file to read into which targets; an Error where two names of one target differ.
NamedTensors wanted_of(const io::Reader& file, const std::unordered_map<std::string, Member>& members,
                       const NamedTensors& target, bool cast) {
  NamedTensors wanted;
  ByView<const Member*> first;  // what each target is to become
  for (const auto& [name, tensor] : target) {
    const auto member = members.find(name);
    if (member == members.end()) continue;
    const Member& now = member->second;
    if (!now.found.fits(tensor.spec(), cast)) continue;
    const auto [owner, is_new] = first.emplace(&tensor.value(), &now);
    if (is_new) {
      require_writable(name, tensor);
      wanted.add(now.in_file.name, tensor);
    } else if (const Member& before = *owner->second; !before.is_at(now)) {
      const NamedTensors both = file.read(std::array{before.in_file.name, now.in_file.name});
      require_tied(before.found.name, both[0].tensor, now.found.name, both[1].tensor);
    }
  }
  return wanted;
}

}  // namespace

Rename Rename::prefix(std::string_view from, std::string_view to) {
  Rename out{"^", {}};
  for (const char c : from) {
    if (std::string_view(R"(^$\.*+?()[]{}|)").find(c) != std::string_view::npos) out.pattern += '\\';
    out.pattern += c;
  }
  for (const char c : to) out.replacement += c == '$' ? "$$" : std::string(1, c);
  return out;
}

void save(const std::string& path, const NamedTensors& state, const io::WriteOptions& options) {
  io::write(path, {"state_dict", {}, state, {}, {}}, options);
}

NamedTensors load(const std::string& path) {
  const io::Reader file(path);
  std::vector<std::string> names;
  const std::deque<Member> state = state_of(file);
  for (const Member& m : state) names.push_back(m.in_file.name);
  NamedTensors out = file.read(names);
  for (size_t i = 0; i < out.size(); ++i) out[i].name = state[i].found.name;
  return out;
}

NamedTensors load(const std::string& path, std::span<const std::string> names) {
  const io::Reader file(path);
  const StatePart& part = part_of(file);
  std::vector<std::string> in_file;
  for (const std::string& name : names) {
    in_file.push_back(std::string(part.prefix) + name);
    if (!part.has(in_file.back()))
      throw Error(fmt::format("load: '{}' is no part of the state in {}", name, path));
  }
  NamedTensors out = file.read(in_file);
  for (size_t i = 0; i < out.size(); ++i) out[i].name = names[i];
  return out;
}

LoadReport load_into(const NamedTensors& target, const std::string& path, const LoadOptions& options) {
  const io::Reader file(path);
  const Renamer rename(options.rename);
  std::vector<NamedSpec> found, required;
  std::unordered_map<std::string, Member> members;
  std::unordered_set<std::string> names;
  std::deque<Member> state = state_of(file);
  found.reserve(state.size()), required.reserve(target.size());
  for (Member& m : state) {
    const std::string name = rename(m.found.name);
    check_distinct(names, name, m.found.name);
    m.found.name = name;
    found.push_back(m.found);
    members.emplace(name, std::move(m));
  }
  for (const auto& [name, tensor] : target) required.push_back({name, tensor.spec()});
  const LoadReport report = compare(found, required, options.cast);
  if (options.strict) require_clean(report);
  file.read_into(wanted_of(file, members, target, options.cast));
  return report;
}

NamedTensors renamed(const NamedTensors& state, const std::vector<Rename>& rename) {
  const Renamer step(rename);
  NamedTensors out;
  std::unordered_set<std::string> names;
  for (const auto& [name, tensor] : state) {
    out.add(step(name), tensor);
    check_distinct(names, out.back().name, name);
  }
  return out;
}

}  // namespace varve
