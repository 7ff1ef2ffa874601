// A checkpoint is a container whose tensors are named by the part they belong to.
#include <varve/io/checkpoint.h>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <map>

#include <varve/core/cpu/level.h>
#include <varve/core/cpu/threads.h>
#include <varve/core/ops/copy.h>
#include <varve/core/ops/pointwise.h>
#include <varve/core/ops/reduce.h>
#include <varve/core/record.h>

namespace varve {
namespace {

struct Part {
  std::string_view prefix;  // of the tensors' names in the file
  NamedTensors Checkpoint::*tensors;
  std::string_view name() const { return prefix.substr(0, prefix.size() - 1); }
};
constexpr std::array kParts{
    Part{io::kModelPart, &Checkpoint::model}, Part{"optimizer:", &Checkpoint::optimizer},
    Part{"loader:", &Checkpoint::loader},     Part{"random:", &Checkpoint::random},
    Part{"schedule:", &Checkpoint::schedule}, Part{"history:", &Checkpoint::history}};

constexpr const char* kSavedBy = "saved_by";  // a section

}  // namespace

io::Container detail::container_of(const Checkpoint& checkpoint) {
  io::Container file;
  file.kind = "checkpoint";
  file.meta = io::MetaMap{{"epoch", checkpoint.epoch},
                          {"step", checkpoint.step},
                          {"loss", checkpoint.loss},
                          {"user", checkpoint.user}};
  // Not in the meta: the same state has one fingerprint, whoever saves it.
  const io::Meta saved_by =
      io::MetaMap{{"varve", VARVE_VERSION}, {"instructions", cpu::level()}, {"threads", threads()}};
  file.sections.push_back({kSavedBy, io::encode(saved_by)});
  for (const Part& part : kParts)
    for (const auto& [name, tensor] : checkpoint.*part.tensors)
      file.tensors.add(std::string(part.prefix) + name, tensor);
  return file;
}

std::vector<std::function<void()>> detail::errors_so_far(const NamedTensors& tensors) {
  std::map<Backend*, std::vector<Backend::Memory>> memory;
  for (const auto& [name, tensor] : tensors) {
    const Storage& its = *tensor.value().storage;
    memory[&its.backend()].emplace_back(its.data(), its.bytes());
  }
  std::vector<std::function<void()>> errors;
  for (const auto& [on, of] : memory)
    if (auto refuse = on->errors_so_far(of)) errors.push_back(std::move(refuse));
  return errors;
}

// The largest number of each device is NaN if any is. It is read on a way of its own, so that who trains
// meanwhile does not wait, and hears of its own recordings' errors.
void detail::say_nan(io::Container& checkpoint) {
  const NoGrad guard;
  std::map<Backend*, Tensor> largest;
  for (const auto& [name, tensor] : checkpoint.tensors) {
    if (!name.starts_with(io::kModelPart) || !is_floating(tensor.dtype()) || tensor.numel() == 0) continue;
    const Tensor its = cast(max(tensor.detach()), DType::f64);
    Tensor& most = largest[&tensor.value().storage->backend()];
    most = most.defined() ? maximum(most, its) : its;
  }
  checkpoint.meta.set("nan", std::any_of(largest.begin(), largest.end(), [](const auto& entry) {
                        const auto& [on, most] = entry;
                        double number = 0;
                        const auto ferry = on->ferry(sizeof number);
                        ferry->download(most.view().data, ferry->room().data(), sizeof number);
                        ferry->wait();
                        std::memcpy(&number, ferry->room().data(), sizeof number);
                        return std::isnan(number);
                      }));
}

void save_checkpoint(const std::string& path, const Checkpoint& checkpoint, const io::WriteOptions& options) {
  io::Container file = detail::container_of(checkpoint);
  detail::say_nan(file);
  io::write(path, file, options);
}

Checkpoint load_checkpoint(const std::string& path) { return detail::checkpoint_of(path, io::read(path)); }

void load_parts(const Checkpoint& saved, const std::vector<PartLoad>& parts) {
  std::vector<StagedLoad> staged;
  std::string faults;
  for (const PartLoad& p : parts)
    if (std::none_of(kParts.begin(), kParts.end(), [&](const Part& part) { return part.name() == p.name; }))
      faults += fmt::format("\n{}: is no part of a checkpoint", p.name);
  for (const Part& part : kParts) {
    const bool wanted =
        std::any_of(parts.begin(), parts.end(), [&](const PartLoad& p) { return p.name == part.name(); });
    if (!wanted && part.tensors != &Checkpoint::history && !(saved.*part.tensors).empty())
      faults +=
          fmt::format("\n{}: its {} tensors have no place here", part.name(), (saved.*part.tensors).size());
  }
  for (const PartLoad& part : parts) try {
      staged.push_back(part.stage());
    } catch (const MemoryError&) {
      throw;
    } catch (const Error& e) {
      faults += fmt::format("\n{}: {}", part.name, e.what());
    }
  if (!faults.empty())
    throw Error("load: the checkpoint does not fit, and nothing of it was loaded" + faults);
  for (const StagedLoad& load : staged) load.commit();
}

Checkpoint detail::checkpoint_of(const std::string& path, io::Container file) {
  if (file.kind != "checkpoint")
    throw FormatError(path, 0, fmt::format("load: the file is a '{}'; required is a checkpoint", file.kind));
  Checkpoint out;
  try {
    out.epoch = file.meta.at("epoch").as_int();
    out.step = file.meta.at("step").as_int();
    out.loss = file.meta.at("loss").as_double();
    out.user = file.meta.at("user");
    for (const io::Section& s : file.sections)
      if (s.name == kSavedBy) out.saved_by = io::decode(s.bytes);
  } catch (const Error& e) {
    throw FormatError(path, 0, fmt::format("load: the checkpoint's metadata is wrong: {}", e.what()));
  }
  for (const io::Carried& c : file.carried) io::computed_dtype(c.element, c.name, path);  // throws
  for (const NamedTensor& t : file.tensors) {
    const auto part = std::find_if(kParts.begin(), kParts.end(),
                                   [&](const Part& p) { return t.name.starts_with(p.prefix); });
    if (part == kParts.end())
      throw FormatError(path, 0, fmt::format("load: tensor '{}' belongs to no part of a checkpoint", t.name));
    (out.*part->tensors).add(t.name.substr(part->prefix.size()), t.tensor);
  }
  return out;
}

}  // namespace varve
