// What a program that uses varve looks like from outside: no header but <varve/...>.
#include <varve/varve.h>

#include <cstdio>

struct Line {
  varve::Tensor slope = varve::zeros({1}), offset = varve::zeros({1});
  static void members(auto& self, auto&& visit) {
    visit("slope", self.slope);
    visit("offset", self.offset);
  }
};

int main() {
  using namespace varve;
  Line line;
  line.slope.set_requires_grad();
  line.offset.set_requires_grad();
  const Tensor x = linspace(-1, 1, 21);
  const auto step = [&] {
    const Tensor error = x * line.slope + line.offset - (3.0 * x + 1.0);
    zero_grad(line);
    mean(error * error).backward();
    const NoGrad guard;
    for (const Tensor& p : parameters(line)) p.assign(p - p.grad() * 0.5);
  };
  for (int i = 0; i < 200; ++i) step();
  std::printf("slope %.3f offset %.3f\n", line.slope.item(), line.offset.item());
  return line.slope.item() > 2.99 && line.offset.item() > 0.99 ? 0 : 1;
}
