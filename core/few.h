// Few: a list whose first elements lie in place, so that the usual few cost no allocation.
#pragma once

#include <algorithm>
#include <cstddef>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include <varve/core/error.h>

namespace varve {

template <class T, size_t kInPlace>
class Few {
 public:
  Few() {}  // not defaulted, which would clear the places first
  Few(std::initializer_list<T> list) : Few() { append({list.begin(), list.size()}); }
  // f of each item.
  template <class Items, class F>
  Few(const Items& items, F&& f) : Few() {
    reserve(std::size(items));
    for (const auto& item : items) {
      ::new (static_cast<void*>(data_ + size_)) T(f(item));
      ++size_;
    }
  }
  Few(const Few& o) : Few() { append(o); }
  Few(Few&& o) noexcept { take(o); }
  Few& operator=(Few o) noexcept {
    drop();
    take(o);
    return *this;
  }
  ~Few() { drop(); }

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  T* begin() { return data_; }
  T* end() { return data_ + size_; }
  const T* begin() const { return data_; }
  const T* end() const { return data_ + size_; }
  T& operator[](size_t i) { return data_[i]; }
  const T& operator[](size_t i) const { return data_[i]; }
  const T& at(size_t i) const {
    if (i >= size_) throw Error("list: entry " + std::to_string(i) + " of " + std::to_string(size_));
    return data_[i];
  }
  const T& back() const { return data_[size_ - 1]; }
  operator std::span<const T>() const { return {data_, size_}; }
  friend bool operator==(const Few& a, const Few& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end());
  }

  void push_back(T value) { emplace_back(std::move(value)); }
  template <class... Args>
  T& emplace_back(Args&&... args) {
    if (size_ == room_) reserve(2 * room_);  // args may not lie in the list
    std::construct_at(data_ + size_, std::forward<Args>(args)...);
    return data_[size_++];
  }
  void reserve(size_t room) {
    if (room <= room_) return;
    T* const more = std::allocator<T>().allocate(room);
    std::uninitialized_move_n(data_, size_, more);
    const size_t size = size_;
    drop();
    data_ = more, size_ = size, room_ = room;
  }

 private:
  T* in_place() { return reinterpret_cast<T*>(place_); }
  void append(std::span<const T> list) {
    reserve(list.size());
    std::uninitialized_copy(list.begin(), list.end(), data_);
    size_ = list.size();
  }
  // Both leave an empty list in place.
  void drop() {
    std::destroy_n(data_, size_);
    if (data_ != in_place()) std::allocator<T>().deallocate(data_, room_);
    data_ = in_place(), size_ = 0, room_ = kInPlace;
  }
  void take(Few& o) {
    if (o.data_ == o.in_place()) {
      std::uninitialized_move_n(o.data_, o.size_, data_);
      size_ = o.size_;
    } else {
      data_ = o.data_, size_ = o.size_, room_ = o.room_;
      o.data_ = o.in_place(), o.size_ = 0, o.room_ = kInPlace;
    }
    o.drop();
  }

  T* data_ = in_place();
  size_t size_ = 0, room_ = kInPlace;
  alignas(T) std::byte place_[kInPlace * sizeof(T)];
};

}  // namespace varve
