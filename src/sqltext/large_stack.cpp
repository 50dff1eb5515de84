#include "sqltext/large_stack.h"

#include <pthread.h>

#include "base/check.h"

namespace domicile::sqltext {
namespace {

constexpr std::size_t kStackBytes = 512u << 20;
thread_local bool here = false;

void* enter(void* body) {
  here = true;
  (*static_cast<const std::function<void()>*>(body))();
  return nullptr;
}

}  // namespace

void on_large_stack(const std::function<void()>& body) {
  if (here) return body();
  pthread_attr_t attributes;
  CHECK(pthread_attr_init(&attributes) == 0);
  CHECK(pthread_attr_setstacksize(&attributes, kStackBytes) == 0);
  pthread_t thread;
  CHECK(pthread_create(&thread, &attributes, enter, const_cast<std::function<void()>*>(&body)) ==
        0);
  CHECK(pthread_join(thread, nullptr) == 0);
  pthread_attr_destroy(&attributes);
}

}  // namespace domicile::sqltext
