// Whole files in memory, inflated where they are gzip's (RFC 1952).
#pragma once

#include <cstdint>
#include <string>

#include <varve/io/meta.h>

namespace varve::io {

// The bytes of a file; IoError when it cannot be read.
VARVE_API Bytes read_file(const std::string& path);
// The same, but what starts with 1f 8b is inflated, all its members. FormatError when that is damaged, cut
// short, or larger than `max_bytes`: memory grows with what is really inflated, and never beyond that.
VARVE_API Bytes read_maybe_gzip(const std::string& path, uint64_t max_bytes = uint64_t{4} << 30);

}  // namespace varve::io
