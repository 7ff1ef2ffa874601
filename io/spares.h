// Spares: things that tasks borrow and give back, from any thread: as many are made as are in use at once.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

namespace varve::io {

template <class T>
class Spares {
 public:
  class Borrowed {
   public:
    Borrowed(Spares& from, std::unique_ptr<T> thing) : from_(from), thing_(std::move(thing)) {}
    ~Borrowed() { from_.give_back(std::move(thing_)); }
    Borrowed(const Borrowed&) = delete;
    Borrowed& operator=(const Borrowed&) = delete;
    T& operator*() const { return *thing_; }
    T* operator->() const { return thing_.get(); }

   private:
    Spares& from_;
    std::unique_ptr<T> thing_;
  };

  Borrowed borrow() {
    {
      const std::lock_guard lock(mutex_);
      if (!idle_.empty()) {
        std::unique_ptr<T> thing = std::move(idle_.back());
        idle_.pop_back();
        return Borrowed(*this, std::move(thing));
      }
      idle_.reserve(++made_);  // so that giving back never fails
    }
    return Borrowed(*this, std::make_unique<T>());
  }

 private:
  void give_back(std::unique_ptr<T> thing) {
    const std::lock_guard lock(mutex_);
    idle_.push_back(std::move(thing));
  }
  std::mutex mutex_;
  std::vector<std::unique_ptr<T>> idle_;
  size_t made_ = 0;
};

}  // namespace varve::io
