// durable_write: replaces a file so that, whatever happens, a crash included, it is the old or the new one.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include <varve/io/file_system.h>
#include <varve/io/sink.h>

namespace varve::io {

struct DurableOptions {
  uint64_t bytes = 0;  // how many will be written, where that is known: room for them is reserved first
  FileSystem* files = &system_files();
  uint64_t at_most = 0;  // where it is not, how many it can be, for messages
};

// Makes what `content` writes the file at `path`. It is written beside the old file under a name of its own
// (.NAME.varve-...), synced to the disk, and renamed over it; a symbolic link stays, its target is replaced
// and keeps its mode. If the disk fails to sync, `content` is called again for another new file, twice at
// most. IoError when something fails: then the old file is untouched and nothing else is left. (Only if the
// disk refuses the very last sync, of the folder, the new file is already in place; the error says so.)
// Several may save to one path at once; the last to finish wins.
VARVE_API void durable_write(const std::string& path, const DurableOptions& options,
                             const std::function<void(Sink&)>& content);
VARVE_API void durable_write(const std::string& path, std::span<const std::byte> bytes,
                             FileSystem& files = system_files());

}  // namespace varve::io
