// A GPU that is not there: no backend was built, no driver, no such number.
#include <doctest/doctest.h>

#include <varve/varve.h>
#include "tests/message.h"

using namespace varve;

TEST_CASE("asking for a GPU that is not there says what is missing") {
  try {
    backend_for(kCuda);
  } catch (const DeviceError& e) {
    const std::string said = e.what();
    CAPTURE(said);
    CHECK((contains(said, "configure with -DVARVE_CUDA=ON") || contains(said, "driver") ||
           contains(said, "no GPU")));
    CHECK_THROWS_AS(tensor<float>({1, 2}).to(kCuda), DeviceError);
    const OnDevice on(kCuda);
    CHECK_THROWS_AS(zeros({2}), DeviceError);
    return;
  }
  CHECK(contains(message_of<DeviceError>([] {
                   backend_for({DeviceKind::cuda, 1000});
                 }),
                 "there is no cuda:1000"));
}
