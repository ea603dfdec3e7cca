// The live objects behind one kind of handle, so that a foreign or destroyed handle is an error.
#pragma once
#include <memory>
#include <unordered_map>

namespace simt {

template <typename T>
class Handles {
 public:
  T *add() {
    auto object = std::make_unique<T>();
    T *handle = object.get();
    objects_[handle] = std::move(object);
    return handle;
  }
  bool has(T *handle) const { return objects_.count(handle) != 0; }
  bool remove(T *handle) { return objects_.erase(handle) != 0; }
  template <typename F>
  void for_each(F f) {
    for (auto &entry : objects_) f(*entry.second);
  }

 private:
  std::unordered_map<T *, std::unique_ptr<T>> objects_;
};

}  // namespace simt
