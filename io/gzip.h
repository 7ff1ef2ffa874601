// Files in memory, inflated where they are gzip's (RFC 1952), and no more of them than asked for.
#pragma once

#include <cstdint>
#include <string>

#include <varve/io/meta.h>

namespace varve::io {

// The first `count` bytes of a file, or all where it has fewer: what starts with 1f 8b is inflated, all its
// members, and no further than that. IoError when it cannot be read; FormatError when it is damaged or cut
// short, which shows where a member is read to its end.
VARVE_API Bytes read_start(const std::string& path, uint64_t count);

}  // namespace varve::io
