// The errors varve throws. Every message reads "operation: found, required, likely remedy".
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

#include <varve/core/export.h>

namespace varve {

// The base of everything varve throws; thrown itself for misuse that fits no narrower kind.
class VARVE_API Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Shapes or axes that do not fit an operation.
class VARVE_API ShapeError : public Error {
 public:
  using Error::Error;
};

// Element types that do not fit an operation.
class VARVE_API DTypeError : public Error {
 public:
  using Error::Error;
};

// A device that is absent, or tensors on different devices.
class VARVE_API DeviceError : public Error {
 public:
  using Error::Error;
};

// The host or a device has no room for what was asked; after it the program may go on with less.
class VARVE_API MemoryError : public Error {
 public:
  using Error::Error;
};

// An op made a NaN or infinity of finite inputs, while anomalies are watched for.
class VARVE_API AnomalyError : public Error {
 public:
  using Error::Error;
};

// The system refused a file operation: `path` and `code` (errno) say which and why.
class VARVE_API IoError : public Error {
 public:
  IoError(std::string path, int code, const std::string& operation);
  const std::string& path() const { return path_; }
  int code() const { return code_; }

 private:
  std::string path_;
  int code_;
};

// A file's bytes are not what its format demands: `path`, `offset` (bytes from the start) and what was found.
class VARVE_API FormatError : public Error {
 public:
  FormatError(std::string path, uint64_t offset, const std::string& found);
  const std::string& path() const { return path_; }
  uint64_t offset() const { return offset_; }

 private:
  std::string path_;
  uint64_t offset_;
};

}  // namespace varve
