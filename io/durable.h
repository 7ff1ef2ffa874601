// durable_write: replaces a file so that, whatever happens, a crash included, it is the old or the new one.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include <varve/core/export.h>

namespace varve::io {

// Writes `pieces`, one after the other, as the file at `path`. It is written beside the old file, synced to
// the disk, and renamed over it; a symbolic link stays, its target is replaced and keeps its mode. IoError
// when something fails: then the old file is untouched and nothing else is left. (Only if the disk refuses
// the very last sync, of the folder, the new file is already in place; the error says so.)
VARVE_API void durable_write(const std::string& path, std::span<const std::span<const std::byte>> pieces);
VARVE_API void durable_write(const std::string& path, std::span<const std::byte> bytes);

}  // namespace varve::io
