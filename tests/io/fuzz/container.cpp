// Any bytes are a container that reads the same in every way and can be written again, or a FormatError. The
// first byte says whether the rest is a file as it is, or one whose checksums are made right first, or an
// index and data without their frames.
#include <span>

#include <varve/core/error.h>
#include <varve/io/checkpoint.h>
#include <varve/io/model.h>

#include "tests/io/forge.h"
#include "tests/io/fuzz/fuzz.h"

using namespace varve;
using namespace varve::io;

namespace {

bool verifies(const Reader& reader) {
  try {
    reader.verify();
    return true;
  } catch (const FormatError&) {
    return false;
  }
}

Bytes written(const Container& container, Codec codec) {
  MemorySink sink;
  write(sink, container, {codec});
  return sink.take();
}

// What a kind means is a layer above: here anything wrong may also be a plain Error.
void open_as_its_kind(Container container) try {
  if (container.kind == "model")
    Model(container).container();
  else if (container.kind == "checkpoint")
    detail::container_of(detail::checkpoint_of("the input", std::move(container)));
} catch (const Error&) {
}

void check(const Bytes& file) try {
  const Reader reader(from_memory(file));
  reader.fingerprint();
  to_string(reader.meta());
  const bool sound = verifies(reader);
  fuzz::require(reader.tensors().size() >= reader.map().tensors.size(), "every mapped tensor is listed");
  if (!sound) return;
  Container container = reader.read();  // a FormatError would be one that verify did not see
  const Bytes plain = written(container, Codec::none), coded = written(container, Codec::zstd);
  const Reader a{from_memory(plain)}, b{from_memory(coded)};
  fuzz::require(a.fingerprint() == b.fingerprint(), "the codec does not change the fingerprint");
  fuzz::require(written(b.read(), Codec::none) == plain, "what is written again has the same bytes");
  open_as_its_kind(std::move(container));
} catch (const FormatError&) {
}

// An index and the data before it, in frames that fit.
Bytes framed(std::span<const std::byte> in) {
  ByteReader reader(in);
  test::Forged forged;
  forged.header.critical = reader.number<uint8_t>() & kKnownFeatures;
  const auto data = reader.raw(std::min<uint64_t>(reader.number<uint16_t>(), reader.left()));
  forged.data.assign(data.begin(), data.end());
  const auto index = reader.raw(reader.left());
  forged.index.assign(index.begin(), index.end());
  return forged.file();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) try {
  if (size == 0) return 0;
  const auto in = std::as_bytes(std::span(data, size)).subspan(1);
  if (data[0] % 3 == 2) {
    check(test::repaired(framed(in)));
  } else {
    const Bytes file(in.begin(), in.end());
    check(data[0] % 3 == 1 ? test::repaired(file) : file);
  }
  return 0;
} catch (const Error&) {  // too short for framed
  return 0;
}
